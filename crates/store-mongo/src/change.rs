//! A change of one document as one update: an aggregation pipeline, in which whatever comes from
//! a caller is a literal, so that no text in it is ever taken for an expression.

use bistro_core::Timestamp;
use bistro_store::MARK_LIFETIME;
use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::envelope::{Left, date};

/// A new content.
pub(crate) struct Content {
    pub(crate) schema: u32,
    pub(crate) compatible_from: u32,
    pub(crate) data: Document,
    pub(crate) keys: Document,
}

impl Content {
    fn fields(self) -> Document {
        doc! {
            "s": i64::from(self.schema),
            "cf": i64::from(self.compatible_from),
            "d": self.data,
            "k": self.keys,
        }
    }
}

/// What happens to a document's timers.
#[derive(Default)]
pub(crate) struct Timers {
    /// Names whose timers go.
    pub(crate) dropped: Vec<String>,
    /// Timers that come.
    pub(crate) set: Vec<(String, Timestamp)>,
}

impl Timers {
    fn entries(&self) -> Vec<Bson> {
        self.set.iter().map(|(name, at)| doc! { "n": name, "at": date(*at) }.into()).collect()
    }
}

/// A change of one document that is there.
#[derive(Default)]
pub(crate) struct Change {
    /// Fields that take these values.
    fields: Document,
    /// Fields that take the value of these expressions, all seeing the document as it was.
    computed: Document,
    /// Fields computed from what the first stage left.
    derived: Document,
    /// Fields that go.
    unset: Vec<&'static str>,
}

impl Change {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets the version.
    pub(crate) fn version(mut self, version: i64) -> Self {
        self.fields.insert("v", version);
        self
    }

    /// Replaces the content.
    pub(crate) fn content(mut self, content: Content) -> Self {
        self.fields.extend(content.fields());
        self
    }

    /// Brings a deleted document back as a new one; its marks and outbox stay.
    pub(crate) fn revive(mut self) -> Self {
        self.unset.push("gone");
        self.version(1)
    }

    /// Deletes it, but for its marks and outbox.
    pub(crate) fn bury(mut self, version: i64) -> Self {
        self.unset.extend(["d", "k", "timers", "due"]);
        let lifetime = (Timestamp::default() + MARK_LIFETIME).as_millis();
        // The server's clock, since it is the server that removes what is past this moment.
        self.computed.insert("gone", doc! { "$add": ["$$NOW", lifetime] });
        self.version(version)
    }

    /// Adds `by` to a field of the content, and 1 to the version.
    pub(crate) fn adjust(mut self, field: &str, by: i64) -> Self {
        self.computed.insert(format!("d.{field}"), doc! { "$add": [format!("$d.{field}"), by] });
        self.computed.insert("v", doc! { "$add": ["$v", 1_i64] });
        self
    }

    /// Changes nothing that anybody reads, so that two who do it meet.
    pub(crate) fn hold(mut self) -> Self {
        let held = doc! { "$add": [or_else("$held", 0_i64), 1_i64] };
        self.computed.insert("held", held);
        self
    }

    /// Adds what a Work leaves in its anchor, takes out events that are known to be published,
    /// and marks of before `oldest`.
    pub(crate) fn leave(mut self, left: Left, published: &[String], oldest: Timestamp) -> Self {
        if !left.events.is_empty() || !published.is_empty() {
            let kept = without("out", "id", published);
            self = self.list("out", kept, left.events);
            self.derived.insert("told", oldest_of("$out.at"));
        }
        if !left.calls.is_empty() {
            let kept = self.kept("calls");
            self = self.list("calls", kept, left.calls);
            self.derived.insert("called", oldest_of("$calls.at"));
        }
        let young = doc! { "$filter": {
            "input": all("causes"), "cond": { "$gte": ["$$this.t", date(oldest)] },
        } };
        let came = left.mark.into_iter().map(Bson::from).collect();
        self = self.list("causes", young.into(), came);
        let known = doc! { "$in": ["$rk", or_else("$causes.k", Bson::Array(Vec::new()))] };
        self.derived.insert("rk", doc! { "$cond": [known, "$rk", "$$REMOVE"] });
        self
    }

    /// Takes out events that are known to be published.
    pub(crate) fn drop_events(mut self, ids: &[String]) -> Self {
        if !ids.is_empty() {
            self = self.list("out", without("out", "id", ids), Vec::new());
            self.derived.insert("told", oldest_of("$out.at"));
        }
        self
    }

    /// Takes out calls that have their outcome; comes before [`Change::leave`].
    pub(crate) fn drop_calls(mut self, ids: &[String]) -> Self {
        if !ids.is_empty() {
            self = self.list("calls", without("calls", "id", ids), Vec::new());
            self.derived.insert("called", oldest_of("$calls.at"));
        }
        self
    }

    /// Takes timers out and puts timers in.
    pub(crate) fn timers(mut self, timers: &Timers) -> Self {
        if !timers.dropped.is_empty() || !timers.set.is_empty() {
            let kept = without("timers", "n", &timers.dropped);
            self = self.list("timers", kept, timers.entries());
            self.derived.insert("due", oldest_of("$timers.at"));
        }
        self
    }

    /// Takes out these firings of timers and no other ones of the same name.
    pub(crate) fn drop_firings(mut self, firings: &[(String, Timestamp)]) -> Self {
        if !firings.is_empty() {
            let fired: Vec<Document> = firings
                .iter()
                .map(|(name, at)| {
                    doc! { "$and": [
                        { "$eq": ["$$this.n", { "$literal": name }] },
                        { "$eq": ["$$this.at", date(*at)] },
                    ] }
                })
                .collect();
            let kept = doc! { "$filter": {
                "input": all("timers"), "cond": { "$not": [{ "$or": fired }] },
            } };
            self = self.list("timers", kept.into(), Vec::new());
            self.derived.insert("due", oldest_of("$timers.at"));
        }
        self
    }

    /// What an earlier step of this change left of a list.
    fn kept(&mut self, field: &str) -> Bson {
        match self.computed.remove(field) {
            Some(expression) => or_else(expression, Bson::Array(Vec::new())),
            None => all(field),
        }
    }

    fn list(mut self, field: &str, kept: Bson, came: Vec<Bson>) -> Self {
        let expression = if came.is_empty() {
            doc! { "$let": {
                "vars": { "left": kept },
                "in": { "$cond": [{ "$eq": ["$$left", []] }, "$$REMOVE", "$$left"] },
            } }
        } else {
            doc! { "$concatArrays": [kept, { "$literal": came }] }
        };
        self.computed.insert(field, expression);
        self
    }

    /// The stages.
    pub(crate) fn into_pipeline(self) -> Vec<Document> {
        let mut first: Document = self
            .fields
            .into_iter()
            .map(|(field, value)| (field, doc! { "$literal": value }.into()))
            .collect();
        first.extend(self.computed);
        let mut stages = Vec::with_capacity(3);
        if !first.is_empty() {
            stages.push(doc! { "$set": first });
        }
        if !self.derived.is_empty() {
            stages.push(doc! { "$set": self.derived });
        }
        if !self.unset.is_empty() {
            stages.push(doc! { "$unset": self.unset });
        }
        stages
    }
}

/// The whole envelope of a document that is not there yet.
pub(crate) fn insertion(
    id: &str,
    request: Option<&str>,
    content: Content,
    left: Left,
    timers: &Timers,
) -> Document {
    let mut envelope = doc! { "_id": id, "v": 1_i64 };
    envelope.extend(content.fields());
    if let Some(request) = request {
        envelope.insert("rk", request);
    }
    let mut list = |field: &str, oldest: &str, entries: Vec<Bson>| {
        let first: Option<DateTime> = entries
            .iter()
            .filter_map(|entry| entry.as_document()?.get_datetime("at").ok().copied())
            .min();
        if let Some(first) = first {
            envelope.insert(field, entries);
            envelope.insert(oldest, first);
        }
    };
    list("out", "told", left.events);
    list("calls", "called", left.calls);
    list("timers", "due", timers.entries());
    if let Some(mark) = left.mark {
        envelope.insert("causes", vec![mark]);
    }
    envelope
}

/// The list `field`, empty when it is left out.
fn all(field: &str) -> Bson {
    or_else(format!("${field}"), Bson::Array(Vec::new()))
}

fn or_else(expression: impl Into<Bson>, other: impl Into<Bson>) -> Bson {
    let (expression, other) = (expression.into(), other.into());
    doc! { "$ifNull": [expression, other] }.into()
}

/// The list `field` without the entries whose `name` is one of `names`.
fn without(field: &str, name: &str, names: &[String]) -> Bson {
    if names.is_empty() {
        return all(field);
    }
    let among = doc! { "$in": [format!("$$this.{name}"), { "$literal": names }] };
    doc! { "$filter": { "input": all(field), "cond": { "$not": [among] } } }.into()
}

/// The earliest of the dates at `path`; the field goes when there is none.
fn oldest_of(path: &str) -> Document {
    doc! { "$ifNull": [{ "$min": path }, "$$REMOVE"] }
}
