//! What the roles say of one order, merged by time.

use std::fmt::Write as _;

use bistro_core::{Currency, Money, Timestamp};
use serde_json::{Value, json};

use crate::commands::table::Table;

/// What every role has of one order.
pub(super) struct Story {
    pub(super) order: Value,
    pub(super) payment: Option<Value>,
    /// The ledger's entries; none if whoever asks may not see them.
    pub(super) ledger: Option<Value>,
    pub(super) ticket: Option<Value>,
    pub(super) delivery: Option<Value>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moment {
    at: Timestamp,
    role: &'static str,
    what: String,
    detail: String,
}

impl Story {
    /// Everything that has a time, oldest first; what happened at once in the order of the roles.
    fn moments(&self) -> Vec<Moment> {
        let mut moments = Vec::new();
        self.order_moments(&mut moments);
        self.payment_moments(&mut moments);
        self.ledger_moments(&mut moments);
        self.ticket_moments(&mut moments);
        self.delivery_moments(&mut moments);
        moments.sort_by_key(|moment| moment.at);
        moments
    }

    fn order_moments(&self, moments: &mut Vec<Moment>) {
        for entry in self.order["timeline"].as_array().into_iter().flatten() {
            let detail = joined(&[text(entry, "by"), text(entry, "reason")]);
            add(moments, entry, "at", "orders", text(entry, "state"), detail);
        }
    }

    fn payment_moments(&self, moments: &mut Vec<Moment>) {
        let Some(payment) = &self.payment else { return };
        let amount = money(&payment["amount"]);
        add(moments, payment, "created_at", "payments", "asked for", amount);
        for (field, what) in [("authorized_at", "authorized"), ("captured_at", "captured")] {
            add(moments, payment, field, "payments", what, String::new());
        }
        for refund in payment["refunds"].as_array().into_iter().flatten() {
            let what = match text(refund, "state") {
                "done" => "refunded",
                "refused" => "refund refused",
                _ => "refund pending",
            };
            let detail = joined(&[
                &money(&refund["amount"]),
                text(refund, "reason"),
                text(refund, "refused"),
            ]);
            add(moments, refund, "answered_at", "payments", what, detail);
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Value> {
        let entries = self.ledger.as_ref().and_then(|ledger| ledger["items"].as_array());
        entries.into_iter().flatten()
    }

    fn ledger_moments(&self, moments: &mut Vec<Moment>) {
        for entry in self.entries() {
            let lines = entry["lines"].as_array().into_iter().flatten();
            let lines: Vec<String> = lines
                .map(|line| format!("{} {}", text(line, "account"), money(&line["amount"])))
                .collect();
            let what = format!("ledger: {}", text(entry, "kind"));
            add(moments, entry, "at", "payments", &what, lines.join(", "));
        }
    }

    fn ticket_moments(&self, moments: &mut Vec<Moment>) {
        let Some(ticket) = &self.ticket else { return };
        let id = || text(ticket, "id").to_owned();
        add(moments, ticket, "created_at", "kitchen", "ticket queued", id());
        for item in ticket["items"].as_array().into_iter().flatten() {
            let what = format!("{} × {}", item["quantity"], text(item, "name"));
            add(moments, item, "started_at", "kitchen", "item begun", what.clone());
            add(moments, item, "done_at", "kitchen", "item ready", what);
        }
        add(moments, ticket, "started_at", "kitchen", "ticket begun", id());
        add(moments, ticket, "done_at", "kitchen", "ticket ready", id());
        if matches!(text(ticket, "state"), "handed_over" | "cancelled") {
            let what = format!("ticket {}", text(ticket, "state").replace('_', " "));
            add(moments, ticket, "changed_at", "kitchen", &what, id());
        }
    }

    fn delivery_moments(&self, moments: &mut Vec<Moment>) {
        let Some(delivery) = &self.delivery else { return };
        let id = text(delivery, "id").to_owned();
        add(moments, delivery, "created_at", "delivery", "delivery made", id);
        let state = text(delivery, "state");
        if state != "pending" {
            let detail = joined(&[text(delivery, "courier_id"), text(delivery, "reason_code")]);
            let what = state.replace('_', " ");
            add(moments, delivery, "changed_at", "delivery", &what, detail);
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let order = &self.order;
        let mut told = String::new();
        let mut line = |name: &str, value: String| {
            if !value.is_empty() {
                // Writing to a String cannot fail.
                let _ = writeln!(told, "{name:<11} {value}");
            }
        };
        let state = |value: &Option<Value>| {
            value.as_ref().map(|value| {
                joined(&[text(value, "state"), text(value, "reason"), text(value, "reason_code")])
            })
        };
        let none = || Some("none".to_owned());
        line("order", text(order, "id").to_owned());
        line("state", joined(&[text(order, "state"), text(order, "reason")]));
        line("restaurant", text(order, "restaurant_id").to_owned());
        line("customer", text(order, "customer_id").to_owned());
        line("fulfilment", text(order, "fulfilment").to_owned());
        line("total", money(&order["total"]));
        line("payment", self.payment_line().or_else(none).unwrap_or_default());
        line("ticket", state(&self.ticket).or_else(none).unwrap_or_default());
        line("delivery", state(&self.delivery).or_else(none).unwrap_or_default());
        let mut table = Table::new(&["TIME", "ROLE", "WHAT", "DETAIL"]);
        for moment in self.moments() {
            let Moment { at, role, what, detail } = moment;
            table.row([at.to_string(), role.to_owned(), what, detail]);
        }
        told.push('\n');
        told.push_str(&table.text());
        told
    }

    fn payment_line(&self) -> Option<String> {
        let payment = self.payment.as_ref()?;
        let sum = |field: &str, word: &str| {
            let minor = payment[field]["amount_minor"].as_i64().unwrap_or_default();
            if minor == 0 { String::new() } else { format!("{word} {}", money(&payment[field])) }
        };
        let parts = [
            text(payment, "state").to_owned(),
            text(payment, "reason").to_owned(),
            sum("captured", "taken"),
            sum("refunded", "given back"),
        ];
        Some(joined(&parts.each_ref().map(String::as_str)))
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let timeline: Vec<Value> = self
            .moments()
            .into_iter()
            .map(|moment| {
                json!({
                    "at": moment.at.to_string(), "role": moment.role, "what": moment.what,
                    "detail": moment.detail,
                })
            })
            .collect();
        json!({
            "order": self.order, "payment": self.payment,
            "ledger": self.ledger.as_ref().map(|ledger| &ledger["items"]),
            "ticket": self.ticket, "delivery": self.delivery, "timeline": timeline,
        })
    }
}

/// Adds what happened at the moment in `field`, if there is one.
fn add(
    moments: &mut Vec<Moment>,
    of: &Value,
    field: &str,
    role: &'static str,
    what: &str,
    detail: String,
) {
    if let Ok(at) = text(of, field).parse() {
        moments.push(Moment { at, role, what: what.to_owned(), detail });
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// Those of `parts` that say something.
fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// An amount as people write it; nothing if it is none.
fn money(value: &Value) -> String {
    let read = || {
        let currency: Currency = value["currency"].as_str()?.parse().ok()?;
        Some(Money { amount_minor: value["amount_minor"].as_i64()?, currency }.to_string())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> String {
        format!("2026-11-21T22:00:{second:02}.000Z")
    }

    fn story() -> Story {
        let gbp = |amount: i64| json!({ "amount_minor": amount, "currency": "GBP" });
        Story {
            order: json!({
                "id": "ord_1", "state": "cancelled", "reason": "out_of_naan", "total": gbp(1345),
                "timeline": [
                    { "state": "placed", "at": at(1), "by": "usr_1", "reason": null },
                    { "state": "cancelled", "at": at(9), "by": "usr_2", "reason": "out_of_naan" },
                ],
            }),
            payment: Some(json!({
                "state": "refunded", "amount": gbp(1345), "captured": gbp(1345),
                "refunded": gbp(1345), "created_at": at(2), "authorized_at": at(3),
                "captured_at": at(6), "refunds": [
                    { "number": 1, "amount": gbp(1345), "state": "done", "answered_at": at(8) },
                    { "number": 2, "amount": gbp(1), "state": "pending", "answered_at": null },
                ],
            })),
            ledger: Some(json!({ "items": [
                { "id": "led_1", "kind": "capture", "at": at(6), "lines": [
                    { "account": "cards_receivable", "amount": gbp(1345) },
                    { "account": "restaurant_payable", "amount": gbp(-1345) },
                ] },
            ] })),
            ticket: Some(json!({
                "id": "tkt_1", "state": "cancelled", "created_at": at(4), "changed_at": at(9),
                "items": [{ "name": "Naan", "quantity": 2, "started_at": at(5), "done_at": null }],
            })),
            delivery: None,
        }
    }

    #[test]
    fn what_the_roles_say_is_merged_by_time() {
        let moments = story().moments();
        let told: Vec<(&str, &str)> =
            moments.iter().map(|moment| (moment.role, moment.what.as_str())).collect();
        assert_eq!(
            told,
            [
                ("orders", "placed"),
                ("payments", "asked for"),
                ("payments", "authorized"),
                ("kitchen", "ticket queued"),
                ("kitchen", "item begun"),
                ("payments", "captured"),
                ("payments", "ledger: capture"),
                ("payments", "refunded"),
                ("orders", "cancelled"),
                ("kitchen", "ticket cancelled"),
            ]
        );
        assert_eq!(moments[6].detail, "cards_receivable 13.45 GBP, restaurant_payable -13.45 GBP");
        assert_eq!(moments[8].detail, "usr_2, out_of_naan");
    }

    #[test]
    fn the_text_has_the_states_and_the_json_has_everything() {
        let told = story().text();
        assert!(told.contains("state       cancelled, out_of_naan\n"), "{told}");
        assert!(told.contains("delivery    none\n"), "{told}");
        assert!(told.contains("2 × Naan"), "{told}");
        let json = story().json();
        assert_eq!(json["timeline"].as_array().map(Vec::len), Some(10));
        assert_eq!(json["payment"]["state"], "refunded");
        assert_eq!(json["ledger"][0]["kind"], "capture");
        assert_eq!(json["delivery"], Value::Null);
    }
}
