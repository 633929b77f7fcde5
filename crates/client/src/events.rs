//! The server-sent events of one order.

use bytes::BytesMut;
use http::header;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

use crate::{Client, ClientError, Request, client::problem};

/// Events of one order, as the platform sends them (WHATWG HTML, "Server-sent events").
pub struct OrderEvents {
    client: Client,
    body: Incoming,
    unread: BytesMut,
}

impl Client {
    /// Follows the order `id`.
    pub async fn order_events(&self, id: &str) -> Result<OrderEvents, ClientError> {
        self.follow(Request::get(format!("/api/v1/orders/{id}/events"))).await
    }

    /// Goes on following the order `id` after the event `seen`.
    pub async fn order_events_after(
        &self,
        id: &str,
        seen: i64,
    ) -> Result<OrderEvents, ClientError> {
        let request = Request::get(format!("/api/v1/orders/{id}/events"));
        self.follow(request.last_event_id(seen)).await
    }

    async fn follow(&self, request: Request) -> Result<OrderEvents, ClientError> {
        let response = self.open(&request, "text/event-stream").await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let after =
                parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let bytes = body.collect().await.map_err(|source| self.no_answer(source))?.to_bytes();
            return Err(problem(parts.status, after, &bytes));
        }
        Ok(OrderEvents { client: self.clone(), body, unread: BytesMut::new() })
    }
}

impl OrderEvents {
    /// The order after its next change; none when the platform ended the stream.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let block = self.unread.split_to(end + 2);
                if let Some(data) = data_of(&block) {
                    return serde_json::from_str(&data)
                        .map(Some)
                        .map_err(|source| ClientError::Unreadable { source });
                }
            }
            match self.body.frame().await {
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

/// The data lines of one event; none for a comment.
fn data_of(block: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(block);
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_events_and_data_lines_are_joined() {
        assert_eq!(data_of(b": still here\n\n"), None);
        assert_eq!(
            data_of(b"id: 3\nevent: order\ndata: {\"a\":\ndata:1}\n\n").unwrap(),
            "{\"a\":\n1}"
        );
    }
}
