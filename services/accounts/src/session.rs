//! Sessions, and what becomes of one when a refresh token is shown: a plain function.
//!
//! A session counts its generations; each trade of a refresh token begins the next. The token of
//! the present generation may be traded. The one before may be traded again for a moment, since an
//! answer can be lost, and gives the tokens of the present generation. Any older one was traded
//! already by whoever holds a newer one: one of the two has stolen it, so the session ends for
//! both (RFC 9700, 4.14.2).

use std::time::Duration;

use bistro_core::{Id, Timestamp, kinds};
use bistro_store::{Collection, Document, Index, Key};
use serde::{Deserialize, Serialize};

/// Sessions by when they end if they are not used.
pub(crate) const BY_EXPIRY: &str = "expiry";
/// Sessions that nobody has ended, by user and when they began.
pub(crate) const BY_USER: &str = "user";
/// Characters that are kept of what a client calls itself.
const MAX_CLIENT: usize = 120;
/// Sessions that one user has at most: whoever logs in once more ends the oldest.
pub(crate) const MAX_SESSIONS: u32 = 100;

pub(crate) static SESSIONS: Collection = Collection {
    role: "accounts",
    name: "sessions",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new(BY_EXPIRY), Index::new(BY_USER)],
};

/// A logged-in session: one family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: Id<kinds::Session>,
    pub(crate) user: Id<kinds::User>,
    /// The number of the refresh token that may be traded.
    pub(crate) generation: i64,
    /// When this generation began.
    pub(crate) since: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
    /// What logged in, as it called itself.
    pub(crate) client: String,
}

impl Document for Session {
    const COLLECTION: &'static Collection = &SESSIONS;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        let mut keys = vec![(BY_EXPIRY, Key::new().time(self.expires_at))];
        if self.revoked_at.is_none() {
            keys.push((BY_USER, Self::keys_of(self.user).time(self.created_at)));
        }
        keys
    }
}

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// An access token.
    pub(crate) access: Duration,
    /// A session that is not used.
    pub(crate) idle: Duration,
    /// The refresh token before the present one, after it was traded.
    pub(crate) grace: Duration,
}

/// What a shown refresh token brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next generation begins; store this, then give its tokens.
    Rotate(Session),
    /// It was traded a moment ago; give the present tokens again.
    Again,
    /// It was traded long ago, by whoever goes on with the session: store this, give nothing.
    Revoke(Session),
    /// The session has ended; give nothing.
    Refuse,
}

impl Session {
    /// A new session.
    pub(crate) fn begin(
        id: Id<kinds::Session>,
        user: Id<kinds::User>,
        client: &str,
        now: Timestamp,
        lifetimes: Lifetimes,
    ) -> Self {
        Self {
            id,
            user,
            generation: 1,
            since: now,
            created_at: now,
            expires_at: now + lifetimes.idle,
            revoked_at: None,
            client: client.chars().filter(|one| !one.is_control()).take(MAX_CLIENT).collect(),
        }
    }

    /// The prefix of a user's sessions in [`BY_USER`].
    pub(crate) fn keys_of(user: Id<kinds::User>) -> Key {
        Key::new().id(user)
    }

    /// What becomes of the session when the genuine token of generation `shown` is shown `now`.
    pub(crate) fn refresh(&self, shown: i64, now: Timestamp, lifetimes: Lifetimes) -> Verdict {
        if self.revoked_at.is_some() || now >= self.expires_at {
            return Verdict::Refuse;
        }
        let traded_again = shown == self.generation - 1;
        if shown == self.generation {
            Verdict::Rotate(Self {
                generation: self.generation + 1,
                since: now,
                expires_at: now + lifetimes.idle,
                ..self.clone()
            })
        } else if traded_again && now.since(self.since) < lifetimes.grace {
            Verdict::Again
        } else if shown < self.generation {
            Verdict::Revoke(self.revoke(now))
        } else {
            // Genuine, and newer than the session: the store was set back to an older backup.
            Verdict::Refuse
        }
    }

    /// The same session, ended. Nothing that tells of the person is kept of it.
    pub(crate) fn revoke(&self, now: Timestamp) -> Self {
        let client = String::new();
        Self { revoked_at: self.revoked_at.or(Some(now)), client, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        access: Duration::from_mins(10),
        idle: Duration::from_hours(1),
        grace: Duration::from_secs(10),
    };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn session() -> Session {
        Session::begin(Id::from_bits(1), Id::from_bits(2), "a browser", at(0), LIFETIMES)
    }

    fn rotated(session: &Session, now: Timestamp) -> Session {
        match session.refresh(session.generation, now, LIFETIMES) {
            Verdict::Rotate(next) => next,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_traded_once_and_again_for_a_moment() {
        let second = rotated(&session(), at(100));
        assert_eq!(second.refresh(1, at(109), LIFETIMES), Verdict::Again);
        assert!(matches!(second.refresh(1, at(110), LIFETIMES), Verdict::Revoke(_)));
        // The moment is over at once when the new token was used, too.
        let third = rotated(&second, at(101));
        assert!(matches!(third.refresh(1, at(101), LIFETIMES), Verdict::Revoke(_)));
    }

    #[test]
    fn a_session_lives_while_it_is_used() {
        let used = rotated(&session(), at(3_599));
        assert!(matches!(used.refresh(2, at(7_198), LIFETIMES), Verdict::Rotate(_)));
        assert_eq!(used.refresh(2, at(7_199), LIFETIMES), Verdict::Refuse);
        assert_eq!(session().refresh(9, at(0), LIFETIMES), Verdict::Refuse);
    }

    proptest! {
        /// Any order of shown tokens and any passing of time keeps the promises.
        #[test]
        fn whatever_is_shown(steps in prop::collection::vec((0_i64..4, 0_i64..20), 1..60)) {
            let (mut session, mut now) = (session(), 0);
            for (back, wait) in steps {
                now += wait;
                let shown = session.generation - back;
                let fresh = at(now).since(session.since) < LIFETIMES.grace;
                let verdict = session.refresh(shown, at(now), LIFETIMES);
                let expected_end = session.revoked_at.is_some() || at(now) >= session.expires_at;
                prop_assert_eq!(verdict == Verdict::Refuse, expected_end);
                match verdict {
                    Verdict::Rotate(next) => {
                        prop_assert_eq!(back, 0);
                        prop_assert_eq!(next.generation, session.generation + 1);
                        prop_assert!(next.revoked_at.is_none());
                        session = next;
                    }
                    Verdict::Again => prop_assert!(back == 1 && fresh),
                    Verdict::Revoke(next) => {
                        prop_assert!(back > 1 || (back == 1 && !fresh));
                        prop_assert_eq!(next.generation, session.generation);
                        prop_assert!(next.revoked_at.is_some());
                        session = next;
                    }
                    Verdict::Refuse => {}
                }
            }
        }

        /// Of two that show the same token, the one that comes second gets the same generation.
        #[test]
        fn a_race_has_one_winner_and_no_loser(wait in 0_i64..9) {
            let won = rotated(&session(), at(50));
            prop_assert_eq!(won.refresh(1, at(50 + wait), LIFETIMES), Verdict::Again);
        }
    }
}
