//! Changes and slots, against models of catalog and payments that keep to their protocols: in
//! whatever order calls, events, timers and people come, nothing is left held that the order does
//! not stand for, and nothing is missing that it does.

mod cases;

use std::collections::BTreeSet;

use bistro_proto::{catalog::v1 as catalog, payments::v1 as payments};
use bistro_store::{CallChain, Write};
use proptest::{strategy::ValueTree as _, test_runner::TestRunner};

use super::{
    models::{Held, Money, PROVIDERS, Provider},
    *,
};
use crate::documents::Stage;

const CAPACITY: i64 = 1;
const SLOTS: [Timestamp; 2] =
    [Timestamp::from_millis(2_000_000), Timestamp::from_millis(2_900_000)];

/// An attempt at a call.
struct Call {
    chain: CallChain,
    answers: Vec<Vec<u8>>,
}

/// The order, everything that was asked of others, and what they made of it.
struct Platform {
    order: Versioned<Order>,
    works: u32,
    slots: BTreeMap<String, i64>,
    timers: BTreeMap<&'static str, Timestamp>,
    calls: Vec<Call>,
    /// The calls that have had no outcome.
    open: BTreeSet<String>,
    stock: Held,
    /// Whether what is ordered is counted; of what is not, catalog keeps no trace.
    counted: bool,
    money: Money,
    /// What payments has told and orders has not taken in.
    events: VecDeque<(bool, i64)>,
    adopted: u32,
}

impl Platform {
    fn new(slot: Option<Timestamp>, counted: bool) -> Self {
        let order = new_order(content(500, slot));
        let mut platform = Self {
            order: Versioned { value: order.clone(), version: 0 },
            works: 0,
            slots: BTreeMap::new(),
            timers: BTreeMap::new(),
            calls: Vec::new(),
            open: BTreeSet::new(),
            stock: Held::default(),
            counted,
            money: Money::default(),
            events: VecDeque::new(),
            adopted: 0,
        };
        let mut work = platform.work();
        let wanted = platform.wanted(slot);
        place(&mut work, order, wanted, CONFIRM_BY, ACCEPT_BY).unwrap();
        platform.commit(work);
        platform
    }

    fn wanted(&self, slot: Option<Timestamp>) -> Option<(Place, Option<Slot>)> {
        let (restaurant, from) = (self.order.restaurant, slot?);
        let there = self.slots.get(&Slot::id_of(restaurant, from));
        let slot = there.map(|balance| Slot { restaurant, from, balance: *balance });
        Some((Place { restaurant, from, capacity: 1 }, slot))
    }

    fn work(&mut self) -> Work {
        self.works += 1;
        let cause = Cause::request("usr_ada", "test", &self.works.to_string(), b"");
        Work::new("orders", cause, NOW, None)
    }

    fn commit(&mut self, work: Work) {
        work.check().unwrap();
        for (place, write) in work.writes.iter().enumerate() {
            match write {
                Write::Insert { data, .. } | Write::Replace { data, .. } if place == 0 => {
                    let version = self.order.version + 1;
                    self.order = Versioned { value: serde_json::from_str(data).unwrap(), version };
                }
                Write::Insert { document, data, .. } => {
                    let slot: Slot = serde_json::from_str(data).unwrap();
                    let before = self.slots.insert(document.id.clone(), slot.balance);
                    assert_eq!(before, None, "an insert of what is there is a conflict");
                }
                Write::Adjust { document, field: "balance", by, at_least } => {
                    let balance = self.slots.get_mut(&document.id).expect("a slot to adjust");
                    *balance += by;
                    assert!(*balance >= *at_least);
                }
                other => panic!("{other:?}"),
            }
        }
        for balance in self.slots.values() {
            assert!((-CAPACITY..=0).contains(balance), "{:?}", self.slots);
        }
        for chain in work.calls {
            assert!(self.open.insert(chain.id.clone()), "{chain:?} twice");
            self.calls.push(Call { chain, answers: Vec::new() });
        }
        for timer in &work.timers {
            match timer.at {
                Some(at) => self.timers.insert(timer.name, at),
                None => self.timers.remove(timer.name),
            };
        }
    }

    /// Commits what `decide` makes of the order; what it refuses changes nothing.
    fn decide(
        &mut self,
        decide: impl FnOnce(&mut Work, &Versioned<Order>) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        let (mut work, before) = (self.work(), self.order.clone());
        let changed = decide(&mut work, &before)?;
        if changed {
            self.commit(work);
        }
        Ok(changed)
    }

    fn modify(&mut self, total: i64, slot: Option<Timestamp>) -> Result<bool, Error> {
        self.propose(content(total, slot), None)
    }

    fn propose(&mut self, content: Content, address: Option<String>) -> Result<bool, Error> {
        let place = self.wanted(content.scheduled_for);
        let proposal = Proposal { content, address, place };
        self.decide(|work, before| {
            propose(work, before, proposal, (CONFIRM_BY, ACCEPT_BY)).map(|_| true)
        })
    }

    /// Another process takes call `place` up, because the one that made it died or, if not, is slow
    /// and goes on beside it.
    fn take_up(&mut self, place: usize, died: bool) {
        let chain = self.calls[place].chain.clone();
        if died {
            self.calls.remove(place);
        }
        if !self.open.contains(&chain.id) {
            return;
        }
        // As the reactor does.
        if chain.label == PLACE_CALL && !self.order.retried {
            self.decide(|work, before| note_retry(work, before).map(|()| true)).unwrap();
        }
        self.calls.push(Call { chain, answers: Vec::new() });
    }

    /// Makes the next step of call `place`, or brings its outcome if that was the last.
    fn go_on(&mut self, place: usize, sold_out: bool, provider: Provider) {
        let call = &self.calls[place];
        let Some(step) = call.chain.steps.get(call.answers.len()) else {
            return self.conclude(place, None);
        };
        let key = call.chain.step_key(call.answers.len());
        let method = step.method.rsplit('/').next().unwrap();
        let bytes = step.request.as_slice();
        let answer = match (step.role.as_str(), method) {
            ("catalog", "Reserve") => {
                let request = catalog::ReserveRequest::decode(bytes).unwrap();
                let there = self.stock.now.contains_key(&request.revision);
                let quantity: u32 = request.lines.iter().map(|line| line.quantity).sum();
                if sold_out && !there {
                    Err(Error::new(ErrorCode::SoldOut, WORDS))
                } else if !self.counted && !self.stock.ended {
                    Ok(catalog::ReserveResponse { counted_lines: 0 }.encode_to_vec())
                } else if self.stock.take(request.revision, quantity.into()) {
                    Ok(catalog::ReserveResponse { counted_lines: 1 }.encode_to_vec())
                } else {
                    Err(Error::new(ErrorCode::WrongState, WORDS))
                }
            }
            ("catalog", "Keep") => {
                let request = catalog::KeepRequest::decode(bytes).unwrap();
                self.stock.keep(&key, (request.revision, request.proposed));
                Ok(Vec::new())
            }
            ("catalog", "Release") => {
                self.stock.end();
                Ok(Vec::new())
            }
            ("payments", "Authorize") => {
                let request = payments::AuthorizeRequest::decode(bytes).unwrap();
                self.money.authorize(&request, provider).map(|payment| payment.encode_to_vec())
            }
            ("payments", "Keep") => {
                let request = payments::KeepRequest::decode(bytes).unwrap();
                self.money.keep(&key, (request.revision, request.proposed));
                Ok(Vec::new())
            }
            ("payments", "Void") => {
                self.money.void();
                Ok(Vec::new())
            }
            ("payments", "Capture") => Ok(Vec::new()),
            other => panic!("{other:?}"),
        };
        match answer {
            Ok(answer) => self.calls[place].answers.push(answer),
            Err(why) => self.conclude(place, Some(why)),
        }
    }

    /// Brings the outcome of call `place`, as the reactor reads it.
    fn conclude(&mut self, place: usize, refused: Option<Error>) {
        let Call { chain, answers } = self.calls.remove(place);
        if !self.open.remove(&chain.id) {
            // Another attempt brought one: whatever the order makes of it is not committed.
            return;
        }
        let payment = answers.get(1).map(|bytes| payments::Payment::decode(&**bytes).unwrap());
        let reserved = !answers.is_empty();
        let reservation = answers.first().map_or(&[][..], Vec::as_slice);
        let held = catalog::ReserveResponse::decode(reservation).unwrap().counted_lines > 0;
        let decided = match chain.label.as_str() {
            PLACE_CALL => {
                let came = match (&refused, payment) {
                    (Some(why), _) if !reserved => Placed::NoStock(why.clone()),
                    (Some(why), _) => Placed::NoPayment { stock_held: held, why: why.clone() },
                    (None, Some(payment)) if payment.state == "authorized" => {
                        Placed::Done { stock_held: held, paid: Paid::Authorized }
                    }
                    _ => Placed::Done { stock_held: held, paid: Paid::Pending },
                };
                self.decide(|work, before| placed(work, before, &came, ACCEPT_WITHIN))
            }
            CHANGE_CALL => {
                let came = match (refused, payment) {
                    (Some(why), _) => Taken::Refused(why),
                    (None, Some(payment)) if payment.state == "authorized" => {
                        Taken::Done { counted: held }
                    }
                    (None, payment) => {
                        Taken::Pending { counted: held, seen: payment.unwrap().version }
                    }
                };
                self.decide(|work, before| taken(work, before, &came, ACCEPT_WITHIN))
            }
            SETTLE_CALL => {
                assert!(refused.is_none());
                self.decide(|work, before| settled(work, before, None))
            }
            _ => Ok(false),
        };
        decided.unwrap();
    }

    /// Takes in the oldest event; one that comes too early comes again.
    fn hear(&mut self) {
        let Some((approved, sequence)) = self.events.pop_front() else { return };
        let heard = self.decide(|work, before| {
            if approved {
                authorized(work, before, sequence, ACCEPT_WITHIN)
            } else {
                payment_failed(work, before, sequence, "card_declined")
            }
        });
        match heard {
            Err(error) if error.code() == ErrorCode::Unavailable => {
                self.events.push_back((approved, sequence));
            }
            heard => drop(heard.unwrap()),
        }
    }

    /// One thing of all that may happen, as `pick` says.
    fn happen(&mut self, pick: u16) {
        let (what, how) = (pick % 16, usize::from(pick / 16));
        let by = By { who: "usr_ada", reason: WORDS };
        let end = |platform: &mut Self, step| {
            // What may not be is refused, and changes nothing.
            let _ = platform.decide(|work, before| end_early(work, before, step, by).map(|_| true));
        };
        match what {
            0..=5 if !self.calls.is_empty() => {
                let provider = PROVIDERS[how / 8 % 4];
                self.go_on(how % self.calls.len(), how % 5 == 0, provider);
            }
            6 if !self.calls.is_empty() => self.take_up(how % self.calls.len(), how / 8 % 2 == 0),
            7 => self.money.decide(),
            8 => {
                // A message may be lost on its way and come again; here it comes twice.
                let told: Vec<_> = self.money.told.drain(..).collect();
                self.events.extend(told.iter().chain(&told));
                self.hear();
            }
            9 | 10 => {
                let slot = [None, Some(SLOTS[0]), Some(SLOTS[1])][how % 3];
                let total = [200, 500, 900][how / 3 % 3];
                let before = self.order.clone();
                match self.modify(total, slot) {
                    Ok(_) => assert!(before.state == State::Confirmed && before.change.is_none()),
                    Err(error) => assert!(
                        [ErrorCode::WrongState, ErrorCode::Conflict].contains(&error.code()),
                        "{error}"
                    ),
                }
            }
            11 if how % 8 == 0 => {
                let accepted = self.decide(|work, before| {
                    accept(work, before, By::role("usr_bob"), None).map(|_| true)
                });
                assert!(accepted.is_err() || self.order.change.is_none());
            }
            12 if how % 8 == 0 => {
                let set: Vec<_> = self.timers.keys().copied().collect();
                if let Some(timer) = set.get(how / 8 % set.len().max(1)) {
                    self.timers.remove(timer);
                    self.decide(|work, before| timed_out(work, before, timer)).unwrap();
                }
            }
            13 if how % 16 == 0 => end(self, Step::CancelByCustomer),
            14 if how % 16 == 0 => end(self, [Step::Reject, Step::CancelByStaff][how / 16 % 2]),
            15 => {
                let ticket = i64::from(self.works);
                self.decide(|work, before| kitchen_tells(work, before, Kitchen::Cooking, ticket))
                    .unwrap();
            }
            _ => {}
        }
    }

    /// Lets everything that is under way come to its end.
    fn come_to_rest(&mut self) {
        for _ in 0..100 {
            while !self.calls.is_empty() {
                self.go_on(0, false, Provider::Approves);
            }
            self.money.decide();
            self.events.extend(self.money.told.drain(..).collect::<Vec<_>>());
            if self.events.is_empty() && self.money.pending.is_empty() {
                return;
            }
            self.hear();
        }
        panic!("it does not come to rest: {:?}", self.order);
    }

    /// What is held is what the order stands for.
    fn check(&self) -> Result<(), TestCaseError> {
        let order = &self.order;
        prop_assert!(order.change.is_none() && !order.placing, "{:?}", order);
        let ended = order.state.is_failure();
        let cooked = order.timeline.iter().any(|entry| entry.state == State::Preparing);
        let revisions = |held: &Held| held.now.keys().copied().collect::<Vec<_>>();
        let own = vec![order.revision];
        let none = Vec::new();
        prop_assert_eq!(
            revisions(&self.stock),
            if !self.counted || ended && !cooked { none.clone() } else { own.clone() }
        );
        prop_assert_eq!(order.stock_held, self.counted && (!ended || cooked));
        prop_assert_eq!(revisions(&self.money.held), if ended { none } else { own });
        if !ended {
            let amount = self.money.held.now[&order.revision];
            prop_assert_eq!(amount, order.content.total.amount_minor);
            let tenders: i64 = order.content.tenders.iter().map(|one| one.amount_minor).sum();
            prop_assert_eq!(tenders, amount);
        }
        let place = order.content.scheduled_for.filter(|_| !ended);
        prop_assert_eq!(order.slot_held, place.is_some());
        for slot in SLOTS {
            let balance = self.slots.get(&Slot::id_of(order.restaurant, slot)).copied();
            let expected = if place == Some(slot) { -1 } else { 0 };
            prop_assert_eq!(balance.unwrap_or(0), expected, "slot {}", slot);
        }
        prop_assert!(order.problem.is_empty());
        prop_assert_eq!(self.timers.contains_key(CHANGE_TIMER), false);
        // It is accepted by when its time says, whichever time it had before.
        if order.state == State::Confirmed {
            let by = accept_by(order.content.scheduled_for, NOW, ACCEPT_WITHIN);
            prop_assert_eq!(order.accept_by, Some(by));
            prop_assert_eq!(self.timers.get(ACCEPT_TIMER).copied(), Some(by));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Whatever happens to an order that is changed: what is held in the end is what it stands for.
    #[test]
    fn nothing_leaks_and_nothing_is_missing(
        slot in prop::option::of(0..2_usize),
        is_confirmed in prop::bool::weighted(0.8),
        counted in any::<bool>(),
        picks in prop::collection::vec(any::<u16>(), 0..150),
    ) {
        let mut platform = Platform::new(slot.map(|slot| SLOTS[slot]), counted);
        if is_confirmed {
            platform.come_to_rest();
        }
        for pick in picks {
            let before = platform.order.clone();
            platform.happen(pick);
            if before.state.is_end() {
                prop_assert_eq!(platform.order.state, before.state);
                prop_assert_eq!(&platform.order.content, &before.content);
            }
            if platform.order.content != before.content {
                platform.adopted += 1;
                prop_assert_eq!(before.state, State::Confirmed);
            }
        }
        platform.come_to_rest();
        platform.check()?;
        prop_assert!(platform.order.changes >= platform.adopted);
    }
}

/// The walks above would prove nothing if they met no changes: they meet all that a change can come
/// to.
#[test]
fn the_walks_meet_what_they_are_about() {
    let mut runner = TestRunner::deterministic();
    let walks = prop::collection::vec(any::<u16>(), 150);
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..500 {
        let mut platform = confirmed();
        for pick in walks.new_tree(&mut runner).unwrap().current() {
            let before = platform.order.value.clone();
            platform.happen(pick);
            let after = &platform.order.value;
            let comes_too_late = |call: &Call| {
                let begins = call.chain.label == CHANGE_CALL && call.answers.is_empty();
                begins && !platform.open.contains(&call.chain.id)
            };
            if !after.change_refused.is_empty() && platform.calls.iter().any(comes_too_late) {
                *met.entry("refused before a slow attempt begins").or_default() += 1;
            }
            if before.change == after.change {
                continue;
            }
            let word = match after.change.as_ref().map(|change| (change.stage, &before.change)) {
                Some((Stage::Taking, None)) => "proposed",
                Some((Stage::GivenUp, Some(_))) => "given up",
                Some((Stage::Authorizing { .. }, _)) => "left open by the provider",
                Some((Stage::Settling, _)) if after.changes > before.changes => "made",
                Some((Stage::Settling, _)) => "refused",
                Some(_) => "ended while it was proposed",
                None if after.state.is_end() && !before.state.is_end() => "ended with the order",
                None if after.state.is_end() => "undone after the order's end",
                None => "settled",
            };
            *met.entry(word).or_default() += 1;
        }
    }
    for word in [
        "proposed",
        "given up",
        "left open by the provider",
        "made",
        "refused",
        "ended while it was proposed",
        "ended with the order",
        "undone after the order's end",
        "settled",
        "refused before a slow attempt begins",
    ] {
        assert!(met.get(word).is_some_and(|times| *times >= 10), "{word}: {met:?}");
    }
}

/// A confirmed order in the first slot, at rest.
fn confirmed() -> Platform {
    let mut platform = Platform::new(Some(SLOTS[0]), true);
    platform.come_to_rest();
    assert_eq!(platform.order.state, State::Confirmed);
    platform
}
