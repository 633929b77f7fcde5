//! Lists of orders: of a customer, of a restaurant or of all, each one range of one index.

use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bistro_core::{Error, Id, Page, PageRequest, Principal, StaffRole, Timestamp, kinds};
use bistro_proto::orders::v1::{ListOrdersRequest, ListOrdersResponse};
use bistro_store::{Key, Query, StoreError, StoreExt as _, Versioned};
use sha2::{Digest as _, Sha256};

use crate::{
    documents::{BY_CUSTOMER, BY_RESTAURANT, ENDED_BY_RESTAURANT, OPEN_BY_RESTAURANT, Order},
    present,
    service::OrdersService,
    state::State,
};

/// Pages of an index that are read for one page of a list at most: behind them it ends, full or
/// not.
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
}

/// Whose orders are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Customer(String),
    Restaurant(Id<kinds::Restaurant>),
    All,
}

impl Whose {
    /// Whose orders `request` asks for, if `principal` may see them.
    fn of(request: &ListOrdersRequest, principal: &Principal) -> Result<Self, Error> {
        if !request.restaurant_id.is_empty() {
            let restaurant = request
                .restaurant_id
                .parse()
                .map_err(|cause| Error::field("restaurant_id", format!("{cause}")))?;
            if !request.customer_id.is_empty() {
                let message = "ask for the orders of a restaurant or of a customer, not of both";
                return Err(Error::field("customer_id", message));
            }
            principal.require_staff(restaurant, &[StaffRole::Manager, StaffRole::Chef])?;
            return Ok(Self::Restaurant(restaurant));
        }
        if request.customer_id.is_empty() {
            return match principal {
                // It has no orders of its own.
                Principal::Operator => Ok(Self::All),
                _ => Ok(Self::Customer(principal.require_user()?.to_string())),
            };
        }
        let customer: Id<kinds::User> = request
            .customer_id
            .parse()
            .map_err(|cause| Error::field("customer_id", format!("{cause}")))?;
        principal.require_self_or_support(customer)?;
        Ok(Self::Customer(customer.to_string()))
    }

    /// The range of an index that holds the orders in `states`, placed from `from` on and before
    /// `to`.
    fn query(&self, states: States, from: Option<Timestamp>, to: Option<Timestamp>) -> Query {
        let (index, key) = match (self, states) {
            (Self::Customer(customer), _) => (BY_CUSTOMER, Key::new().text(customer)),
            (Self::Restaurant(restaurant), States::Any) => {
                (BY_RESTAURANT, Key::new().id(*restaurant))
            }
            (Self::Restaurant(restaurant), States::One(state)) if state.is_end() => {
                (ENDED_BY_RESTAURANT, Key::new().id(*restaurant).text(state.as_str()))
            }
            (Self::Restaurant(restaurant), _) => (OPEN_BY_RESTAURANT, Key::new().id(*restaurant)),
            (Self::All, _) => return all(from, to),
        };
        let mut query = Query::prefix::<Order>(index, &key);
        if let Some(from) = from {
            query = query.from(&key.clone().time(from));
        }
        if let Some(to) = to {
            query = query.before(&key.time(to));
        }
        query.descending()
    }
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

impl OrdersService {
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        request: ListOrdersRequest,
    ) -> Result<ListOrdersResponse, Error> {
        let states = States::parse(&request.state)?;
        let whose = Whose::of(&request, principal)?;
        let moment = crate::intake::moment;
        let query = whose.query(states, moment(request.from_ms), moment(request.to_ms));
        let tag = tag(&query, states);
        let page = request.page.unwrap_or_default();
        let cursor = match page.cursor.as_str() {
            "" => None,
            text => Some(unseal(text, tag)?),
        };
        let found = self.filtered(query, PageRequest::new(page.limit, cursor), states).await?;
        let shown = found.items.iter().map(|order| present::shown(order, principal));
        Ok(ListOrdersResponse {
            orders: shown.collect(),
            next_cursor: found.next.map(|next| seal(&next, tag)).unwrap_or_default(),
        })
    }

    /// A page of the list in `states`. Where the index holds others too, it reads on until there is
    /// something to show, no more, or enough read.
    async fn filtered(
        &self,
        query: Query,
        mut page: PageRequest,
        states: States,
    ) -> Result<Page<Versioned<Order>>, Error> {
        let mut read = 0;
        loop {
            read += 1;
            let mut found = self.engine.store().list::<Order>(query.clone().page(&page)?).await?;
            found.items.retain(|order| states.contain(order.state));
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
        let both = ListOrdersRequest {
            restaurant_id: Id::<kinds::Restaurant>::from_bits(1).to_string(),
            ..of(7)
        };
        assert_eq!(Whose::of(&both, &support).unwrap_err().code(), ErrorCode::InvalidArgument);
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
