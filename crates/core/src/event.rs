//! An event as CloudEvents 1.0 describes it: the one message that roles tell each other.

use crate::Timestamp;

/// Something that happened, told to whoever wants to know.
///
/// The fields are those of CloudEvents 1.0 (`specversion` 1.0,
/// `datacontenttype` `application/protobuf`). Data carries ids, never personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique: the Work that told it and its place in it, `<work>/<n>`.
    pub id: String,
    /// The role that tells it, as `/bistro/<role>`.
    pub source: String,
    /// The protobuf message's full name, such as `bistro.orders.v1.OrderAccepted`.
    pub kind: String,
    /// The id of the thing it is about.
    pub subject: String,
    /// When the Work was decided.
    pub time: Timestamp,
    /// The subject's version after the change; a later change has a higher one.
    pub sequence: i64,
    /// W3C trace context of the Work that told it, if it was traced.
    pub traceparent: Option<String>,
    /// The protobuf message.
    pub data: Vec<u8>,
}
