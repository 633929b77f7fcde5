//! `bistro simulate`: plays a file of orders through the public API, as real clients would.

mod account;
mod cast;
mod customer;
pub(crate) mod journal;
mod progress;
mod secret;
mod settle;
mod sheet;
mod staff;
mod stage;
mod tally;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bistro_client::Client;
use bistro_core::{Currency, Error, ErrorCode};
use clap::Args;
use jiff::civil::Date;
use sha2::{Digest as _, Sha256};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    commands::{
        connect::{Connection, block_on},
        import::unreadable,
        interrupt,
        restaurant::{self, MenuItem, Restaurant},
    },
    output::{self, Format},
};
use cast::{Cast, Numbers};
use journal::{Header, Journal, Past};
use sheet::Sheet;
use staff::Job;
use stage::Stage;
use tally::{Report, Settled};

/// Where the journal is, if nobody says otherwise.
const JOURNAL: &str = "simulation.journal";

/// How long couriers may take to go off duty when the run was cut short.
const GOING_HOME: Duration = Duration::from_secs(3);
/// How to go on after an interruption.
const RESUME: &str = "go on with --resume";

/// The words of `bistro simulate`.
#[derive(Args)]
#[command(
    after_help = "Customers place and pay, the kitchen accepts and cooks, couriers deliver: each with an account of \
their own, all through the public HTTP API. Every command is repeated with the same idempotency key until the \
platform answers it, so that the platform may be killed and started meanwhile. What the platform acknowledged is \
written to the journal, for --resume and for `bistro verify --journal`.\n\n\
Examples:\n  \
bistro import menu menu.csv --new 'Chez Ada'\n  \
bistro simulate orders.csv --restaurant 'Chez Ada' --to 2016-03-31\n  \
bistro verify --journal simulation.journal --wait 60\n\n\
Changes: the platform has the orders, and the accounts of who played them; the journal is written.\n\n\
Exit codes: 0 every order was completed and the ledger agrees with the file; 2 the file or the journal is refused, \
and nothing was sent; 3 an order was not completed, or the ledger disagrees; 69 the platform does not answer, \
and 130 it was interrupted (go on with --resume)."
)]
pub(crate) struct Simulate {
    /// A CSV file with the columns order,placed_at,item,quantity, such as
    /// `630,2015-09-01T14:42,Onion Bhaji,1`; the lines of an order stand together.
    file: PathBuf,
    /// The restaurant that gets the orders; its menu must have every item of the file.
    #[arg(long, value_name = "ID-or-name")]
    restaurant: String,
    /// Orders under way at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// The first day whose orders are played, such as 2015-09-01.
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// The last day whose orders are played.
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// Couriers who deliver.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    couriers: u16,
    /// Where to write what the platform acknowledged. A secret of the run lies beside it, readable
    /// by its owner only, until the run is done.
    #[arg(long, value_name = "FILE", default_value = JOURNAL)]
    journal: PathBuf,
    /// Go on with the run that the journal is of.
    #[arg(long)]
    resume: bool,
    /// How long to repeat a request that is not answered, to wait for an order that stands still,
    /// and for the ledger to agree.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command; whether all is as it should be.
pub(crate) fn run(command: &Simulate) -> Result<bool, Error> {
    block_on(simulate(command))
}

async fn simulate(command: &Simulate) -> Result<bool, Error> {
    let bytes = std::fs::read(&command.file).map_err(|cause| unreadable(&command.file, cause))?;
    let past = if command.resume { Some(Past::read(&command.journal)?) } else { None };
    let (mut sheet, mistakes) = sheet::parse(&bytes);
    let found = find(command).await;
    let (client, restaurant, menu) = match found {
        Ok(found) => found,
        Err(error) if mistakes.is_empty() => return Err(error),
        // The file is refused with or without a platform.
        Err(_) => return Err(mistakes.into_error(&command.file)),
    };
    let unknown = sheet.unknown_items(&restaurant.name, |item| menu.contains_key(item));
    let mistakes = mistakes.and(unknown);
    if !mistakes.is_empty() {
        return Err(mistakes.into_error(&command.file));
    }
    let menu: Vec<MenuItem> =
        sheet.items.iter().filter_map(|item| menu.get(item).cloned()).collect();
    let (from, to) = (command.from, command.to);
    sheet.orders.retain(|order| {
        let day = order.placed_at.date();
        from.is_none_or(|from| day >= from) && to.is_none_or(|to| day <= to)
    });
    if sheet.orders.is_empty() {
        let message = format!("{} has no orders between --from and --to", command.file.display());
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    let header = match &past {
        Some(past) => resumed(command, past, &hex_digest(&bytes), &restaurant)?,
        None => begun(command, &client, &bytes, &restaurant, sheet.orders.len()).await?,
    };
    // From here on the platform may be away for as long as patience lasts.
    let client = client.connecting_within(None);
    play(command, client, restaurant, (sheet, menu), header, past).await
}

/// The restaurant and its menu.
async fn find(
    command: &Simulate,
) -> Result<(Client, Restaurant, std::collections::HashMap<String, MenuItem>), Error> {
    let client = command.connection.client()?;
    let otherwise =
        format!("a new one is made with: bistro import menu FILE --new {:?}", command.restaurant);
    let restaurant = restaurant::find(&client, &command.restaurant, Some(&otherwise)).await?;
    let menu = restaurant::menu(&client, &restaurant.id).await?;
    Ok((client, restaurant, menu))
}

/// The header of a new run.
async fn begun(
    command: &Simulate,
    client: &Client,
    bytes: &[u8],
    restaurant: &Restaurant,
    orders: usize,
) -> Result<Header, Error> {
    let patience = Duration::from_secs(command.patience);
    let before = settle::ledger(client, &restaurant.id, &restaurant.currency, patience).await?;
    Ok(Header {
        run: secret::run_name()?,
        file_sha256: hex_digest(bytes),
        restaurant_id: restaurant.id.clone(),
        from: command.from,
        to: command.to,
        // A customer without an order would be made for nothing.
        customers: usize::from(command.concurrency).min(orders),
        couriers: command.couriers.into(),
        baseline_minor: before.earned_minor,
        currency: restaurant.currency.clone(),
    })
}

/// The header of a run that is gone on with, if it is the same run.
fn resumed(
    command: &Simulate,
    past: &Past,
    digest: &str,
    restaurant: &Restaurant,
) -> Result<Header, Error> {
    let header = &past.header;
    let day = |day: Option<Date>| day.map_or_else(|| "not given".to_owned(), |day| day.to_string());
    let same = [
        ("the file's SHA-256", header.file_sha256.clone(), digest.to_owned()),
        ("the restaurant", header.restaurant_id.clone(), restaurant.id.clone()),
        ("--from", day(header.from), day(command.from)),
        ("--to", day(header.to), day(command.to)),
    ];
    match same.into_iter().find(|(_, was, is)| was != is) {
        None => Ok(header.clone()),
        Some((what, was, is)) => {
            let message = format!(
                "{} is the journal of another run: {what} was {was} and is {is}; begin a new one with --journal FILE",
                command.journal.display()
            );
            Err(Error::new(ErrorCode::InvalidArgument, message))
        }
    }
}

async fn play(
    command: &Simulate,
    client: Client,
    restaurant: Restaurant,
    (sheet, menu): (Sheet, Vec<MenuItem>),
    header: Header,
    past: Option<Past>,
) -> Result<bool, Error> {
    let (passwords, journal) = if let Some(past) = &past {
        (secret::read(&command.journal)?, Journal::go_on(&command.journal, past)?)
    } else {
        // Nothing of an earlier run is touched if the journal is there already.
        let journal = Journal::create(&command.journal, &header)?;
        (secret::create(&command.journal)?, journal)
    };
    let currency: Currency = restaurant.currency.parse().map_err(Error::internal)?;
    let patience = Duration::from_secs(command.patience);
    let stage = Arc::new(Stage::new(
        client,
        restaurant,
        header.run.clone(),
        sheet,
        menu,
        journal,
        past,
        patience,
    ));
    let orders = stage.sheet.orders.len() as u64;
    let lines = stage.sheet.orders.iter().map(|order| order.lines.len() as u64).sum();
    let expected_minor =
        stage.sheet.orders.iter().map(|order| stage.worth(order)).fold(0, i64::saturating_add);

    let numbers = Numbers {
        customers: header.customers,
        couriers: header.couriers,
        concurrency: command.concurrency.into(),
    };
    let shown = AbortOnDrop(tokio::spawn(progress::gathering(stage.clone(), numbers)));
    let gathering = Cast::gather(&stage, &passwords, numbers);
    let cast = Arc::new(interrupt::guard(gathering, RESUME).await?);
    drop(shown);
    let shown = AbortOnDrop(tokio::spawn(progress::show(stage.clone(), orders)));
    let began = Instant::now();
    let played = until_the_end(&stage, &cast, command.concurrency.into()).await;
    let took = began.elapsed();
    match &played {
        Ok(()) => cast.dismiss(&stage).await?,
        // What ended the run may keep the couriers from going off duty: a courtesy, no more.
        Err(_) => drop(tokio::time::timeout(GOING_HOME, cast.dismiss(&stage)).await),
    }
    played?;
    let completed: Vec<_> = Past::read(&command.journal)?
        .orders
        .into_values()
        .filter(|order| order.ended.as_deref() == Some("completed"))
        .collect();
    let sums = (header.baseline_minor, expected_minor);
    let settling = settle::settle(&stage, &completed, sums, patience);
    let settled: Settled = interrupt::guard(settling, RESUME).await?;
    drop(shown);

    let report = Report {
        run: &header.run,
        restaurant: &stage.restaurant.name,
        currency,
        orders,
        lines,
        expected_minor,
        took,
        settled: &settled,
        tally: &stage.tally,
    };
    match command.output {
        Format::Text => output::print(&report.text())?,
        Format::Json => output::print(&report.json().to_string())?,
    }
    let sound = report.findings().is_empty();
    if sound {
        secret::forget(&command.journal);
    }
    Ok(sound)
}

/// Plays every order; ends early when somebody cannot go on, or when it is interrupted.
async fn until_the_end(
    stage: &Arc<Stage>,
    cast: &Arc<Cast>,
    concurrency: usize,
) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let mut staff = JoinSet::new();
    let mut employ = |account: &Arc<account::Account>, job| {
        staff.spawn(staff::tend(stage.clone(), account.clone(), job, stop.clone()));
    };
    employ(&cast.manager, Job::Manager);
    employ(&cast.chef, Job::Chef);
    for courier in &cast.couriers {
        employ(courier, Job::Courier);
    }
    let playing = async {
        tokio::select! {
            ended = customers(stage, cast, concurrency) => ended,
            // Staff do not end by themselves.
            Some(ended) = staff.join_next() => {
                ended.map_err(Error::internal).and_then(|ended| ended)
            }
        }
    };
    let ended = interrupt::guard(playing, RESUME).await;
    stop.cancel();
    if ended.is_ok() {
        while let Some(ended) = staff.join_next().await {
            ended.map_err(Error::internal)??;
        }
    }
    ended
}

/// Plays the orders, in the order of the file, so many at once.
async fn customers(stage: &Arc<Stage>, cast: &Arc<Cast>, concurrency: usize) -> Result<(), Error> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut playing = JoinSet::new();
    for _ in 0..concurrency.min(stage.sheet.orders.len()) {
        let (stage, cast, next) = (stage.clone(), cast.clone(), next.clone());
        playing.spawn(async move {
            loop {
                let place = next.fetch_add(1, Relaxed);
                let Some(order) = stage.sheet.orders.get(place) else { return Ok(()) };
                // Whose order it is follows from its place, so that it is the same after a resume.
                let customer = &cast.customers[place % cast.customers.len()];
                customer::play(&stage, customer, order).await?;
            }
        });
    }
    while let Some(played) = playing.join_next().await {
        played.map_err(Error::internal).and_then(|played: Result<(), Error>| played)?;
    }
    Ok(())
}

/// Ends a task that nobody waits for any more.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn hex_digest(bytes: &[u8]) -> String {
    secret::hex(&Sha256::digest(bytes))
}

/// The file that lies beside the journal at `path`.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    PathBuf::from(name)
}
