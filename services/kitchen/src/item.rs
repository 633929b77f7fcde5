//! One line of a ticket: what may be done to it, from where, and where that leads.

use bistro_core::{Id, Timestamp, kinds};
use serde::{Deserialize, Serialize};

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ItemState {
    Queued,
    InPreparation,
    Ready,
}

impl ItemState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InPreparation => "in_preparation",
            Self::Ready => "ready",
        }
    }
}

/// What a cook does to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Begins.
    Start,
    /// Is done with it.
    Bump,
    /// Takes it back.
    Recall,
    /// Has it wait.
    Hold,
    /// Has it wait no longer.
    Fire,
}

/// Where an item is, and whether it is held back.
type Place = (ItemState, bool);

const QUEUED: Place = (ItemState::Queued, false);
const HELD: Place = (ItemState::Queued, true);
const COOKING: Place = (ItemState::InPreparation, false);
const READY: Place = (ItemState::Ready, false);

/// Every allowed action on an item: from where, by what, to where.
///
/// An item that is bumped without having been started was in preparation in between all the same,
/// also if it was held: a bump says that it is cooked. Two cooks who bump, hold or fire the same
/// item want the same, so the second one changes nothing.
const TABLE: &[(Place, Action, Place)] = &[
    (QUEUED, Action::Start, COOKING),
    (QUEUED, Action::Bump, READY),
    (HELD, Action::Bump, READY),
    (COOKING, Action::Bump, READY),
    (READY, Action::Bump, READY),
    (READY, Action::Recall, COOKING),
    (QUEUED, Action::Hold, HELD),
    (HELD, Action::Hold, HELD),
    (HELD, Action::Fire, QUEUED),
    (QUEUED, Action::Fire, QUEUED),
    (COOKING, Action::Fire, COOKING),
    (READY, Action::Fire, READY),
];

/// One line of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// What is to be cooked.
    #[serde(rename = "item")]
    pub(crate) dish: Id<kinds::Item>,
    pub(crate) name: String,
    pub(crate) quantity: u32,
    pub(crate) state: ItemState,
    /// Who cooks it; nobody in particular in a restaurant without stations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) station: Option<Id<kinds::Station>>,
    /// Names of the options that were chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) choices: Vec<String>,
    /// Whether nobody should begin yet; only of what is queued.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) held: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done_at: Option<Timestamp>,
}

impl Item {
    /// Takes `action`; true if that changed anything, none if it cannot be taken.
    pub(crate) fn take(&mut self, action: Action, now: Timestamp) -> Option<bool> {
        let from = (self.state, self.held);
        let (_, _, to) = TABLE.iter().find(|(place, by, _)| (*place, *by) == (from, action))?;
        if *to == from {
            return Some(false);
        }
        (self.state, self.held) = *to;
        if self.state >= ItemState::InPreparation {
            self.started_at.get_or_insert(now);
        }
        self.done_at = (self.state == ItemState::Ready).then_some(now);
        Some(true)
    }

    /// Why `action` cannot be taken.
    pub(crate) fn refusal(&self, action: Action) -> String {
        if self.held && action == Action::Start {
            return format!("{} is held back; fire it first", self.name);
        }
        format!("{} is {} already or still", self.name, self.state.as_str())
    }
}
