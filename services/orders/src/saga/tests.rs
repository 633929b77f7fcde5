//! The saga under whatever comes: in any order, more than once, too late or too early.

mod changes;
mod models;
mod steps;

use std::collections::{BTreeMap, VecDeque};

use bistro_core::{Currency, Fulfilment, Id, Money};
use bistro_store::{Cause, Write};
use proptest::prelude::*;

use super::*;
use crate::documents::{Content, Line, Tender};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const CONFIRM_BY: Timestamp = Timestamp::from_millis(1_120_000);
const ACCEPT_BY: Timestamp = Timestamp::from_millis(1_600_000);
/// What comes to [`ACCEPT_BY`] for an order that is confirmed at [`NOW`].
const ACCEPT_WITHIN: Duration = Duration::from_mins(10);
/// What people write is nobody else's business.
const WORDS: &str = "Ada moved to 5 High Street";

/// Two of something, as it is ordered.
fn content(total_minor: i64, scheduled_for: Option<Timestamp>) -> Content {
    Content {
        lines: vec![Line {
            item: Id::from_bits(3),
            name: "Naan".to_owned(),
            quantity: 2,
            unit_price_minor: total_minor / 2,
            choices: Vec::new(),
            tax_rate: 0,
            note: WORDS.to_owned(),
            allergens: Vec::new(),
            station: String::new(),
        }],
        total: Money::new(total_minor, Currency::GBP),
        bill: None,
        drop_off: None,
        scheduled_for,
        allergies: Vec::new(),
        tenders: vec![Tender { payment_method: "card_ok".to_owned(), amount_minor: total_minor }],
    }
}

/// An order that is about to be placed.
fn new_order(content: Content) -> Order {
    Order {
        id: Id::from_bits(7),
        customer: "usr_ada".to_owned(),
        restaurant: Id::from_bits(2),
        content,
        fulfilment: Fulfilment::Delivery,
        address: WORDS.to_owned(),
        state: State::Placed,
        timeline: Vec::new(),
        placed_at: NOW,
        confirm_by: None,
        accept_by: None,
        ready_at: None,
        delayed_because: String::new(),
        placing: true,
        retried: false,
        stock_held: false,
        slot_held: false,
        paid: Paid::NotYet,
        revision: 0,
        proposed: 0,
        changes: 0,
        change: None,
        change_refused: String::new(),
        ticket_seen: 0,
        traceparent: None,
        problem: String::new(),
    }
}

/// An order, and all that its Works asked for and told.
struct World {
    order: Versioned<Order>,
    works: u32,
    /// The steps of calls, by method.
    asked: BTreeMap<String, u32>,
    /// Events by kind.
    told: BTreeMap<String, u32>,
    timers: BTreeMap<&'static str, Timestamp>,
}

impl World {
    /// An order that was just placed.
    fn new() -> Self {
        let order = new_order(content(500, None));
        let mut world = Self {
            order: Versioned { value: order.clone(), version: 0 },
            works: 0,
            asked: BTreeMap::new(),
            told: BTreeMap::new(),
            timers: BTreeMap::new(),
        };
        let mut work = world.work();
        place(&mut work, order, None, CONFIRM_BY, ACCEPT_BY).unwrap();
        world.commit(work);
        world
    }

    fn work(&mut self) -> Work {
        self.works += 1;
        let cause = Cause::request("usr_ada", "test", &self.works.to_string(), b"");
        Work::new("orders", cause, NOW, None)
    }

    fn commit(&mut self, work: Work) {
        work.check().unwrap();
        let [Write::Insert { data, .. } | Write::Replace { data, .. }] = work.writes.as_slice()
        else {
            panic!("one order is written: {:?}", work.writes);
        };
        if let Write::Replace { version, .. } = &work.writes[0] {
            assert_eq!(*version, self.order.version);
        }
        let version = self.order.version + 1;
        self.order = Versioned { value: serde_json::from_str(data).unwrap(), version };
        for step in work.calls.iter().flat_map(|call| &call.steps) {
            let method = step.method.rsplit('/').next().unwrap();
            *self.asked.entry(method.to_owned()).or_default() += 1;
            assert!(!contains(&step.request, WORDS));
        }
        for event in &work.events {
            let kind = event.kind.rsplit('.').next().unwrap();
            *self.told.entry(kind.to_owned()).or_default() += 1;
            assert_eq!(event.sequence, version);
            assert!(!contains(&event.data, WORDS));
        }
        for timer in &work.timers {
            match timer.at {
                Some(at) => self.timers.insert(timer.name, at),
                None => self.timers.remove(timer.name),
            };
        }
    }

    fn asked(&self, method: &str) -> u32 {
        self.asked.get(method).copied().unwrap_or_default()
    }

    fn told(&self, kind: &str) -> u32 {
        self.told.get(kind).copied().unwrap_or_default()
    }

    fn has_been(&self, state: State) -> bool {
        self.order.timeline.iter().any(|entry| entry.state == state)
    }

    /// Lets it happen; whether that changed the order.
    fn happen(&mut self, happening: &Happening) -> Result<bool, Error> {
        use Happening as It;
        let (mut work, before) = (self.work(), self.order.clone());
        let (to, order) = (&mut work, &before);
        let ada = By { who: "usr_ada", reason: WORDS };
        let changed = match happening {
            It::Outcome(outcome) => placed(to, order, &outcome.placed(), ACCEPT_WITHIN)?,
            It::Retried => {
                // As the reactor asks.
                let first = order.placing && !order.retried;
                if first {
                    note_retry(to, order)?;
                }
                first
            }
            It::Authorized => authorized(to, order, 2, ACCEPT_WITHIN)?,
            It::Declined => payment_failed(to, order, 2, "card_declined")?,
            It::Cancel => end_early(to, order, Step::CancelByCustomer, ada).map(|_| true)?,
            It::CancelByStaff => end_early(to, order, Step::CancelByStaff, ada).map(|_| true)?,
            It::Reject => end_early(to, order, Step::Reject, ada).map(|_| true)?,
            It::Accept => accept(to, order, By::role("usr_bob"), None).map(|_| true)?,
            It::Timer(name) => timed_out(to, order, name)?,
            It::Ticket(told, sequence) => kitchen_tells(to, order, *told, *sequence)?,
            It::PickedUp => picked_up(to, order)?,
            It::Delivered => complete(to, order, Step::DropOff, By::role("delivery"))?,
            It::Delay => delay(to, order, 10, WORDS).map(|_| true)?,
            It::NotDelivered => delivery_failed(to, order, "customer_absent")?,
        };
        if changed {
            self.commit(work);
        }
        Ok(changed)
    }
}

fn contains(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// What can come of the placing call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    SoldOut,
    Declined {
        held: bool,
    },
    /// Refused for a reason that does not say what the provider did.
    Refused {
        held: bool,
    },
    Pending {
        held: bool,
    },
    Authorized {
        held: bool,
    },
}

impl Came {
    fn placed(self) -> Placed {
        let no = |code| Error::new(code, WORDS);
        match self {
            Self::SoldOut => Placed::NoStock(no(ErrorCode::SoldOut)),
            Self::Declined { held } => {
                Placed::NoPayment { stock_held: held, why: no(ErrorCode::CardDeclined) }
            }
            Self::Refused { held } => {
                Placed::NoPayment { stock_held: held, why: no(ErrorCode::WrongState) }
            }
            Self::Pending { held } => Placed::Done { stock_held: held, paid: Paid::Pending },
            Self::Authorized { held } => Placed::Done { stock_held: held, paid: Paid::Authorized },
        }
    }

    /// Whether stock may be held, if the call may have been made more than once or not.
    fn may_hold_stock(self, retried: bool) -> bool {
        match self {
            Self::SoldOut => retried,
            Self::Declined { held }
            | Self::Refused { held }
            | Self::Pending { held }
            | Self::Authorized { held } => held,
        }
    }

    /// Whether the provider may hold money, if the call may have been made more than once or not.
    fn may_hold_money(self, retried: bool) -> bool {
        match self {
            Self::SoldOut => retried,
            Self::Declined { .. } => false,
            Self::Refused { .. } | Self::Pending { .. } | Self::Authorized { .. } => true,
        }
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Outcome(Came),
    /// Another process takes the placing call up.
    Retried,
    Authorized,
    Declined,
    Cancel,
    CancelByStaff,
    Reject,
    Accept,
    Timer(&'static str),
    Ticket(Kitchen, i64),
    PickedUp,
    Delivered,
    NotDelivered,
    Delay,
}

/// What was done for an order that came to rest, and what is left of it.
fn check_made_good(world: &World, came: Option<Came>) -> Result<(), TestCaseError> {
    let order = &world.order;
    let ended_early = order.state.is_failure();
    let cooked = world.has_been(State::Preparing);
    // What payments told of a pending payment counts, not what was unknown before.
    let told_declined =
        matches!(came, Some(Came::Pending { .. })) && order.state == State::PaymentFailed;
    let may_hold = came.is_some_and(|came| came.may_hold_money(order.retried));
    let to_void = ended_early && may_hold && !told_declined;
    let held = came.is_some_and(|came| came.may_hold_stock(order.retried));
    let to_release = ended_early && held && !cooked;

    prop_assert_eq!(world.asked("Void"), u32::from(to_void));
    prop_assert_eq!(world.asked("Release"), u32::from(to_release));
    prop_assert_eq!(world.asked("Capture"), u32::from(order.state == State::Completed));
    prop_assert_eq!(order.stock_held, held && !to_release);
    prop_assert_eq!(order.has_used_stock(), held && ended_early && cooked);
    prop_assert_eq!(order.placing, came.is_none());

    let confirmed = world.has_been(State::Confirmed);
    prop_assert_eq!(world.told("OrderConfirmed"), u32::from(confirmed));
    prop_assert_eq!(world.told("OrderAccepted"), u32::from(world.has_been(State::Accepted)));
    let ready = order.timeline.iter().filter(|entry| entry.state == State::Ready).count();
    prop_assert_eq!(world.told("OrderReady") as usize, ready);
    prop_assert_eq!(world.told("OrderCompleted"), u32::from(order.state == State::Completed));
    prop_assert_eq!(world.told("OrderEnded"), u32::from(ended_early && confirmed));

    // It waits for exactly the timer that it says.
    let waits: Vec<_> = world.timers.iter().map(|(name, at)| (*name, *at)).collect();
    let expected = match order.state {
        State::Placed => vec![(CONFIRM_TIMER, CONFIRM_BY)],
        State::Confirmed => vec![(ACCEPT_TIMER, ACCEPT_BY)],
        _ => Vec::new(),
    };
    prop_assert_eq!(order.due_at(), expected.first().map(|(_, at)| *at));
    prop_assert_eq!(waits, expected);
    Ok(())
}

fn any_came() -> impl Strategy<Value = Came> {
    (any::<bool>(), 0..5).prop_map(|(held, which)| match which {
        0 => Came::SoldOut,
        1 => Came::Declined { held },
        2 => Came::Refused { held },
        3 => Came::Pending { held },
        _ => Came::Authorized { held },
    })
}

fn any_kitchen() -> impl Strategy<Value = Kitchen> {
    prop_oneof![Just(Kitchen::Cooking), Just(Kitchen::Ready)]
}

/// Anything, as often as an order's life has it; one outcome, since a call has one.
fn any_happening(came: Came) -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Outcome(came)),
        1 => Just(Happening::Retried),
        2 => Just(Happening::Authorized),
        1 => Just(Happening::Declined),
        1 => Just(Happening::Cancel),
        1 => Just(Happening::CancelByStaff),
        1 => Just(Happening::Reject),
        6 => Just(Happening::Accept),
        1 => prop_oneof![Just(CONFIRM_TIMER), Just(ACCEPT_TIMER)].prop_map(Happening::Timer),
        8 => (any_kitchen(), 2_i64..9).prop_map(|(told, at)| Happening::Ticket(told, at)),
        2 => Just(Happening::PickedUp),
        1 => Just(Happening::Delivered),
        1 => Just(Happening::NotDelivered),
        1 => Just(Happening::Delay),
    ]
}

fn any_life() -> impl Strategy<Value = (Came, Vec<Happening>)> {
    any_came().prop_flat_map(|came| (Just(came), prop::collection::vec(any_happening(came), 0..40)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever happens: an end is an end, what was taken is given back once if the order ends
    /// early, the money is taken once if it is completed, and a stale ticket moves nothing.
    #[test]
    fn what_was_taken_is_made_good_once((came, life) in any_life()) {
        let mut world = World::new();
        let (mut outcome, mut newest) = (None, 0);
        for happening in &life {
            let before = world.order.clone();
            let result = world.happen(happening);
            let changed = matches!(result, Ok(true));
            prop_assert_eq!(changed, world.order.version != before.version);
            if let Err(error) = &result {
                let put_by = matches!(happening, Happening::Authorized | Happening::Declined)
                    && before.placing && before.state == State::Placed;
                let expected = if put_by { ErrorCode::Unavailable } else { ErrorCode::WrongState };
                prop_assert_eq!(error.code(), expected, "{}", error);
            }
            if before.state.is_end() {
                prop_assert_eq!(world.order.state, before.state);
                prop_assert_eq!(&world.order.timeline, &before.timeline);
                let awaited = match happening {
                    Happening::Outcome(_) => before.placing,
                    Happening::Retried => before.placing && !before.retried,
                    _ => false,
                };
                prop_assert_eq!(changed, awaited);
            }
            if let Happening::Outcome(came) = happening {
                outcome = Some(*came);
            }
            let cooks = [State::Accepted, State::Preparing, State::Ready].contains(&before.state);
            if let Happening::Ticket(told, sequence) = happening && cooks {
                let now = world.order.state;
                if *sequence <= newest {
                    prop_assert_eq!(now, before.state);
                } else {
                    newest = *sequence;
                    let there = [(Kitchen::Cooking, State::Preparing), (Kitchen::Ready, State::Ready)];
                    prop_assert!(there.contains(&(*told, now)), "{told:?} left it {now}");
                }
            }
            check_made_good(&world, outcome)?;
        }
        // However it stands, the outcome comes in the end.
        let last = world.happen(&Happening::Outcome(came));
        prop_assert_eq!(last.unwrap(), outcome.is_none());
        check_made_good(&world, Some(came))?;
    }
}

/// How a courier fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fares {
    Nobody,
    PicksUp,
    Delivers,
    Fails,
}

/// What is going to be said about one order, by those who know: in the order in which it happened.
#[derive(Clone, Debug)]
struct Story {
    cancelled: bool,
    came: Came,
    /// What becomes of a payment that is pending.
    approved: bool,
    ticket: Vec<Kitchen>,
    fares: Fares,
}

impl Story {
    fn messages(&self) -> Vec<Happening> {
        let mut messages = vec![Happening::Outcome(self.came)];
        if matches!(self.came, Came::Pending { .. }) {
            let one = if self.approved { Happening::Authorized } else { Happening::Declined };
            messages.push(one);
        }
        let told = self.ticket.iter().zip(2..);
        messages.extend(told.map(|(told, sequence)| Happening::Ticket(*told, sequence)));
        messages.extend(match self.fares {
            Fares::Nobody => vec![],
            Fares::PicksUp => vec![Happening::PickedUp],
            Fares::Delivers => vec![Happening::PickedUp, Happening::Delivered],
            Fares::Fails => vec![Happening::PickedUp, Happening::NotDelivered],
        });
        messages
    }

    /// Delivers all messages as `picks` says, the first ones first when it says no more. Nobody
    /// tells of what has not come about: tickets follow an acceptance, deliveries a first `ready`.
    fn told(&self, messages: Vec<Happening>, picks: &[usize]) -> World {
        let mut world = World::new();
        if self.cancelled {
            world.happen(&Happening::Cancel).unwrap();
        }
        let (mut queue, mut picks) = (VecDeque::from(messages), picks.iter());
        loop {
            let may_come = |message: &Happening| match message {
                Happening::Ticket(..) => world.told("OrderAccepted") > 0,
                Happening::PickedUp | Happening::Delivered | Happening::NotDelivered => {
                    world.told("OrderReady") > 0
                }
                _ => true,
            };
            let may_come: Vec<usize> =
                (0..queue.len()).filter(|place| may_come(&queue[*place])).collect();
            if may_come.is_empty() {
                return world;
            }
            let pick = picks.next().copied().unwrap_or_default() % may_come.len();
            let message = queue.remove(may_come[pick]).unwrap();
            match world.happen(&message) {
                Ok(_) => {}
                Err(error) if error.code() == ErrorCode::Unavailable => queue.push_back(message),
                Err(error) => panic!("{message:?} is refused: {error}"),
            }
            if world.order.state == State::Confirmed {
                world.happen(&Happening::Accept).unwrap();
            }
        }
    }
}

fn any_story() -> impl Strategy<Value = Story> {
    let fares = [Fares::Nobody, Fares::PicksUp, Fares::Delivers, Fares::Fails];
    let ticket = prop::collection::vec(any_kitchen(), 0..6);
    let cancelled = prop::bool::weighted(0.2);
    (cancelled, any_came(), any::<bool>(), ticket, prop::sample::select(fares.to_vec())).prop_map(
        |(cancelled, came, approved, mut ticket, fares)| {
            if fares != Fares::Nobody {
                // Whichever of its messages are overtaken, deliveries hears that it is ready.
                ticket.push(Kitchen::Ready);
            }
            Story { cancelled, came, approved, ticket, fares }
        },
    )
}

/// A story, and how often and in which order its messages come.
fn any_telling() -> impl Strategy<Value = (Story, Vec<Happening>, Vec<usize>)> {
    any_story().prop_flat_map(|story| {
        let messages = story.messages();
        let twice = prop::collection::vec(1_usize..3, messages.len());
        let picks = prop::collection::vec(0_usize..40, 0..40);
        (Just(story), twice, picks).prop_map(move |(story, copies, picks)| {
            let each = messages.iter().zip(copies);
            let told = each.flat_map(|(one, copies)| vec![one.clone(); copies]).collect();
            (story, told, picks)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// In whichever order the messages come, and however often, they come to the same.
    #[test]
    fn the_end_does_not_depend_on_the_order_of_messages((story, told, picks) in any_telling()) {
        let told = story.told(told, &picks);
        let straight = story.told(story.messages(), &[]);
        check_made_good(&told, Some(story.came))?;
        let stands = |world: &World| {
            let order = &world.order;
            (order.state, order.paid, order.stock_held, world.asked.clone())
        };
        prop_assert_eq!(stands(&told), stands(&straight));
        let (cancelled, paid) = (story.cancelled, straight.has_been(State::Accepted));
        prop_assert_eq!(cancelled, straight.order.state == State::Cancelled);
        if paid {
            let expected = match (story.fares, story.ticket.last()) {
                (Fares::PicksUp, _) => State::InDelivery,
                (Fares::Delivers, _) => State::Completed,
                (Fares::Fails, _) => State::Failed,
                (Fares::Nobody, None) => State::Accepted,
                (Fares::Nobody, Some(Kitchen::Cooking)) => State::Preparing,
                (Fares::Nobody, Some(Kitchen::Ready)) => State::Ready,
            };
            prop_assert_eq!(straight.order.state, expected);
        }
    }
}
