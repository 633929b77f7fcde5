//! Server-sent events, as the platform sends them (WHATWG HTML, "Server-sent events").

use bytes::BytesMut;
use http::{StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::{Client, ClientError, Request, client::problem};

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// What a reader goes on after; empty if the event has none.
    pub id: String,
    /// What it tells of, such as `order`.
    pub name: String,
    /// Its JSON.
    pub data: Value,
}

/// The events of one stream.
pub struct Events {
    client: Client,
    /// None when the platform says that nothing will follow.
    body: Option<Incoming>,
    unread: BytesMut,
}

/// Events of one order: the order after each change.
pub struct OrderEvents(Events);

impl Client {
    /// Follows the order `id`.
    pub async fn order_events(&self, id: &str) -> Result<OrderEvents, ClientError> {
        let request = Request::get(format!("/api/v1/orders/{id}/events"));
        self.events(&request).await.map(OrderEvents)
    }

    /// Goes on following the order `id` after the event `seen`.
    pub async fn order_events_after(
        &self,
        id: &str,
        seen: i64,
    ) -> Result<OrderEvents, ClientError> {
        let request = Request::get(format!("/api/v1/orders/{id}/events"));
        self.events(&request.last_event_id(seen)).await.map(OrderEvents)
    }

    /// Follows what `request` is about.
    pub async fn events(&self, request: &Request) -> Result<Events, ClientError> {
        let response = self.open(request, "text/event-stream").await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let after =
                parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let bytes = body.collect().await.map_err(|source| self.no_answer(source))?.to_bytes();
            return Err(problem(parts.status, after, &bytes));
        }
        let body = (parts.status != StatusCode::NO_CONTENT).then_some(body);
        Ok(Events { client: self.clone(), body, unread: BytesMut::new() })
    }
}

impl OrderEvents {
    /// The order after its next change; none when the platform ended the stream.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        Ok(self.0.next().await?.map(|event| event.data))
    }
}

impl Events {
    /// The next event; none when the platform ended the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        let Some(body) = &mut self.body else { return Ok(None) };
        loop {
            while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let block = self.unread.split_to(end + 2);
                if let Some(event) = read(&block)? {
                    return Ok(Some(event));
                }
            }
            match body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.unread.extend_from_slice(&bytes);
                    }
                }
                Some(Err(source)) => return Err(self.client.no_answer(source)),
            }
        }
    }
}

/// The event that these lines are; none for a comment.
fn read(block: &[u8]) -> Result<Option<Event>, ClientError> {
    let text = String::from_utf8_lossy(block);
    let lines = |field: &str| -> Vec<&str> {
        text.lines()
            .filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect()
    };
    let last = |field: &str| lines(field).last().map(ToString::to_string).unwrap_or_default();
    let data = lines("data");
    if data.is_empty() {
        return Ok(None);
    }
    let data = serde_json::from_str(&data.join("\n"))
        .map_err(|source| ClientError::Unreadable { source })?;
    Ok(Some(Event { id: last("id"), name: last("event"), data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_events_and_data_lines_are_joined() {
        assert_eq!(read(b": still here\n\n").unwrap(), None);
        assert_eq!(read(b"retry: 1000\n\n").unwrap(), None);
        let event = read(b"id: 3\nevent: order\ndata: {\"a\":\ndata:1}\n\n").unwrap().unwrap();
        let data = serde_json::json!({ "a": 1 });
        assert_eq!(event, Event { id: "3".to_owned(), name: "order".to_owned(), data });
        assert!(read(b"data: {\n\n").is_err());
    }
}
