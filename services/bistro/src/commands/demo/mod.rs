//! `bistro demo`: three invented restaurants with all that belongs to them.
//!
//! Everything is made over the public API, as a platform's own people would. What is there already
//! is found by its name and left alone, so a run that was cut is gone on with, and one more changes
//! nothing.

mod bodies;
mod data;
mod people;
mod report;
mod restaurant;

use std::path::PathBuf;

use bistro_client::Client;
use bistro_core::Error;
use clap::Args;

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
        password,
        progress::Progress,
    },
    help::{ASKING, teach},
    output::Format,
};
use people::Cast;
use report::Report;

/// The words of `bistro demo`.
#[derive(Args)]
#[command(after_help = teach(
    &[
        ("bistro demo", "makes what is missing, and says how to log in"),
        ("bistro demo --new-passwords", "when nobody remembers the password"),
        ("bistro demo --connect-timeout 60", "in a script that has just started the platform"),
        ("bistro serve --demo", "the platform, with the demonstration in it"),
    ],
    "there are three restaurants, and the users who run them, order from them and deliver for them; what has their names already is left as it is.",
    ASKING,
))]
pub(crate) struct Demo {
    /// The file whose first line is everybody's password; - for standard input. Without it, one is
    /// made up.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Give those who are there already a new password too.
    #[arg(long)]
    new_passwords: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
pub(crate) fn run(command: &Demo) -> Result<bool, Error> {
    let password = match &command.password_file {
        Some(file) => password::read("everybody", Some(file))?,
        None => password::make_up()?,
    };
    let report = block_on(async {
        load(&command.connection.client()?, &password, command.new_passwords).await
    })?;
    let told = match command.output {
        Format::Text => report.text(),
        Format::Json => report.json().to_string(),
    };
    report.print(&told)?;
    Ok(true)
}

/// Loads it for `serve --demo` as the bearer of the operator's token, and says how to log in.
pub(crate) async fn load_once(url: &str, token: &str) -> Result<(), Error> {
    let client = Client::new(url)?.with_token(token)?;
    let report = load(&client, &password::make_up()?, false).await?;
    report.print(&report.text())
}

async fn load(client: &Client, password: &str, renew: bool) -> Result<Report, Error> {
    let (people, restaurants) = (data::people()?, data::restaurants()?);
    let progress = Progress::begin("demo");
    let mut report = Report::new(password);
    let mut cast = Cast::new(client, password, renew);

    progress.now("people");
    let mut users = vec![
        (&people.administrator.name, &people.administrator.email, "admin"),
        (&people.support.name, &people.support.email, "support"),
    ];
    users.extend(people.customers.iter().map(|one| (&one.name, &one.email, "customer")));
    for (name, email, role) in users {
        let user = cast.user(name, email, role).await?;
        report.person(&user, role);
    }
    for restaurant in &restaurants {
        progress.now(&restaurant.name);
        let made = restaurant::load(client, &mut cast, restaurant, &mut report).await?;
        report.restaurant(restaurant, made);
    }
    progress.now("couriers");
    let known = ask::rows(client, "/api/v1/couriers", usize::MAX).await?;
    for courier in &people.couriers {
        let user = cast.courier(courier, &known).await?;
        report.person(&user, "courier");
    }
    Ok(report)
}
