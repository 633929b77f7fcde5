//! `bistro admin`: the platform's administrators, and what is stored about a person.

use std::path::PathBuf;

use bistro_client::{Client, Request};
use bistro_core::{Error, ErrorCode};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
        password, users,
    },
    help::{ASKING, teach},
    output::{self, Format},
};

/// The words of `bistro admin`.
#[derive(Args)]
pub(crate) struct Admin {
    #[command(subcommand)]
    command: Command,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Subcommand)]
enum Command {
    /// Make an administrator, with a password that is asked for.
    #[command(after_help = teach(
        &[
            ("bistro admin create ada@example.org", "asks for the password twice, and does not show it"),
            ("bistro admin create ada@example.org --password-file /run/secrets/ada", "the first line of a file"),
            ("bistro admin create ada@example.org < password.txt", "the first line of standard input"),
        ],
        "there is one more user, who may do everything. A user of this address who is there already is left as they are.",
        ASKING,
    ))]
    Create {
        /// The address to log in with.
        email: String,
        /// How others see the administrator.
        #[arg(long, default_value = "Administrator")]
        name: String,
        /// The file whose first line is the password; - for standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Make a user an administrator. The user logs in again to be one.
    #[command(after_help = teach(
        &[("bistro admin grant ada@example.org", "Ada, who is a user, may do everything")],
        "the user's roles; the user's sessions end, the password stays.",
        ASKING,
    ))]
    Grant {
        /// The user's id or address.
        #[arg(value_name = "ID|EMAIL")]
        user: String,
    },
    /// Write out what is stored about a person, as JSON.
    #[command(after_help = teach(
        &[
            ("bistro admin export-user ada@example.org > ada.json", "a person asks what is known of them"),
            ("bistro admin export-user usr_01jd3x8k4v9q2w7r5t6y8z0abc", "by id"),
        ],
        "nothing.",
        ASKING,
    ))]
    ExportUser {
        /// The user's id or address.
        #[arg(value_name = "ID|EMAIL")]
        user: String,
    },
}

/// Runs the command.
pub(crate) fn run(command: &Admin) -> Result<bool, Error> {
    let format = command.output;
    block_on(async {
        let client = command.connection.client()?;
        match &command.command {
            Command::Create { email, name, password_file } => {
                let password = password::read(email, password_file.as_deref())?;
                create(&client, email, name, &password, format).await
            }
            Command::Grant { user } => grant(&client, user, format).await,
            Command::ExportUser { user } => export(&client, user).await,
        }
    })
    .map(|()| true)
}

async fn create(
    client: &Client,
    email: &str,
    name: &str,
    password: &str,
    format: Format,
) -> Result<(), Error> {
    let body = json!({ "email": email, "password": password, "name": name, "roles": ["admin"] });
    let request = Request::post("/api/v1/users", ask::fresh_key()?, &body);
    let made = match ask::send(client, &request).await {
        Err(error) if error.code() == ErrorCode::AlreadyExists => {
            let message = format!(
                "there is a user with the address {email} already; make them an administrator with: bistro admin grant {email}"
            );
            return Err(Error::new(ErrorCode::AlreadyExists, message));
        }
        answered => answered?.body,
    };
    told(&made, "is an administrator now", format)
}

async fn grant(client: &Client, user: &str, format: Format) -> Result<(), Error> {
    let user = users::find(client, user).await?;
    let mut roles: Vec<&str> =
        user["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if roles.contains(&"admin") {
        return told(&user, "is an administrator already", format);
    }
    roles.retain(|role| *role != "customer");
    roles.push("admin");
    let body = json!({ "email": user["email"], "name": user["name"], "roles": roles });
    let path = format!("/api/v1/users/{}", users::id(&user));
    let request = Request::put(path, &body).if_match(&user["version"]);
    let granted = ask::send(client, &request).await?.body;
    told(&granted, "is an administrator, from the next login on", format)
}

async fn export(client: &Client, user: &str) -> Result<(), Error> {
    let user = users::find(client, user).await?;
    let path = format!("/api/v1/users/{}/export", users::id(&user));
    let export = ask::get(client, &path).await?.body;
    // A person may read it.
    output::print(&format!("{export:#}"))
}

fn told(user: &Value, what: &str, format: Format) -> Result<(), Error> {
    match format {
        Format::Json => output::print(&user.to_string()),
        Format::Text => {
            let email = user["email"].as_str().unwrap_or_default();
            output::print(&format!("{email} ({}) {what}", users::id(user)))
        }
    }
}
