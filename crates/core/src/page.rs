//! Pages of a list: how many to give, from where, and where the next begins.

/// How much of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows wanted, at most [`PageRequest::MAX_LIMIT`].
    pub limit: u32,
    /// The opaque cursor that the page before gave, or none for the first page.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// The most rows a page holds.
    pub const MAX_LIMIT: u32 = 200;
    /// Rows in a page when the asker does not say.
    pub const DEFAULT_LIMIT: u32 = 50;

    /// The first page of `limit` rows.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit: limit.clamp(1, Self::MAX_LIMIT), cursor: None }
    }

    /// The page after `cursor`, of `limit` rows; 0 means the default.
    #[must_use]
    pub fn new(limit: u32, cursor: Option<String>) -> Self {
        let limit = if limit == 0 { Self::DEFAULT_LIMIT } else { limit };
        Self { cursor: cursor.filter(|text| !text.is_empty()), ..Self::first(limit) }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first(Self::DEFAULT_LIMIT)
    }
}

/// Some rows of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the asked order.
    pub items: Vec<T>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page with every row changed by `change`.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}
