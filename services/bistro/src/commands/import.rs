//! `bistro import`: files become restaurants and their menus.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use bistro_client::{Client, Request};
use bistro_core::{Currency, Error, ErrorCode};
use clap::{ArgGroup, Args};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
        menu_file::{self, Counts, Document, MenuFile, Profile, Rejected},
        restaurant::{self, Restaurant},
    },
    output::{self, Format},
};

/// The words of `bistro import menu`.
#[derive(Args)]
#[command(group(ArgGroup::new("into").args(["new", "restaurant"]).required(true)))]
pub(crate) struct ImportMenu {
    /// A CSV file with the columns item and price (in major units, such as 12.95), and any of
    /// kind, stock, menu, section, position, description, image, allergens, diets, tax_rate,
    /// hours, station, options, ingredients, min and max.
    file: PathBuf,
    /// Make a new restaurant of this name.
    #[arg(long, value_name = "NAME")]
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
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// The words of `bistro import restaurant`.
#[derive(Args)]
pub(crate) struct ImportRestaurant {
    /// A JSON-LD file with a node of the type Restaurant (schema.org).
    file: PathBuf,
    /// Change this restaurant, instead of making a new one.
    #[arg(long, value_name = "ID-or-name")]
    restaurant: Option<String>,
    /// ISO 4217 code of the prices, for a new restaurant; without it, the one that the file says,
    /// or GBP.
    #[arg(long)]
    currency: Option<Currency>,
    /// IANA time zone, if the file says none.
    #[arg(long, default_value = "Europe/London", value_name = "ZONE")]
    time_zone: String,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Whether every line was taken.
pub(crate) fn run(command: &ImportMenu) -> Result<bool, Error> {
    block_on(import(command))
}

/// Whether every node was taken.
pub(crate) fn run_restaurant(command: &ImportRestaurant) -> Result<bool, Error> {
    block_on(import_restaurant(command))
}

async fn import(command: &ImportMenu) -> Result<bool, Error> {
    let bytes = std::fs::read(&command.file).map_err(|cause| unreadable(&command.file, cause))?;
    let client = command.connection.client()?;
    let (restaurant, (menu, rejected)) = match (&command.new, &command.restaurant) {
        (Some(name), _) => {
            let parsed = menu_file::read_csv(&bytes, command.currency)?;
            let body = json!({
                "name": name, "currency": command.currency.code(), "time_zone": command.time_zone,
            });
            (create(&client, &body).await?, parsed)
        }
        (None, wanted) => {
            let wanted = wanted.as_deref().unwrap_or_default();
            let otherwise = format!("a new one is made with --new {wanted:?}");
            let found = restaurant::find(&client, wanted, Some(&otherwise)).await?;
            let currency = found.currency.parse().map_err(Error::internal)?;
            (found, menu_file::read_csv(&bytes, currency)?)
        }
    };
    bring(&client, &restaurant, &menu, rejected, command.output).await
}

async fn import_restaurant(command: &ImportRestaurant) -> Result<bool, Error> {
    let bytes = std::fs::read(&command.file).map_err(|cause| unreadable(&command.file, cause))?;
    let client = command.connection.client()?;
    let present = match &command.restaurant {
        Some(wanted) => {
            let otherwise = "without --restaurant a new one is made";
            Some(restaurant::find(&client, wanted, Some(otherwise)).await?)
        }
        None => None,
    };
    let own = present.as_ref().map(|one| one.currency.parse()).transpose();
    let currency = own.map_err(Error::internal)?.or(command.currency);
    let (document, rejected) = menu_file::read_json_ld(&bytes, currency)?;
    let Document { profile, currency, menu } = document;
    let Some(mut profile) = profile else {
        let message = "the file holds a menu without its restaurant; it has no Restaurant node";
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    };
    if !profile.has("time_zone") {
        profile.fields.insert("time_zone".to_owned(), json!(command.time_zone));
    }
    let restaurant = match present {
        Some(present) => change(&client, present, &profile).await?,
        None => {
            profile.fields.insert("currency".to_owned(), json!(currency.code()));
            create(&client, &Value::Object(profile.fields)).await?
        }
    };
    bring(&client, &restaurant, &menu, rejected, command.output).await
}

/// Gives a restaurant another profile.
async fn change(
    client: &Client,
    present: Restaurant,
    profile: &Profile,
) -> Result<Restaurant, Error> {
    let path = format!("/api/v1/restaurants/{}", present.id);
    let before = ask::get(client, &path).await?.body;
    let request = Request::put(path, &Value::Object(profile.fields.clone()));
    let request = request.if_match(&before["version"]);
    ask::send(client, &request).await?;
    Ok(Restaurant { name: profile.name().to_owned(), ..present })
}

async fn bring(
    client: &Client,
    restaurant: &Restaurant,
    menu: &MenuFile,
    mut rejected: Vec<Rejected>,
    format: Format,
) -> Result<bool, Error> {
    let counts = menu_file::apply(client, &restaurant.id, menu, &mut rejected).await?;
    report(restaurant, counts, &rejected, format)
}

fn report(
    restaurant: &Restaurant,
    counts: Counts,
    rejected: &[Rejected],
    format: Format,
) -> Result<bool, Error> {
    if format == Format::Json {
        let refused: Vec<Value> = rejected
            .iter()
            .map(|one| json!({ "place": one.place.to_string(), "reason": one.reason }))
            .collect();
        let report = json!({
            "restaurant": { "id": restaurant.id, "name": restaurant.name },
            "added": counts.added, "changed": counts.changed, "unchanged": counts.unchanged,
            "rejected": refused,
        });
        output::print(&report.to_string())?;
        return Ok(rejected.is_empty());
    }
    let mut text = String::new();
    for one in rejected {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {}", one.place, one.reason);
    }
    let _ = writeln!(
        text,
        "{} ({}): {} added, {} changed, {} unchanged, {} rejected",
        restaurant.name,
        restaurant.id,
        counts.added,
        counts.changed,
        counts.unchanged,
        rejected.len()
    );
    if !rejected.is_empty() {
        let lines = output::counted(rejected.len() as u64, "line");
        let _ = writeln!(text, "{lines} left out; mend the file and import it again");
    }
    output::print(&text)?;
    Ok(rejected.is_empty())
}

/// Makes a restaurant and opens it.
async fn create(client: &Client, body: &Value) -> Result<Restaurant, Error> {
    // The same key for the same restaurant: one of this name that is there already was perhaps made
    // by a run that was cut.
    let key = key_of(&Sha256::digest(body.to_string())[..16]);
    let request = Request::post("/api/v1/restaurants", key, body);
    let answer = ask::send(client, &request).await?;
    let made = restaurant::read(&answer.body);
    if answer.body["open"].as_bool() == Some(false) {
        let version = answer.body["version"].as_i64().unwrap_or_default();
        let path = format!("/api/v1/restaurants/{}/open", made.id);
        let request = Request::put(path, &json!({ "open": true })).if_match(version);
        ask::send(client, &request).await?;
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
