//! A log line as one JSON object, for machines.

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;

use super::Line;

#[derive(Serialize)]
struct Json<'a> {
    timestamp: String,
    level: &'static str,
    target: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    context: Map<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
}

/// Names and values, in order.
struct Map<'a>(Vec<(&'static str, &'a Value)>);

impl Map<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

pub(super) fn line(line: &Line<'_>) -> String {
    let trace = line.trace.as_ref();
    let json = Json {
        timestamp: line.time.to_string(),
        level: line.level.as_str(),
        target: line.target,
        message: &line.message,
        fields: Map(line.fields.iter().map(|(name, value)| (*name, value)).collect()),
        span: line.span,
        context: Map(line.context.iter().map(|(name, value)| (*name, value)).collect()),
        trace_id: trace.map(|ids| ids.trace_id.as_str()),
        span_id: trace.map(|ids| ids.span_id.as_str()),
        service: line.service,
        role: line.role.as_deref(),
    };
    // Maps with text keys and plain values always serialize.
    serde_json::to_string(&json).unwrap_or_else(|error| format!("{{\"message\":\"{error}\"}}"))
}
