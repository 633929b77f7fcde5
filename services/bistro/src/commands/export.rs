//! `bistro export`: a restaurant and its menu become a file.

use bistro_core::{Currency, Error};
use clap::{Args, ValueEnum};

use crate::{
    commands::{
        ask,
        connect::{Connection, block_on},
        menu_file::{self, Profile},
        restaurant,
    },
    output,
};

/// How a menu is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MenuFormat {
    /// A table, for `bistro import menu`.
    Csv,
    /// A schema.org Restaurant, for `bistro import restaurant`.
    JsonLd,
}

/// The words of `bistro export menu`.
#[derive(Args)]
pub(crate) struct ExportMenu {
    /// The restaurant whose menu it is.
    #[arg(long, value_name = "ID-or-name")]
    restaurant: String,
    /// How to write it.
    #[arg(long, value_enum, default_value = "csv")]
    format: MenuFormat,
    #[command(flatten)]
    connection: Connection,
}

/// Prints the file.
pub(crate) fn run(command: &ExportMenu) -> Result<(), Error> {
    block_on(async {
        let client = command.connection.client()?;
        let found = restaurant::find(&client, &command.restaurant, None).await?;
        let currency: Currency = found.currency.parse().map_err(Error::internal)?;
        let file = menu_file::fetch(&client, &found.id).await?;
        let text = match command.format {
            MenuFormat::Csv => menu_file::write_csv(&file, currency)?,
            MenuFormat::JsonLd => {
                let path = format!("/api/v1/restaurants/{}", found.id);
                let told = ask::get(&client, &path).await?.body;
                menu_file::write_json_ld(&Profile::of(&told), &file, currency)?
            }
        };
        output::print(&text)
    })
}
