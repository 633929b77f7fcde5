//! JSON answers, with their entity tag and location.

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use bistro_core::Error;
use http::{HeaderValue, StatusCode, header, request::Parts};
use serde::Serialize;

use super::{Edge, Problem, trail::About};

/// What most answers fit into.
const USUAL_LENGTH: usize = 512;

/// A JSON answer.
pub(crate) struct Answer<T> {
    status: StatusCode,
    body: T,
    version: Option<i64>,
    location: Option<String>,
    is_secret: bool,
    about: Option<String>,
}

impl<T> Answer<T> {
    /// 200 with `body`.
    pub(crate) fn ok(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            version: None,
            location: None,
            is_secret: false,
            about: None,
        }
    }

    /// 201 with `body`, which from now on is at `location`.
    pub(crate) fn created(body: T, location: String) -> Self {
        Self { status: StatusCode::CREATED, location: Some(location), ..Self::ok(body) }
    }

    /// With `version` as the entity tag.
    pub(crate) fn tagged(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// 304 without the body if the asker has this version already.
    pub(crate) fn unless(self, known: &IfNoneMatch) -> Self {
        match self.version {
            Some(version) if known.has(version) => {
                Self { status: StatusCode::NOT_MODIFIED, ..self }
            }
            _ => self,
        }
    }

    /// With the id of what it is about, for the audit trail, where the path does not say it.
    pub(crate) fn about(self, id: String) -> Self {
        Self { about: Some(id), ..self }
    }

    /// Kept by nobody on the way.
    pub(crate) fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if self.status != StatusCode::NOT_MODIFIED {
            let mut json = Vec::with_capacity(USUAL_LENGTH);
            if let Err(cause) = serde_json::to_writer(&mut json, &self.body) {
                return Problem(Error::internal(cause)).into_response();
            }
            *response.body_mut() = Body::from(json);
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(id) = self.about {
            response.extensions_mut().insert(About(id));
        }
        let headers = response.headers_mut();
        if let Some(tag) = self.version.and_then(entity_tag) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(location) = self.location.and_then(|path| path.try_into().ok()) {
            headers.insert(header::LOCATION, location);
        }
        if self.is_secret {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    }
}

fn entity_tag(version: i64) -> Option<HeaderValue> {
    format!("\"{version}\"").try_into().ok()
}

/// The entity tags of what the asker has already.
pub(crate) struct IfNoneMatch(Option<HeaderValue>);

impl IfNoneMatch {
    /// Whether `version` is among them. Weak tags count (RFC 9110, section 13.1.2).
    fn has(&self, version: i64) -> bool {
        let Some(tags) = self.0.as_ref().and_then(|value| value.to_str().ok()) else {
            return false;
        };
        tags.split(',').map(str::trim).any(|tag| {
            let strong = tag.strip_prefix("W/").unwrap_or(tag);
            let bare = strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            tag == "*" || bare.and_then(|bare| bare.parse().ok()) == Some(version)
        })
    }

    /// Whether the entity tag `own`, with its quotes, is among them.
    pub(crate) fn names(&self, own: &str) -> bool {
        let Some(tags) = self.0.as_ref().and_then(|value| value.to_str().ok()) else {
            return false;
        };
        tags.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
    }
}

impl FromRequestParts<Edge> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Edge) -> Result<Self, Problem> {
        Ok(Self(parts.headers.get(header::IF_NONE_MATCH).cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_version_is_found_in_a_list() {
        let has = |tags: &'static str| IfNoneMatch(Some(HeaderValue::from_static(tags))).has(3);
        assert!(has("\"3\"") && has("W/\"3\"") && has("\"1\", \"3\"") && has("*"));
        assert!(!has("\"33\"") && !has("3") && !has("\"x\""));
        assert!(!IfNoneMatch(None).has(3));
    }

    #[test]
    fn a_known_tag_is_found_in_a_list() {
        let names =
            |tags: &'static str| IfNoneMatch(Some(HeaderValue::from_static(tags))).names("\"ab\"");
        assert!(names("\"ab\"") && names("W/\"ab\"") && names("\"x\" , \"ab\"") && names("*"));
        assert!(!names("ab") && !names("\"abc\"") && !names(""));
        assert!(!IfNoneMatch(None).names("\"ab\""));
    }
}
