//! The rows of queues: one per event and queue, from the commit that tells it until it is settled.

use std::time::Duration;

use bistro_bus::{DeadLetter, DeadPlace, Depth};
use bistro_core::{Event, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{
    failure::Stop,
    queues::{Effect, Message, QueueState},
    writer::Tx,
};

/// Puts `event` into every queue bound to its kind.
pub(crate) fn fan_out(tx: &mut Tx<'_>, event: &Event) -> Result<(), Stop> {
    let queues = tx.queues.bound(&event.kind);
    for queue in queues.iter().flat_map(|queues| queues.iter()) {
        *tx.last_seq += 1;
        // The same event published again while it is still queued is one message.
        tx.conn
            .prepare_cached(
                "INSERT INTO messages (queue, seq, event, source, kind, subject, at, sequence,
                 traceparent, attempt, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10)
                 ON CONFLICT (queue, event) DO NOTHING",
            )?
            .execute(params![
                queue.number,
                *tx.last_seq,
                event.id,
                event.source,
                event.kind,
                event.subject,
                event.time.as_millis(),
                event.sequence,
                event.traceparent,
                event.data
            ])?;
        tx.effects.push(Effect::Ready(queue.clone()));
    }
    Ok(())
}

/// Removes the message that caused a Work, if it is still queued.
pub(crate) fn consume(tx: &mut Tx<'_>, queue: &str, event: &str) -> Result<(), Stop> {
    let Some(queue) = tx.queues.get(queue) else {
        return Ok(());
    };
    let seq: Option<i64> = tx
        .conn
        .prepare_cached("DELETE FROM messages WHERE queue = ?1 AND event = ?2 RETURNING seq")?
        .query_row(params![queue.number, event], |row| row.get(0))
        .optional()?;
    if let Some(seq) = seq {
        tx.effects.push(Effect::Gone(queue, seq));
    }
    Ok(())
}

/// Removes a message.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    queue: &std::sync::Arc<QueueState>,
    seq: i64,
) -> Result<(), Stop> {
    let removed = tx
        .conn
        .prepare_cached("DELETE FROM messages WHERE queue = ?1 AND seq = ?2")?
        .execute(params![queue.number, seq])?;
    if removed > 0 {
        tx.effects.push(Effect::Gone(queue.clone(), seq));
    }
    Ok(())
}

/// Puts a message off until `now` + `after`; whether it was still there.
pub(crate) fn park(
    tx: &mut Tx<'_>,
    queue: &std::sync::Arc<QueueState>,
    seq: i64,
    now: Timestamp,
    after: Duration,
    cause: &str,
) -> Result<bool, Stop> {
    let not_before = (now + after).as_millis();
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE messages SET attempt = attempt + 1, not_before = ?3,
             since = coalesce(since, ?4), cause = ?5 WHERE queue = ?1 AND seq = ?2",
        )?
        .execute(params![queue.number, seq, not_before, now.as_millis(), cause])?;
    if changed > 0 {
        let effect = Effect::Parked(queue.clone(), seq, not_before);
        tx.effects.push(effect);
    }
    Ok(changed > 0)
}

/// Gives a message up.
pub(crate) fn bury(
    tx: &mut Tx<'_>,
    queue: &std::sync::Arc<QueueState>,
    seq: i64,
    now: Timestamp,
    cause: &str,
) -> Result<(), Stop> {
    tx.conn
        .prepare_cached(
            "INSERT OR REPLACE INTO dead (queue, event, source, kind, subject, at, sequence,
             traceparent, attempts, died, cause, data)
             SELECT queue, event, source, kind, subject, at, sequence, traceparent, attempt,
             ?3, ?4, data FROM messages WHERE queue = ?1 AND seq = ?2",
        )?
        .execute(params![queue.number, seq, now.as_millis(), cause])?;
    remove(tx, queue, seq)
}

/// Gives a dead letter another go; whether there was one.
pub(crate) fn revive(
    tx: &mut Tx<'_>,
    queue: &std::sync::Arc<QueueState>,
    event: &str,
) -> Result<bool, Stop> {
    *tx.last_seq += 1;
    tx.conn
        .prepare_cached(
            "INSERT INTO messages (queue, seq, event, source, kind, subject, at, sequence,
             traceparent, attempt, data)
             SELECT queue, ?3, event, source, kind, subject, at, sequence, traceparent, 1, data
             FROM dead WHERE queue = ?1 AND event = ?2
             ON CONFLICT (queue, event) DO NOTHING",
        )?
        .execute(params![queue.number, event, *tx.last_seq])?;
    let revived = tx
        .conn
        .prepare_cached("DELETE FROM dead WHERE queue = ?1 AND event = ?2")?
        .execute(params![queue.number, event])?;
    tx.effects.push(Effect::Ready(queue.clone()));
    Ok(revived > 0)
}

/// Forgets a dead letter; whether there was one.
pub(crate) fn discard(tx: &mut Tx<'_>, queue: &QueueState, event: &str) -> Result<bool, Stop> {
    let discarded = tx
        .conn
        .prepare_cached("DELETE FROM dead WHERE queue = ?1 AND event = ?2")?
        .execute(params![queue.number, event])?;
    Ok(discarded > 0)
}

const COLUMNS: &str = "seq, attempt, not_before, event, source, kind, subject, at, sequence, \
                       traceparent, data";

fn message(row: &Row<'_>) -> rusqlite::Result<(Message, Option<i64>)> {
    let message = Message { seq: row.get(0)?, attempt: row.get(1)?, event: event(row, 3)? };
    Ok((message, row.get(2)?))
}

/// An event from eight columns in the order of [`Event`]'s fields, beginning at `first`.
fn event(row: &Row<'_>, first: usize) -> rusqlite::Result<Event> {
    Ok(Event {
        id: row.get(first)?,
        source: row.get(first + 1)?,
        kind: row.get(first + 2)?,
        subject: row.get(first + 3)?,
        time: Timestamp::from_millis(row.get(first + 4)?),
        sequence: row.get(first + 5)?,
        traceparent: row.get(first + 6)?,
        data: row.get(first + 7)?,
    })
}

/// Messages after `after` that were never put off, in the order they were told.
pub(crate) fn fresh(
    conn: &Connection,
    queue: i64,
    after: i64,
    limit: u32,
) -> rusqlite::Result<Vec<Message>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM messages WHERE queue = ?1 AND seq > ?2 AND not_before IS NULL
         ORDER BY seq LIMIT ?3"
    ))?
    .query_map(params![queue, after, limit], |row| Ok(message(row)?.0))?
    .collect()
}

/// Messages put off until `now` at the latest, after this place in the order of their moments;
/// each with its moment.
pub(crate) fn due(
    conn: &Connection,
    queue: i64,
    after: (i64, i64),
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<(Message, i64)>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM messages WHERE queue = ?1 AND not_before IS NOT NULL
         AND (not_before, seq) > (?2, ?3) AND not_before <= ?4
         ORDER BY not_before, seq LIMIT ?5"
    ))?
    .query_map(params![queue, after.0, after.1, now.as_millis(), limit], |row| {
        let (message, moment) = message(row)?;
        Ok((message, moment.unwrap_or_default()))
    })?
    .collect()
}

/// The moment of the next message that is put off, after this place in the order of moments.
pub(crate) fn next_due(
    conn: &Connection,
    queue: i64,
    after: (i64, i64),
) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT not_before FROM messages WHERE queue = ?1 AND not_before IS NOT NULL
         AND (not_before, seq) > (?2, ?3) ORDER BY not_before, seq LIMIT 1",
    )?
    .query_row(params![queue, after.0, after.1], |row| row.get(0))
    .optional()
}

/// One message.
pub(crate) fn one(conn: &Connection, queue: i64, seq: i64) -> rusqlite::Result<Option<Message>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE queue = ?1 AND seq = ?2"))?
        .query_row(params![queue, seq], |row| Ok(message(row)?.0))
        .optional()
}

/// The largest number any message has.
pub(crate) fn last_seq(conn: &Connection) -> rusqlite::Result<i64> {
    let mut largest = 0;
    let mut statement = conn.prepare("SELECT queue FROM queues")?;
    let queues = statement.query_map([], |row| row.get::<_, i64>(0))?;
    for queue in queues {
        let last: Option<i64> = conn
            .prepare_cached("SELECT max(seq) FROM messages WHERE queue = ?1")?
            .query_row([queue?], |row| row.get(0))?;
        largest = largest.max(last.unwrap_or(0));
    }
    Ok(largest)
}

/// What is in a queue.
pub(crate) fn depth(conn: &Connection, queue: i64, now: Timestamp) -> rusqlite::Result<Depth> {
    let all: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM messages INDEXED BY messages_by_event WHERE queue = ?1",
        )?
        .query_row([queue], |row| row.get(0))?;
    let (parked, oldest): (i64, Option<i64>) = conn
        .prepare_cached(
            "SELECT count(*), min(since) FROM messages
             WHERE queue = ?1 AND not_before IS NOT NULL AND not_before > ?2",
        )?
        .query_row(params![queue, now.as_millis()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let dead: i64 = conn
        .prepare_cached("SELECT count(*) FROM dead WHERE queue = ?1")?
        .query_row([queue], |row| row.get(0))?;
    Ok(Depth {
        ready: u64::try_from(all - parked).unwrap_or(0),
        parked: u64::try_from(parked).unwrap_or(0),
        oldest_parked: oldest.map(Timestamp::from_millis),
        dead: u64::try_from(dead).unwrap_or(0),
    })
}

const DEAD_COLUMNS: &str = "attempts, died, cause, event, source, kind, subject, at, sequence, \
                            traceparent, data";

fn dead(row: &Row<'_>, queue: &QueueState) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        queue: queue.name.clone(),
        event: event(row, 3)?,
        attempts: row.get(0)?,
        at: Timestamp::from_millis(row.get(1)?),
        cause: row.get(2)?,
    })
}

/// The dead letters of a queue after this place, oldest first.
pub(crate) fn dead_letters(
    conn: &Connection,
    queue: &QueueState,
    after: Option<&DeadPlace>,
    limit: u32,
) -> rusqlite::Result<Vec<DeadLetter>> {
    // Every letter comes after this: no id is the empty text.
    let (at, event) =
        after.map_or((i64::MIN, ""), |place| (place.at.as_millis(), place.event.as_str()));
    conn.prepare_cached(&format!(
        "SELECT {DEAD_COLUMNS} FROM dead WHERE queue = ?1 AND (died, event) > (?2, ?3)
         ORDER BY died, event LIMIT ?4"
    ))?
    .query_map(params![queue.number, at, event, limit], |row| dead(row, queue))?
    .collect()
}

/// The dead letter of this event.
pub(crate) fn dead_letter(
    conn: &Connection,
    queue: &QueueState,
    event: &str,
) -> rusqlite::Result<Option<DeadLetter>> {
    conn.prepare_cached(&format!(
        "SELECT {DEAD_COLUMNS} FROM dead WHERE queue = ?1 AND event = ?2"
    ))?
    .query_row(params![queue.number, event], |row| dead(row, queue))
    .optional()
}

/// How many events told by `source` are still queued, and when the oldest was told.
pub(crate) fn untold(
    conn: &Connection,
    source: &str,
) -> rusqlite::Result<(u64, Option<Timestamp>)> {
    conn.prepare_cached("SELECT count(*), min(at) FROM messages WHERE source = ?1")?.query_row(
        [source],
        |row| {
            let count: i64 = row.get(0)?;
            let oldest: Option<i64> = row.get(1)?;
            Ok((u64::try_from(count).unwrap_or(0), oldest.map(Timestamp::from_millis)))
        },
    )
}

/// Binds the queue `name` to exactly these kinds, making it if it is missing.
pub(crate) fn bind(conn: &Connection, name: &str, kinds: &[&str]) -> Result<(), Stop> {
    conn.execute("INSERT INTO queues (name) VALUES (?1) ON CONFLICT DO NOTHING", [name])?;
    let queue: i64 =
        conn.query_row("SELECT queue FROM queues WHERE name = ?1", [name], |row| row.get(0))?;
    conn.execute("DELETE FROM bindings WHERE queue = ?1", [queue])?;
    for kind in kinds {
        conn.execute(
            "INSERT INTO bindings (kind, queue) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![kind, queue],
        )?;
    }
    Ok(())
}

/// Every queue and the kinds it is bound to.
pub(crate) fn bindings(conn: &Connection) -> rusqlite::Result<Vec<(i64, String, Option<String>)>> {
    conn.prepare_cached(
        "SELECT queues.queue, queues.name, bindings.kind
         FROM queues LEFT JOIN bindings ON bindings.queue = queues.queue",
    )?
    .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
    .collect()
}
