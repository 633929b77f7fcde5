//! Which address a request comes from, with proxies in between.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that `request` is counted under.
///
/// Each trusted proxy appends to `X-Forwarded-For` the address that it was asked from, so the
/// asker stands `trusted_proxies` places from the right; whatever stands further left was written
/// by the asker.
pub(crate) fn of(request: &Request, trusted_proxies: usize) -> IpAddr {
    network(whole(request, trusted_proxies))
}

/// The address that `request` comes from.
pub(crate) fn whole(request: &Request, trusted_proxies: usize) -> IpAddr {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| address.ip());
    let asker = if trusted_proxies == 0 {
        peer
    } else {
        forwarded(request.headers(), trusted_proxies).unwrap_or(peer)
    };
    asker.to_canonical()
}

fn forwarded(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let mut last = None;
    for (place, entry) in headers
        .get_all(FORWARDED_FOR)
        .iter()
        .rev()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.rsplit(','))
        .enumerate()
    {
        last = Some(entry.trim());
        if place + 1 == trusted_proxies {
            break;
        }
    }
    let entry = last?;
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// One asker of IPv6 usually has a whole /64; it counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::V6(octets.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn address(lists: &[&str], trusted: usize) -> String {
        let mut request = Request::new(Body::empty());
        let peer: SocketAddr = "10.0.0.9:1234".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        for list in lists {
            request.headers_mut().append(FORWARDED_FOR, list.parse().unwrap());
        }
        of(&request, trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_unless_a_proxy_is_trusted() {
        assert_eq!(address(&["1.2.3.4"], 0), "10.0.0.9");
        assert_eq!(address(&["1.2.3.4"], 1), "1.2.3.4");
    }

    #[test]
    fn the_asker_stands_as_many_places_from_the_right_as_proxies_are_trusted() {
        assert_eq!(address(&["6.6.6.6, 1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(address(&["6.6.6.6, 1.2.3.4", "10.0.0.1"], 2), "1.2.3.4");
        // Fewer entries than proxies: the outermost one is all that is known.
        assert_eq!(address(&["1.2.3.4"], 3), "1.2.3.4");
        assert_eq!(address(&[], 1), "10.0.0.9");
        assert_eq!(address(&["rubbish"], 1), "10.0.0.9");
    }

    #[test]
    fn ports_and_version_6_are_understood() {
        assert_eq!(address(&["1.2.3.4:99"], 1), "1.2.3.4");
        assert_eq!(address(&["[2001:db8::7]:99"], 1), "2001:db8::");
        assert_eq!(address(&["[2001:db8::7]"], 1), "2001:db8::");
        assert_eq!(address(&["2001:db8:0:1:2::7"], 1), "2001:db8:0:1::");
        assert_eq!(address(&["::ffff:1.2.3.4"], 1), "1.2.3.4");
    }
}
