//! Models of catalog and payments that keep to their protocols, as far as one order goes.

use std::collections::{BTreeMap, BTreeSet};

use bistro_core::{Error, ErrorCode};
use bistro_proto::payments::v1 as payments;

use super::WORDS;

/// What a role holds for the order, by revision.
#[derive(Default)]
pub(super) struct Held {
    pub(super) now: BTreeMap<u32, i64>,
    pub(super) given_up: BTreeSet<u32>,
    pub(super) ended: bool,
    /// The keys under which something was kept.
    marks: BTreeSet<String>,
}

impl Held {
    /// Holds `amount` for `revision`; false if that cannot be any more.
    pub(super) fn take(&mut self, revision: u32, amount: i64) -> bool {
        if self.ended || self.given_up.contains(&revision) {
            return false;
        }
        self.now.insert(revision, amount);
        // Never more than the two that an order stands between.
        assert!(self.now.len() <= 2, "{:?}", self.now);
        true
    }

    /// Keeps `revision` and gives up whatever else was `proposed`, also what has not come; false if
    /// that was done under this key: a copy that comes late is not about what was proposed since.
    pub(super) fn keep(&mut self, key: &str, (revision, proposed): (u32, u32)) -> bool {
        if !self.marks.insert(key.to_owned()) {
            return false;
        }
        self.given_up.extend((0..=proposed).filter(|one| *one != revision));
        if self.now.contains_key(&revision) {
            let others: Vec<u32> =
                self.now.keys().copied().filter(|one| *one != revision).collect();
            for other in others {
                self.now.remove(&other);
                self.given_up.insert(other);
            }
        }
        true
    }

    pub(super) fn end(&mut self) {
        self.now.clear();
        self.ended = true;
    }
}

/// What a card provider does with an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Approves,
    Declines,
    ApprovesLate,
    DeclinesLate,
}

pub(super) const PROVIDERS: [Provider; 4] =
    [Provider::Approves, Provider::Declines, Provider::ApprovesLate, Provider::DeclinesLate];

/// Payments, as its protocol has it.
#[derive(Default)]
pub(super) struct Money {
    pub(super) held: Held,
    pub(super) version: i64,
    /// Authorizations that the provider has not decided: revision, amount, whether it will approve.
    pub(super) pending: BTreeMap<u32, (i64, bool)>,
    declined: BTreeSet<u32>,
    /// What is told, and when: whether it is authorized, and the version.
    pub(super) told: Vec<(bool, i64)>,
}

impl Money {
    pub(super) fn authorize(
        &mut self,
        request: &payments::AuthorizeRequest,
        provider: Provider,
    ) -> Result<payments::Payment, Error> {
        let refuse = |code| Err(Error::new(code, WORDS));
        let (revision, amount) = (request.revision, request.amount.as_ref().unwrap().amount_minor);
        let known = self.held.now.contains_key(&revision)
            || self.pending.contains_key(&revision)
            || self.declined.contains(&revision);
        if self.held.ended || self.held.given_up.contains(&revision) {
            return refuse(ErrorCode::WrongState);
        }
        if !known {
            self.version += 1;
            match provider {
                Provider::Approves => drop(self.held.take(revision, amount)),
                Provider::Declines => drop(self.declined.insert(revision)),
                Provider::ApprovesLate => drop(self.pending.insert(revision, (amount, true))),
                Provider::DeclinesLate => drop(self.pending.insert(revision, (amount, false))),
            }
        }
        if self.declined.contains(&revision) {
            return refuse(ErrorCode::CardDeclined);
        }
        let pending = self.pending.contains_key(&revision);
        let state = if pending { "pending" } else { "authorized" }.to_owned();
        Ok(payments::Payment { state, version: self.version, ..payments::Payment::default() })
    }

    /// The provider decides.
    pub(super) fn decide(&mut self) {
        if let Some((revision, (amount, approved))) = self.pending.pop_first() {
            self.version += 1;
            if approved {
                self.held.take(revision, amount);
            } else {
                self.declined.insert(revision);
            }
            self.told.push((approved, self.version));
        }
    }

    pub(super) fn keep(&mut self, key: &str, (revision, proposed): (u32, u32)) {
        if !self.held.keep(key, (revision, proposed)) {
            return;
        }
        self.version += 1;
        let undecided: Vec<u32> =
            self.pending.keys().copied().filter(|one| *one != revision).collect();
        for other in undecided {
            self.pending.remove(&other);
            self.held.given_up.insert(other);
        }
    }

    pub(super) fn void(&mut self) {
        self.version += 1;
        self.pending.clear();
        self.held.end();
    }
}
