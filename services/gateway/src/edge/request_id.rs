//! The name of one request, in its answer, its log lines and its errors.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Inner;

/// The header that carries it, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id of the asker's own that is taken over.
const LONGEST: usize = 64;

/// A request's id as a header value that is known to be plain text.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the asker gave, if it is one; else a new one.
    pub(crate) fn of(headers: &HeaderMap, edge: &Inner) -> Self {
        match headers.get(&HEADER) {
            Some(given) if is_plain(given.as_bytes()) => Self(given.clone()),
            _ => {
                let id = edge.new_request_id().to_string();
                // An id is letters, digits and an underscore, so it always is a header value.
                Self(id.try_into().unwrap_or(HeaderValue::from_static("req_0")))
            }
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        // Both ways in admit ASCII only.
        self.0.to_str().unwrap_or_default()
    }

    /// The value to answer with.
    pub(crate) fn into_header(self) -> HeaderValue {
        self.0
    }
}

/// Letters, digits, `_`, `-` and `.`: nothing that could break a log line or a shell.
fn is_plain(text: &[u8]) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        assert!(is_plain(b"req_01jd.a-B"));
        for bad in [&b""[..], b"a b", b"a\"b", b"a\nb", &[b'a'; 65]] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
