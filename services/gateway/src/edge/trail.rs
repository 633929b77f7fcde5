//! What the audit trail says of a request: plain functions of what was asked and what came of it.

use std::net::IpAddr;

use bistro_config::{Recorded, RecordedAddress};
use bistro_core::{Principal, Role};
use bistro_proto::accounts::v1::Activity;
use http::{HeaderMap, Method, header};

use super::rules::{self, Access};

/// Characters that follow the underscore of an id.
const ID_LENGTH: usize = 26;
/// Ids of one request that are kept at most; no route has more.
const MAX_IDS: usize = 4;

/// Whether `principal` may see and do what others may not, so that all of it is recorded.
pub(crate) fn is_privileged(principal: &Principal) -> bool {
    match principal {
        Principal::Operator => true,
        Principal::User { roles, .. } => {
            roles.iter().any(|role| matches!(role, Role::Support | Role::Admin))
        }
        Principal::Anonymous | Principal::Workload(_) => false,
    }
}

/// Whether the trail has an entry for this request.
pub(crate) fn is_recorded(
    what: Recorded,
    principal: &Principal,
    access: Access,
    method: &Method,
    route: &str,
) -> bool {
    let privileged = is_privileged(principal);
    // Nobody in particular can change nothing but what takes credentials; a request that is told
    // to log in is none of the trail's business. Nor is one whose signature nobody has checked
    // yet: anybody may send many, and they would take the room of what has to be recorded.
    let unproven = matches!(access, Access::Protected | Access::Signed);
    if unproven && *principal == Principal::Anonymous {
        return false;
    }
    if method.is_safe() {
        return privileged && access == Access::Protected && rules::shows_others(route);
    }
    let leaves_something = rules::changes(method, route) && !rules::is_fleeting(route);
    leaves_something && (privileged || what == Recorded::All)
}

/// The ids in `path`, in its order. Other segments may be anything, also a secret.
pub(crate) fn ids_in(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| is_id(segment)).take(MAX_IDS).map(ToOwned::to_owned).collect()
}

/// Whether `text` is shaped like an id: three letters, an underscore, 26 letters and digits.
fn is_id(text: &str) -> bool {
    let Some((prefix, rest)) = text.split_once('_') else { return false };
    prefix.len() == 3
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
        && rest.len() == ID_LENGTH
        && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// As much of `address` as is to be kept.
pub(crate) fn kept(address: IpAddr, how: RecordedAddress) -> String {
    match (how, address) {
        (RecordedAddress::None, _) => String::new(),
        (RecordedAddress::Full, address) => address.to_string(),
        (RecordedAddress::Network, IpAddr::V4(v4)) => {
            let [first, second, third, _] = v4.octets();
            format!("{first}.{second}.{third}.0/24")
        }
        (RecordedAddress::Network, IpAddr::V6(v6)) => {
            let mut segments = v6.segments();
            segments[3..].fill(0);
            format!("{}/48", std::net::Ipv6Addr::from(segments))
        }
    }
}

/// Who an answer is about, where neither the path nor `Location` says so.
#[derive(Clone, Debug)]
pub(crate) struct About(pub(crate) String);

/// Adds to `entry` how the request ended: with `status`, and `code` if it was refused.
pub(crate) fn ended(
    entry: &mut Activity,
    status: u16,
    code: &str,
    about: Option<About>,
    headers: &HeaderMap,
) {
    entry.status = status.into();
    code.clone_into(&mut entry.code);
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let made = location.map(ids_in).unwrap_or_default();
    let about = about.map(|About(id)| id).filter(|id| !id.is_empty());
    for id in about.into_iter().chain(made) {
        if entry.subject.is_empty() {
            entry.subject = id;
        } else if entry.subject != id && !entry.also.contains(&id) && entry.also.len() < MAX_IDS {
            entry.also.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use bistro_core::Id;
    use proptest::prelude::*;

    use super::*;

    const ORDER: &str = "ord_01jd3x8k4v9q2w7r5t6y8z0abc";

    fn user(role: Role) -> Principal {
        Principal::User {
            id: Id::from_bits(1),
            session: Id::from_bits(2),
            roles: vec![role],
            memberships: Vec::new(),
            api_key: false,
        }
    }

    #[test]
    fn changes_are_recorded_and_so_is_what_the_privileged_read_of_others() {
        let recorded = |what, who: &Principal, method: &Method, route| {
            is_recorded(what, who, rules::access(method, route), method, route)
        };
        let order = "/api/v1/orders/{id}";
        let (customer, support) = (user(Role::Customer), user(Role::Support));
        let all = |who: &Principal, method, route| recorded(Recorded::All, who, method, route);
        assert!(all(&customer, &Method::POST, "/api/v1/orders"));
        assert!(!recorded(Recorded::Privileged, &customer, &Method::POST, "/api/v1/orders"));
        assert!(recorded(Recorded::Privileged, &support, &Method::POST, "/api/v1/orders"));
        assert!(!all(&customer, &Method::POST, "/api/v1/quotes"), "a quote changes nothing");
        let position = "/api/v1/couriers/me/position";
        assert!(!all(&customer, &Method::PUT, position), "it is stored nowhere");
        assert!(!all(&customer, &Method::GET, order));
        assert!(
            all(&support, &Method::GET, order) && all(&Principal::Operator, &Method::GET, order)
        );
        assert!(!all(&support, &Method::GET, "/api/v1/me"), "of oneself");
        assert!(!all(&Principal::Operator, &Method::GET, "/api/v1/audit/{role}"), "ids only");
        assert!(all(&support, &Method::GET, "/api/v1/audit-trail"));
        assert!(!all(&support, &Method::GET, "/api/v1/restaurants/{id}"), "public");
        assert!(all(&Principal::Anonymous, &Method::POST, "/api/v1/sessions"));
        assert!(!all(&Principal::Anonymous, &Method::POST, "/api/v1/orders"));
        let webhook = "/api/v1/webhooks/stripe";
        assert!(!all(&Principal::Anonymous, &Method::POST, webhook), "anybody may send many");
        assert!(all(&Principal::Operator, &Method::POST, webhook));
    }

    #[test]
    fn an_address_is_kept_as_far_as_configured() {
        let v4: IpAddr = "192.0.2.77".parse().unwrap();
        let v6: IpAddr = "2001:db8:7:9::1".parse().unwrap();
        assert_eq!(kept(v4, RecordedAddress::Network), "192.0.2.0/24");
        assert_eq!(kept(v6, RecordedAddress::Network), "2001:db8:7::/48");
        assert_eq!(kept(v4, RecordedAddress::Full), "192.0.2.77");
        assert_eq!(kept(v4, RecordedAddress::None), "");
    }

    #[test]
    fn what_was_made_is_among_what_it_was_done_to() {
        let mut entry = Activity { subject: "rst_x".to_owned(), ..Activity::default() };
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, format!("/api/v1/orders/{ORDER}").parse().unwrap());
        ended(&mut entry, 201, "", Some(About("usr_1".to_owned())), &headers);
        assert_eq!((entry.subject.as_str(), entry.status), ("rst_x", 201));
        assert_eq!(entry.also, ["usr_1", ORDER]);
        let mut entry = Activity::default();
        ended(&mut entry, 201, "", None, &headers);
        assert_eq!((entry.subject.as_str(), entry.also.len()), (ORDER, 0));
    }

    proptest! {
        #[test]
        fn nothing_but_ids_is_taken_from_a_path(path in "[a-z0-9_/A-Z%.]{0,120}") {
            for id in ids_in(&path) {
                prop_assert!(is_id(&id) && path.contains(&id));
            }
            let with = format!("{path}/{ORDER}/x");
            prop_assert!(ids_in(&path).len() == MAX_IDS || ids_in(&with).contains(&ORDER.to_owned()));
        }
    }
}
