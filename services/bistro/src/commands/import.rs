//! `bistro import menu`: a CSV file of items and prices becomes a restaurant's menu.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use bistro_client::{Client, Insistence, Request};
use bistro_core::{Currency, Error, ErrorCode, Money};
use clap::Args;
use rand::{TryRng as _, rngs::SysRng};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    commands::{
        connect::{Connection, PATIENCE, block_on},
        line_numbers::{CUT_OFF, LineNumbers, is_cut_off},
        restaurant::{self, Restaurant},
    },
    output,
};

/// The words of `bistro import menu`.
#[derive(Args)]
pub(crate) struct ImportMenu {
    /// A CSV file with the columns item and price (in major units, such as 12.95), and
    /// optionally stock.
    file: PathBuf,
    /// Make a new restaurant of this name.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "restaurant",
        required_unless_present = "restaurant"
    )]
    new: Option<String>,
    /// Import into this restaurant.
    #[arg(long, value_name = "ID-or-name")]
    restaurant: Option<String>,
    /// ISO 4217 code of the prices, for a new restaurant.
    #[arg(long, default_value = "GBP")]
    currency: Currency,
    /// IANA time zone, for a new restaurant.
    #[arg(long, default_value = "Europe/London", value_name = "ZONE")]
    time_zone: String,
    #[command(flatten)]
    connection: Connection,
}

/// One row that can be sent.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: u64,
    name: String,
    price: Money,
    stock: Option<i64>,
}

/// A line that is not a row, and why.
#[derive(Debug, PartialEq, Eq)]
struct Rejected {
    line: u64,
    reason: String,
}

/// Whether every line was taken.
pub(crate) fn run(command: &ImportMenu) -> Result<bool, Error> {
    block_on(import(command))
}

async fn import(command: &ImportMenu) -> Result<bool, Error> {
    let bytes = std::fs::read(&command.file).map_err(|cause| unreadable(&command.file, cause))?;
    let client = command.connection.client()?;
    // Its own retries are the same command; who imports a file again means it again, even if
    // another was imported in between.
    let mut random = [0; 16];
    SysRng.try_fill_bytes(&mut random).map_err(Error::internal)?;
    let key = key_of(&random);
    let (restaurant, (rows, mut rejected)) = match (&command.new, &command.restaurant) {
        (Some(name), _) => {
            let parsed = parse(&bytes, command.currency)?;
            (create(&client, command, name).await?, parsed)
        }
        (None, wanted) => {
            let found = restaurant::find(&client, wanted.as_deref().unwrap_or_default()).await?;
            let currency = found.currency.parse().map_err(Error::internal)?;
            (found, parse(&bytes, currency)?)
        }
    };
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "line": row.line, "name": row.name,
                "price_minor": row.price.amount_minor, "stock": row.stock,
            })
        })
        .collect();
    let path = format!("/api/v1/restaurants/{}/menu-import", restaurant.id);
    let request = Request::post(path, key, &json!({ "rows": rows }));
    let answer = client.insist(&request, &mut Insistence::lasting(PATIENCE)).await?;
    for refused in answer.body["rejected"].as_array().into_iter().flatten() {
        rejected.push(Rejected {
            line: refused["line"].as_u64().unwrap_or_default(),
            reason: refused["reason"].as_str().unwrap_or_default().to_owned(),
        });
    }
    rejected.sort_by_key(|one| one.line);
    report(&restaurant, &answer.body, &rejected)
}

fn report(
    restaurant: &Restaurant,
    counts: &serde_json::Value,
    rejected: &[Rejected],
) -> Result<bool, Error> {
    let mut text = String::new();
    for one in rejected {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "line {}: {}", one.line, one.reason);
    }
    let _ = writeln!(
        text,
        "{} ({}): {} added, {} changed, {} unchanged, {} rejected",
        restaurant.name,
        restaurant.id,
        counts["added"],
        counts["changed"],
        counts["unchanged"],
        rejected.len()
    );
    if !rejected.is_empty() {
        let lines = output::counted(rejected.len() as u64, "line");
        let _ = writeln!(text, "{lines} left out; mend the file and import it again");
    }
    output::print(&text)?;
    Ok(rejected.is_empty())
}

async fn create(client: &Client, command: &ImportMenu, name: &str) -> Result<Restaurant, Error> {
    let body = json!({
        "name": name, "currency": command.currency.code(), "time_zone": command.time_zone,
    });
    // The same key for the same restaurant: one of this name that is there already was perhaps made
    // by a run that was cut.
    let key = key_of(&Sha256::digest(body.to_string())[..16]);
    let request = Request::post("/api/v1/restaurants", key, &body);
    let answer = client.insist(&request, &mut Insistence::lasting(PATIENCE)).await?;
    let made = restaurant::read(&answer.body);
    if answer.body["open"].as_bool() == Some(false) {
        let version = answer.body["version"].as_i64().unwrap_or_default();
        let path = format!("/api/v1/restaurants/{}/open", made.id);
        let request = Request::put(path, &json!({ "open": true })).if_match(version);
        client.insist(&request, &mut Insistence::lasting(PATIENCE)).await?;
    }
    Ok(made)
}

fn key_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("import-"), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn unreadable(
    file: &Path,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let message = format!("{} cannot be read: {cause}", file.display());
    Error::new(ErrorCode::InvalidArgument, message).caused_by(cause)
}

/// Reads the rows; a line that is not one is rejected and the others are taken.
fn parse(bytes: &[u8], currency: Currency) -> Result<(Vec<Row>, Vec<Rejected>), Error> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|cause| bad_header(&cause.to_string()))?.clone();
    let column =
        |name: &str| header.iter().position(|one| one.trim_start_matches('\u{feff}') == name);
    let (Some(name), Some(price)) = (column("item"), column("price")) else {
        return Err(bad_header(&format!(
            "the first line is {:?}",
            header.iter().collect::<Vec<_>>()
        )));
    };
    let (stock, columns) = (column("stock"), header.len());
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    let mut numbers = LineNumbers::of_file(bytes);
    let mut records = reader.into_records();
    while let Some(record) = records.next() {
        let position = match &record {
            Ok(record) => record.position(),
            Err(cause) => cause.position(),
        };
        let line = numbers.at(position);
        let is_last = records.reader().position().byte() >= bytes.len() as u64;
        let row = record.map_err(|cause| cause.to_string()).and_then(|record| {
            if is_last && is_cut_off(bytes) {
                return Err(CUT_OFF.to_owned());
            }
            row(&record, columns, (name, price, stock), currency)
        });
        match row {
            Ok((name, price, stock)) => rows.push(Row { line, name, price, stock }),
            Err(reason) => rejected.push(Rejected { line, reason }),
        }
    }
    Ok((rows, rejected))
}

fn row(
    record: &csv::StringRecord,
    columns: usize,
    (name, price, stock): (usize, usize, Option<usize>),
    currency: Currency,
) -> Result<(String, Money, Option<i64>), String> {
    if record.len() != columns {
        return Err(format!("it has {} columns instead of {columns}", record.len()));
    }
    let price =
        Money::parse_decimal(&record[price], currency).map_err(|cause| cause.to_string())?;
    let stock = match stock.map(|column| &record[column]) {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| {
            format!(
                "{text:?} is not a stock; write a whole number, or nothing if it is not counted"
            )
        })?),
    };
    Ok((record[name].to_owned(), price, stock))
}

fn bad_header(why: &str) -> Error {
    let message = format!("the file does not begin with the columns item and price: {why}");
    Error::new(ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_rows_are_taken_and_bad_ones_are_named_by_line() {
        let file = "item,price\nNaan,2.50\n\"Raita, mint\",0.8\nLassi,cheap\nDal\n";
        for file in [file.to_owned(), file.replace('\n', "\r\n")] {
            let (rows, rejected) = parse(file.as_bytes(), Currency::GBP).unwrap();
            let names: Vec<_> = rows.iter().map(|row| (row.line, row.name.as_str())).collect();
            assert_eq!(names, [(2, "Naan"), (3, "Raita, mint")]);
            assert_eq!(rows[1].price.amount_minor, 80);
            assert_eq!(rejected.iter().map(|one| one.line).collect::<Vec<_>>(), [4, 5]);
        }
    }

    #[test]
    fn stock_is_counted_where_it_is_given() {
        let (rows, _) = parse(b"stock,item,price\n3,Naan,1\n,Dal,2\n", Currency::GBP).unwrap();
        assert_eq!(rows.iter().map(|row| row.stock).collect::<Vec<_>>(), [Some(3), None]);
    }

    #[test]
    fn a_price_that_may_have_been_cut_is_not_taken() {
        let (rows, rejected) = parse(b"item,price\nNaan,2.50\nDal,12.9", Currency::GBP).unwrap();
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2]);
        assert_eq!(rejected, [Rejected { line: 3, reason: CUT_OFF.to_owned() }]);
    }

    #[test]
    fn a_file_without_the_columns_is_refused() {
        assert!(parse(b"dish;cost\n", Currency::GBP).is_err());
        assert!(parse(b"", Currency::GBP).is_err());
        assert!(parse(&[0xff, 0xfe, 0], Currency::GBP).is_err());
    }
}
