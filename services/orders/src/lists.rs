//! Lists of orders: of a customer, of a restaurant, of a customer at a restaurant or of all, each
//! one range of one index; but what is open of all is one range for each state.

use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{Error, Id, IdKind, Page, PageRequest, Principal, StaffRole, Timestamp, kinds};
use bistro_proto::orders::v1::{ListOrdersRequest, ListOrdersResponse};
use bistro_store::{Cursor, Document as _, Key, Query, StoreError, StoreExt as _, Versioned};
use sha2::{Digest as _, Sha256};

use crate::{
    documents::{
        BY_CUSTOMER, BY_CUSTOMER_AND_RESTAURANT, BY_RESTAURANT, BY_STATE, ENDED_BY_CUSTOMER,
        ENDED_BY_RESTAURANT, OPEN_BY_RESTAURANT, Order,
    },
    present,
    service::OrdersService,
    state::State,
};

/// Pages of an index that are read for one page of a list at most: behind them it ends, full or
/// not. No restaurant has as many open orders as there are in them, and few customers any.
const MOST_READ: usize = 20;
/// Bytes of a cursor that say which list it is of.
const TAG: usize = 6;

/// Which states are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum States {
    Any,
    /// Those that are no end.
    Open,
    One(State),
}

impl States {
    fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "" => Ok(Self::Any),
            "open" => Ok(Self::Open),
            state => Ok(Self::One(State::from_str(state)?)),
        }
    }

    fn contain(self, state: State) -> bool {
        match self {
            Self::Any => true,
            Self::Open => !state.is_end(),
            Self::One(one) => one == state,
        }
    }

    /// Whether the range of `query` holds orders in other states too: more is read at once then.
    fn are_sought_in(self, query: &Query) -> bool {
        match query.index {
            Some(BY_CUSTOMER | BY_CUSTOMER_AND_RESTAURANT | BY_RESTAURANT) => self != Self::Any,
            Some(OPEN_BY_RESTAURANT) => self != Self::Open,
            _ => false,
        }
    }
}

/// Whose orders are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Customer(String),
    Restaurant(Id<kinds::Restaurant>),
    /// Those of a customer at a restaurant.
    Both(String, Id<kinds::Restaurant>),
    All,
}

impl Whose {
    /// Whose orders `request` asks for, if `principal` may see them.
    fn of(request: &ListOrdersRequest, principal: &Principal) -> Result<Self, Error> {
        let restaurant = parse_id::<kinds::Restaurant>("restaurant_id", &request.restaurant_id)?;
        let customer = parse_id::<kinds::User>("customer_id", &request.customer_id)?;
        if request.all {
            if restaurant.is_some() || customer.is_some() {
                let message = "ask for all orders, or for those of a customer or a restaurant";
                return Err(Error::field("all", message));
            }
            principal.require_admin()?;
            return Ok(Self::All);
        }
        let serves = |at| principal.require_staff(at, &[StaffRole::Manager, StaffRole::Chef]);
        match (customer, restaurant) {
            // It has no orders of its own.
            (None, None) if *principal == Principal::Operator => Ok(Self::All),
            (None, None) => Ok(Self::Customer(principal.require_user()?.to_string())),
            (None, Some(restaurant)) => {
                serves(restaurant)?;
                Ok(Self::Restaurant(restaurant))
            }
            (Some(customer), None) => {
                principal.require_self_or_support(customer)?;
                Ok(Self::Customer(customer.to_string()))
            }
            // Whoever may see one of the two lists may see what is in both.
            (Some(customer), Some(restaurant)) => {
                principal.require_self_or_support(customer).or_else(|_| serves(restaurant))?;
                Ok(Self::Both(customer.to_string(), restaurant))
            }
        }
    }

    /// The range of an index that holds the orders in `states`, placed from `from` on and before
    /// `to`.
    fn query(&self, states: States, from: Option<Timestamp>, to: Option<Timestamp>) -> Query {
        let (index, key) = match (self, states) {
            (Self::Customer(customer), States::One(state)) if state.is_end() => {
                (ENDED_BY_CUSTOMER, Key::new().text(customer).text(state.as_str()))
            }
            (Self::Customer(customer), _) => (BY_CUSTOMER, Key::new().text(customer)),
            (Self::Both(customer, restaurant), _) => {
                (BY_CUSTOMER_AND_RESTAURANT, Key::new().text(customer).id(*restaurant))
            }
            (Self::Restaurant(restaurant), States::Any) => {
                (BY_RESTAURANT, Key::new().id(*restaurant))
            }
            (Self::Restaurant(restaurant), States::One(state)) if state.is_end() => {
                (ENDED_BY_RESTAURANT, Key::new().id(*restaurant).text(state.as_str()))
            }
            (Self::Restaurant(restaurant), _) => (OPEN_BY_RESTAURANT, Key::new().id(*restaurant)),
            (Self::All, States::One(state)) => (BY_STATE, Key::new().text(state.as_str())),
            (Self::All, _) => return all(from, to),
        };
        within(index, &key, from, to)
    }
}

/// The id that `field` names; none if it is empty.
fn parse_id<K: IdKind>(field: &str, text: &str) -> Result<Option<Id<K>>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<Id<K>>().map(Some).map_err(|cause| Error::field(field, format!("{cause}")))
}

/// What begins with `key` and goes on with a time from `from` on and before `to`, newest first.
fn within(index: &'static str, key: &Key, from: Option<Timestamp>, to: Option<Timestamp>) -> Query {
    let mut query = Query::prefix::<Order>(index, key);
    if let Some(from) = from {
        query = query.from(&key.clone().time(from));
    }
    if let Some(to) = to {
        query = query.before(&key.clone().time(to));
    }
    query.descending()
}

/// Every order: their ids begin with when they were placed.
fn all(from: Option<Timestamp>, to: Option<Timestamp>) -> Query {
    let id = |at: Timestamp| {
        let millis = u128::try_from(at.as_millis().max(0)).unwrap_or_default();
        Id::<kinds::Order>::from_bits(millis.min((1 << 48) - 1) << 80).to_string()
    };
    let mut query = Query::all::<Order>();
    if let Some(from) = from {
        query.lower = id(from);
    }
    query.upper = to.map(id);
    query.descending()
}

/// What a cursor of this list begins with: another list's range may hold its place too.
fn tag(query: &Query, states: States) -> [u8; TAG] {
    let named = format!("{:?} {:?} {:?} {states:?}", query.index, query.lower, query.upper);
    let mut tag = [0; TAG];
    tag.copy_from_slice(&Sha256::digest(named)[..TAG]);
    tag
}

fn seal(cursor: &str, tag: [u8; TAG]) -> String {
    URL_SAFE_NO_PAD.encode([&tag[..], cursor.as_bytes()].concat())
}

fn unseal(text: &str, tag: [u8; TAG]) -> Result<String, StoreError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| StoreError::BadCursor)?;
    let cursor = bytes.strip_prefix(&tag).ok_or(StoreError::BadCursor)?;
    String::from_utf8(cursor.to_vec()).map_err(|_| StoreError::BadCursor)
}

/// The cursor of what comes after `order` in the list of `query`.
fn place_in(query: &Query, order: &Order) -> Option<String> {
    let (_, key) = order.keys().into_iter().find(|(index, _)| query.index == Some(*index))?;
    let cursor = Cursor { key: key.as_str().to_owned(), id: order.id() };
    Some(cursor.encode_for(query))
}

/// The place that a cursor of [`OrdersService::open`] names: when the last order was placed, and its
/// id.
fn place(text: &str) -> Result<(Timestamp, String), StoreError> {
    let Cursor { key, id } = Cursor::decode(text)?;
    let millis = key.parse().map_err(|_| StoreError::BadCursor)?;
    Ok((Timestamp::from_millis(millis), id))
}

impl OrdersService {
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        request: ListOrdersRequest,
    ) -> Result<ListOrdersResponse, Error> {
        let states = States::parse(&request.state)?;
        let whose = Whose::of(&request, principal)?;
        let moment = crate::intake::moment;
        let (from, to) = (moment(request.from_ms), moment(request.to_ms));
        let query = whose.query(states, from, to);
        let tag = tag(&query, states);
        let page = request.page.unwrap_or_default();
        let cursor = match page.cursor.as_str() {
            "" => None,
            text => Some(unseal(text, tag)?),
        };
        let page = PageRequest::new(page.limit, cursor);
        let found = if (&whose, states) == (&Whose::All, States::Open) {
            self.open(page, (from, to)).await?
        } else {
            self.filtered(query, page, states).await?
        };
        let shown = found.items.iter().map(|order| present::shown(order, principal));
        Ok(ListOrdersResponse {
            orders: shown.collect(),
            next_cursor: found.next.map(|next| seal(&next, tag)).unwrap_or_default(),
        })
    }

    /// A page of all that is open, whosever: what comes next of each state's list, together. They are
    /// read in the order of a life, so that an order that goes on meanwhile is met, if twice.
    async fn open(
        &self,
        page: PageRequest,
        (from, to): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<Page<Versioned<Order>>, Error> {
        let after = page.cursor.as_deref().map(place).transpose()?;
        let (mut items, mut more) = (Vec::new(), false);
        for state in State::ALL.iter().filter(|state| !state.is_end()) {
            let key = Key::new().text(state.as_str());
            let mut query = within(BY_STATE, &key, from, to).limit(page.limit);
            query.after = after.as_ref().map(|(placed_at, id)| Cursor {
                key: key.time(*placed_at).as_str().to_owned(),
                id: id.clone(),
            });
            let found = self.engine.store().list::<Order>(query).await?;
            more |= found.next.is_some();
            items.extend(found.items);
        }
        let place_of = |order: &Versioned<Order>| (order.placed_at, order.id.to_string());
        items.sort_by_cached_key(|order| std::cmp::Reverse(place_of(order)));
        items.dedup_by_key(|order| order.id);
        let limit = page.limit as usize;
        more |= items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more).map(place_of);
        let next = last.map(|(placed_at, id)| {
            let key = placed_at.as_millis().to_string();
            Cursor { key, id }.encode()
        });
        Ok(Page { items, next })
    }

    /// A page of the list in `states`. Where the index holds others too, it reads on until there is
    /// something to show, no more, or enough read.
    async fn filtered(
        &self,
        query: Query,
        mut page: PageRequest,
        states: States,
    ) -> Result<Page<Versioned<Order>>, Error> {
        let wanted = page.limit as usize;
        if states.are_sought_in(&query) {
            page.limit = PageRequest::MAX_LIMIT;
        }
        let mut read = 0;
        loop {
            read += 1;
            let mut found = self.engine.store().list::<Order>(query.clone().page(&page)?).await?;
            found.items.retain(|order| states.contain(order.state));
            if found.items.len() > wanted {
                found.items.truncate(wanted);
                found.next = found.items.last().and_then(|order| place_in(&query, order));
            }
            if !found.items.is_empty() || found.next.is_none() || read >= MOST_READ {
                return Ok(found);
            }
            page.cursor = found.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::ErrorCode;

    use super::*;

    fn user(bits: u128, roles: &[bistro_core::Role]) -> Principal {
        Principal::User {
            id: Id::from_bits(bits),
            session: Id::from_bits(1),
            roles: roles.to_vec(),
            memberships: Vec::new(),
            api_key: false,
        }
    }

    fn chef_at(restaurant: u128) -> Principal {
        let restaurant = Id::from_bits(restaurant);
        Principal::User {
            id: Id::from_bits(20),
            session: Id::from_bits(1),
            roles: vec![bistro_core::Role::Chef],
            memberships: vec![bistro_core::Membership { restaurant, role: StaffRole::Chef }],
            api_key: false,
        }
    }

    #[test]
    fn who_may_ask_for_whose() {
        use bistro_core::Role;
        let of = |customer: u128| ListOrdersRequest {
            customer_id: Id::<kinds::User>::from_bits(customer).to_string(),
            ..ListOrdersRequest::default()
        };
        let (ada, support) = (user(7, &[Role::Customer]), user(8, &[Role::Support]));
        let own = Whose::Customer(Id::<kinds::User>::from_bits(7).to_string());
        assert_eq!(Whose::of(&ListOrdersRequest::default(), &ada).unwrap(), own);
        assert_eq!(Whose::of(&of(7), &ada).unwrap(), own);
        assert_eq!(Whose::of(&of(7), &support).unwrap(), own);
        assert_eq!(Whose::of(&of(9), &ada).unwrap_err().code(), ErrorCode::PermissionDenied);
        assert_eq!(
            Whose::of(&of(9), &Principal::Anonymous).unwrap_err().code(),
            ErrorCode::Unauthenticated
        );
        assert_eq!(
            Whose::of(&ListOrdersRequest::default(), &Principal::Operator).unwrap(),
            Whose::All
        );
        let rubbish = ListOrdersRequest { customer_id: "ada".to_owned(), ..of(7) };
        let refused = Whose::of(&rubbish, &support).unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "customer_id");
    }

    #[test]
    fn who_may_ask_for_a_customer_at_a_restaurant() {
        use bistro_core::Role;
        let both = ListOrdersRequest {
            customer_id: Id::<kinds::User>::from_bits(7).to_string(),
            restaurant_id: Id::<kinds::Restaurant>::from_bits(1).to_string(),
            ..ListOrdersRequest::default()
        };
        let wanted = Whose::Both(Id::<kinds::User>::from_bits(7).to_string(), Id::from_bits(1));
        let (ada, support) = (user(7, &[Role::Customer]), user(8, &[Role::Support]));
        let admin = user(9, &[Role::Admin]);
        for who in [&ada, &support, &admin, &chef_at(1), &Principal::Operator] {
            assert_eq!(Whose::of(&both, who).unwrap(), wanted, "{who:?}");
        }
        for who in [user(10, &[Role::Customer]), chef_at(2)] {
            let refused = Whose::of(&both, &who).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::PermissionDenied, "{who:?}");
        }
        // The restaurant alone is for who works there, as before.
        let there = ListOrdersRequest { customer_id: String::new(), ..both };
        assert_eq!(Whose::of(&there, &chef_at(1)).unwrap(), Whose::Restaurant(Id::from_bits(1)));
        for who in [&ada, &support, &chef_at(2)] {
            let refused = Whose::of(&there, who).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::PermissionDenied, "{who:?}");
        }
    }

    #[test]
    fn administrators_may_ask_for_all() {
        use bistro_core::Role;
        let all = ListOrdersRequest { all: true, ..ListOrdersRequest::default() };
        let admin = user(9, &[Role::Customer, Role::Admin]);
        for who in [&admin, &Principal::Operator] {
            assert_eq!(Whose::of(&all, who).unwrap(), Whose::All, "{who:?}");
        }
        // Unless they say so they are asked for their own.
        let own = Whose::Customer(Id::<kinds::User>::from_bits(9).to_string());
        assert_eq!(Whose::of(&ListOrdersRequest::default(), &admin).unwrap(), own);
        for (who, code) in [
            (user(7, &[Role::Customer]), ErrorCode::PermissionDenied),
            (user(8, &[Role::Support]), ErrorCode::PermissionDenied),
            (chef_at(1), ErrorCode::PermissionDenied),
            (Principal::Anonymous, ErrorCode::Unauthenticated),
        ] {
            assert_eq!(Whose::of(&all, &who).unwrap_err().code(), code, "{who:?}");
        }
        let customer_id = Id::<kinds::User>::from_bits(7).to_string();
        let narrowed = ListOrdersRequest { customer_id, ..all };
        let refused = Whose::of(&narrowed, &admin).unwrap_err();
        assert_eq!(refused.field_errors()[0].path, "all");
    }

    #[test]
    fn a_cursor_is_of_its_list() {
        let restaurant = Whose::Restaurant(Id::from_bits(1));
        let mut tags = Vec::new();
        for states in
            [States::Any, States::Open, States::One(State::Placed), States::One(State::Failed)]
        {
            for from in [None, Some(Timestamp::from_millis(5))] {
                tags.push(tag(&restaurant.query(states, from, None), states));
            }
        }
        let cursor = seal("a place", tags[0]);
        assert_eq!(unseal(&cursor, tags[0]).unwrap(), "a place");
        for other in &tags[1..] {
            assert!(matches!(unseal(&cursor, *other), Err(StoreError::BadCursor)));
        }
        for rubbish in ["", "!", "AAAA", "rubbish"] {
            assert!(unseal(rubbish, tags[0]).is_err(), "{rubbish}");
        }
    }

    #[test]
    fn all_orders_are_ranged_by_when_they_were_placed() {
        let query = all(Some(Timestamp::from_millis(1_000)), Some(Timestamp::from_millis(2_000)));
        let id = |millis: u128| Id::<kinds::Order>::from_bits((millis << 80) + 5).to_string();
        let inside = |id: &str| id >= query.lower.as_str() && id < query.upper.as_deref().unwrap();
        assert!(
            !inside(&id(999)) && inside(&id(1_000)) && inside(&id(1_999)) && !inside(&id(2_000))
        );
        all(Some(Timestamp::from_millis(i64::MIN)), Some(Timestamp::from_millis(i64::MAX)));
    }
}
