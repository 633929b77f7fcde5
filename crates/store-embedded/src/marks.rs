//! The marks of a document: which causes have had their effect in it, and what was answered.
//!
//! They are kept in the document's own row, one after the other, so that marking dirties no page
//! that the document does not dirty anyway, and adding a mark is appending to the bytes.

use bistro_core::Timestamp;

/// The mark was left by an insert that is found by the request's key.
const BY_REQUEST: u8 = 1;

/// One mark, borrowed from a row's bytes or about to be added to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredMark<'a> {
    /// When its Work was decided.
    pub(crate) time: Timestamp,
    /// See [`bistro_store::Cause::mark_key`].
    pub(crate) key: &'a str,
    /// Hash of the request's body, or empty.
    pub(crate) body_hash: &'a str,
    /// Whether an entry of the request's key points here, to be removed with the mark.
    pub(crate) by_request: bool,
    /// The Work's anchor when it is another document: collection number and id.
    pub(crate) anchor: Option<(i64, &'a str)>,
    /// The stored answer.
    pub(crate) reply: &'a [u8],
}

impl StoredMark<'_> {
    /// Adds the mark to a row's bytes.
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.push(if self.by_request { BY_REQUEST } else { 0 });
        bytes.extend(self.time.as_millis().to_le_bytes());
        let (collection, id) = self.anchor.unwrap_or((0, ""));
        bytes.extend(collection.to_le_bytes());
        for part in [self.key.as_bytes(), self.body_hash.as_bytes(), id.as_bytes(), self.reply] {
            // A part is at most a reply, which is far below 4 GiB.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_le_bytes());
            bytes.extend(part);
        }
    }
}

/// Bytes that are not marks: the file is damaged.
#[derive(Debug, thiserror::Error)]
#[error("the marks of a document cannot be read")]
pub(crate) struct Damaged;

/// The marks in a row's bytes, oldest first.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<StoredMark<'_>>, Damaged> {
    let mut rest = bytes;
    let mut marks = Vec::new();
    while !rest.is_empty() {
        marks.push(read_one(&mut rest).ok_or(Damaged)?);
    }
    Ok(marks)
}

fn read_one<'a>(rest: &mut &'a [u8]) -> Option<StoredMark<'a>> {
    let flags = take(rest, 1)?[0];
    let time = i64::from_le_bytes(take(rest, 8)?.try_into().ok()?);
    let collection = i64::from_le_bytes(take(rest, 8)?.try_into().ok()?);
    let key = text(rest)?;
    let body_hash = text(rest)?;
    let id = text(rest)?;
    Some(StoredMark {
        time: Timestamp::from_millis(time),
        key,
        body_hash,
        by_request: flags & BY_REQUEST != 0,
        anchor: (collection != 0).then_some((collection, id)),
        reply: part(rest)?,
    })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
    take(rest, usize::try_from(length).ok()?)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(part(rest)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_read_back(
            parts in prop::collection::vec(
                (any::<i64>(), "\\PC{0,9}", "[0-9a-f]{0,8}", any::<bool>(),
                 prop::option::of((1..9_i64, "\\PC{0,5}")), prop::collection::vec(any::<u8>(), 0..9)),
                0..5,
            )
        ) {
            let marks: Vec<_> = parts.iter().map(|(time, key, hash, by_request, anchor, reply)| StoredMark {
                time: Timestamp::from_millis(*time),
                key,
                body_hash: hash,
                by_request: *by_request,
                anchor: anchor.as_ref().map(|(collection, id)| (*collection, id.as_str())),
                reply,
            }).collect();
            let mut bytes = Vec::new();
            for mark in &marks {
                mark.append_to(&mut bytes);
            }
            prop_assert_eq!(read(&bytes).unwrap(), marks);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let _ = read(&bytes);
        }
    }
}
