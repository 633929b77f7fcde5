//! What a run has made, and how to log in.

use std::fmt::Write as _;

use bistro_core::Error;
use serde_json::{Value, json};

use super::{data::Restaurant, people::User, restaurant::Made};
use crate::{
    commands::table::Table,
    output::{self, counted},
};

/// What to do when nobody has read the password.
const LOST: &str = "the demonstration is loaded, but its password was shown to nobody; make another one with: bistro demo --new-passwords";

/// What a run has made and found.
pub(super) struct Report {
    password: String,
    people: Vec<(Row, bool)>,
    restaurants: Vec<(String, Made)>,
    made: u64,
}

struct Row {
    name: String,
    email: String,
    what: String,
}

impl Report {
    pub(super) fn new(password: &str) -> Self {
        Self { password: password.to_owned(), people: Vec::new(), restaurants: Vec::new(), made: 0 }
    }

    /// `user` takes part as `what`.
    pub(super) fn person(&mut self, user: &User, what: &str) {
        self.made += u64::from(user.made);
        let row = Row { name: user.name.clone(), email: user.email.clone(), what: what.to_owned() };
        self.people.push((row, user.has_password));
    }

    /// `restaurant` is there.
    pub(super) fn restaurant(&mut self, restaurant: &Restaurant, made: Made) {
        self.made += made.count;
        self.restaurants.push((restaurant.name.clone(), made));
    }

    /// Whether the password opens any account.
    fn has_password(&self) -> bool {
        self.people.iter().any(|(_, has)| *has)
    }

    /// Prints `told`, which is this report. A password that nobody could read is not lost in
    /// silence.
    pub(super) fn print(&self, told: &str) -> Result<(), Error> {
        if self.has_password() { output::print_once(told, LOST) } else { output::print(told) }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&["WHO", "IS", "LOGS IN AS", "PASSWORD"]);
        for (row, has_password) in &self.people {
            let password = if *has_password { "as below" } else { "as before" };
            table.row([row.name.clone(), row.what.clone(), row.email.clone(), password.to_owned()]);
        }
        let mut text = table.text();
        text.push('\n');
        let mut table = Table::new(&["RESTAURANT", "ID"]);
        for (name, made) in &self.restaurants {
            table.row([name.clone(), made.id.clone()]);
        }
        text.push_str(&table.text());
        // Writing to a String cannot fail.
        if self.has_password() {
            let _ = write!(
                text,
                "\nThe password is {}. It is shown this once; `bistro demo --new-passwords` makes \
                 another.\n",
                self.password
            );
        }
        let _ = match self.made {
            0 => writeln!(text, "The demonstration was there already; nothing was made."),
            made => writeln!(text, "The demonstration is loaded: {} made.", counted(made, "thing")),
        };
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let people: Vec<Value> = self
            .people
            .iter()
            .map(|(row, has_password)| {
                json!({
                    "name": row.name, "is": row.what, "email": row.email,
                    "password": has_password.then_some(&self.password),
                })
            })
            .collect();
        let restaurants: Vec<Value> = self
            .restaurants
            .iter()
            .map(|(name, made)| json!({ "name": name, "id": made.id }))
            .collect();
        json!({ "made": self.made, "people": people, "restaurants": restaurants })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(made: bool) -> Report {
        let mut report = Report::new("s3cret");
        let user = User {
            id: "usr_1".into(),
            name: "Ines".into(),
            email: "ines@bistro.example".into(),
            has_password: made,
            made,
        };
        report.person(&user, "admin");
        report
    }

    #[test]
    fn the_password_is_shown_to_those_who_need_it() {
        let text = report(true).text();
        assert!(
            text.contains("The password is s3cret.") && text.contains("1 thing made"),
            "{text}"
        );
        assert_eq!(report(true).json()["people"][0]["password"], "s3cret");
        let text = report(false).text();
        assert!(!text.contains("s3cret") && text.contains("as before"), "{text}");
        assert_eq!(report(false).json()["people"][0]["password"], Value::Null);
    }
}
