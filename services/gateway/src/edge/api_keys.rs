//! API keys: each traded at accounts for an access token of its user, which is kept for a moment.
//!
//! Behind the edge nobody knows of keys: the token takes the key's place in the request, so that
//! roles check what they always check, and nothing that is written down can hold a key.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use axum::extract::Request;
use bistro_config::RateLimit;
use bistro_core::{ApiKeyError, ApiKeyText, Error, ErrorCode, Id, Timestamp, kinds};
use bistro_proto::accounts::v1::{ExchangeApiKeyRequest, accounts_client::AccountsClient};
use bistro_runtime::{PeerChannel, error_of};
use http::{HeaderValue, header};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use super::{
    Edge,
    limits::{Limiter, Standing},
};

/// How long a key's token is used before the key is traded again: so long may a revoked key work.
const FRESH: Duration = Duration::from_secs(15);
/// How long a key that was refused is refused without asking.
const REFUSED: Duration = Duration::from_secs(5);
/// How long accounts may take to trade a key.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys that are remembered at most, of those that are good and of those that are not.
const REMEMBERED: usize = 4096;

/// Names a key without holding it.
type Digest = [u8; 32];

/// What keys were traded for.
pub(super) struct ApiKeys {
    accounts: AccountsClient<PeerChannel>,
    /// How often an address may have accounts asked: whoever makes up keys is asked for no more
    /// often than whoever makes up passwords.
    asks: Limiter<IpAddr>,
    traded: Traded,
}

/// Puts the access token of its user in the place of the API key that `request` brings, and says
/// which key it was; none if it brings none. A wrong key costs as much as no token.
pub(super) async fn put_token(
    edge: &Edge,
    request: &mut Request,
    asker: IpAddr,
    standing: &mut Option<Standing>,
) -> Result<Option<Id<kinds::ApiKey>>, Error> {
    let Some(text) = request.headers().get(header::AUTHORIZATION).and_then(shown) else {
        return Ok(None);
    };
    let now = edge.clock.now();
    match edge.api_keys.trade(text, asker, now).await {
        Ok((key, token)) => {
            request.headers_mut().insert(header::AUTHORIZATION, token);
            Ok(Some(key))
        }
        // That accounts is away is nobody's fault who asks.
        Err(error) if error.code() == ErrorCode::Unauthenticated => {
            let (left, verdict) = edge.by_address.admit(asker, now);
            *standing = Some(left);
            verdict?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// The text that is meant to be an API key.
fn shown(given: &HeaderValue) -> Option<String> {
    let text = given.to_str().ok()?.strip_prefix("Bearer ")?;
    ApiKeyText::is_meant(text).then(|| text.to_owned())
}

impl ApiKeys {
    /// Trades keys at `accounts`, which is asked as this role; `limit` is that of addresses.
    pub(super) fn new(accounts: AccountsClient<PeerChannel>, limit: &RateLimit) -> Self {
        Self {
            accounts,
            asks: Limiter::new("address", ", or log in", limit),
            traded: Traded::default(),
        }
    }

    /// The id of a key, and the `Authorization` that it is worth.
    async fn trade(
        &self,
        text: String,
        asker: IpAddr,
        now: Timestamp,
    ) -> Result<(Id<kinds::ApiKey>, HeaderValue), Error> {
        // A mistyped key is found out here.
        let key: ApiKeyText = text.parse().map_err(|cause: ApiKeyError| {
            Error::new(ErrorCode::Unauthenticated, cause.to_string())
        })?;
        let digest = Sha256::digest(&text).into();
        let token = self.traded.get(digest, || self.ask(text, asker, now)).await?;
        Ok((key.id, token))
    }

    async fn ask(&self, text: String, asker: IpAddr, now: Timestamp) -> Result<Token, Error> {
        let (_, verdict) = self.asks.admit(asker, now);
        verdict?;
        let mut request = tonic::Request::new(ExchangeApiKeyRequest { text });
        request.set_timeout(PATIENCE);
        let answer = self.accounts.clone().exchange_api_key(request).await;
        let answer = answer.map_err(|status| error_of(&status))?.into_inner();
        let mut header = HeaderValue::try_from(format!("Bearer {}", answer.access_token))
            .map_err(Error::internal)?;
        header.set_sensitive(true);
        let good_for = u64::try_from(answer.good_for_ms).unwrap_or(0);
        Ok(Token { header, good_for: Duration::from_millis(good_for) })
    }
}

/// What accounts gave for a key.
struct Token {
    header: HeaderValue,
    good_for: Duration,
}

/// The tokens of keys that were traded a moment ago, and the keys that were refused then.
#[derive(Default)]
struct Traded {
    good: Mutex<HashMap<Digest, (HeaderValue, Instant)>>,
    bad: Mutex<HashMap<Digest, Instant>>,
    /// Held by who trades a key; others wait for what comes of it.
    asking: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl Traded {
    /// What `key` is worth, which `ask` asks for unless it was asked for a moment ago.
    async fn get<F: Future<Output = Result<Token, Error>>>(
        &self,
        key: Digest,
        ask: impl FnOnce() -> F,
    ) -> Result<HeaderValue, Error> {
        if let Some(known) = self.known(&key) {
            return known;
        }
        let turn = Turn::of(self, key);
        // Who waits longer than one trade may take waits for a role that is away.
        let _asking = timeout(PATIENCE, turn.gate.lock()).await.map_err(|_| {
            Error::new(ErrorCode::Unavailable, "API keys cannot be checked now; try again")
        })?;
        if let Some(known) = self.known(&key) {
            return known;
        }
        let now = Instant::now();
        match ask().await {
            Ok(Token { header, good_for }) => {
                // Half of its time is left for the request that it is used for.
                let until = now + FRESH.min(good_for / 2);
                let mut good = self.good.lock();
                make_room(&mut good, |(_, until)| now < *until);
                good.insert(key, (header.clone(), until));
                Ok(header)
            }
            Err(error) => {
                if error.code() == ErrorCode::Unauthenticated {
                    let mut bad = self.bad.lock();
                    make_room(&mut bad, |until| now < *until);
                    bad.insert(key, now + REFUSED);
                }
                Err(error)
            }
        }
    }

    /// What is known of `key`, as far as it is still to be relied on.
    fn known(&self, key: &Digest) -> Option<Result<HeaderValue, Error>> {
        let now = Instant::now();
        if let Some((token, until)) = self.good.lock().get(key)
            && now < *until
        {
            return Some(Ok(token.clone()));
        }
        let is_bad = self.bad.lock().get(key).is_some_and(|until| now < *until);
        is_bad.then(|| Err(refused()))
    }
}

/// Forgets what `is_fresh` denies, if there is much; failing that, all of it.
fn make_room<V>(map: &mut HashMap<Digest, V>, is_fresh: impl Fn(&V) -> bool) {
    if map.len() < REMEMBERED {
        return;
    }
    map.retain(|_, value| is_fresh(value));
    if map.len() >= REMEMBERED {
        map.clear();
    }
}

fn refused() -> Error {
    let message =
        "the API key was revoked, has expired, or never was one; ask its user for another";
    Error::new(ErrorCode::Unauthenticated, message)
}

/// One of those who want to know what a key is worth. The last of them tidies up, also if its
/// asker went away.
struct Turn<'a> {
    of: &'a Traded,
    key: Digest,
    gate: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Turn<'a> {
    fn of(of: &'a Traded, key: Digest) -> Self {
        let gate = Arc::clone(of.asking.lock().entry(key).or_default());
        Self { of, key, gate }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut asking = self.of.asking.lock();
        // The map's own, and this one.
        if Arc::strong_count(&self.gate) <= 2 {
            asking.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn numbered(number: u32) -> Digest {
        Sha256::digest(number.to_be_bytes()).into()
    }

    fn token(text: &'static str, good_for: Duration) -> Token {
        Token { header: HeaderValue::from_static(text), good_for }
    }

    #[tokio::test(start_paused = true)]
    async fn one_asks_for_all_and_what_it_learns_is_kept_for_a_moment() {
        let (traded, asked) = (Traded::default(), AtomicU32::new(0));
        let get = async |text: &'static str| {
            let ask = || async {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(token(text, Duration::from_mins(5)))
            };
            traded.get(numbered(1), ask).await.unwrap()
        };
        let all = futures::future::join_all((0..20).map(|_| get("a"))).await;
        assert!(all.iter().all(|token| token == "a"));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(traded.asking.lock().is_empty(), "nobody waits any more");
        tokio::time::advance(FRESH.checked_sub(Duration::from_millis(1)).unwrap()).await;
        assert_eq!(get("b").await, "a");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(get("b").await, "b");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_not_used_to_its_end() {
        let traded = Traded::default();
        let short = || async { Ok(token("a", Duration::from_secs(4))) };
        traded.get(numbered(1), short).await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(traded.known(&numbered(1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_kept_for_a_shorter_moment_and_a_failure_is_not() {
        let traded = Traded::default();
        let fail = |code| move || async move { Err(Error::new(code, "no")) };
        let away = traded.get(numbered(1), fail(ErrorCode::Unavailable)).await;
        assert_eq!(away.unwrap_err().code(), ErrorCode::Unavailable);
        assert!(traded.known(&numbered(1)).is_none());
        traded.get(numbered(1), fail(ErrorCode::Unauthenticated)).await.unwrap_err();
        let known = traded.known(&numbered(1)).expect("a refusal");
        assert_eq!(known.unwrap_err().code(), ErrorCode::Unauthenticated);
        tokio::time::advance(REFUSED).await;
        assert!(traded.known(&numbered(1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_wrong_keys_push_out_no_good_ones() {
        let traded = Traded::default();
        let good = || async { Ok(token("a", Duration::from_mins(5))) };
        traded.get(numbered(0), good).await.unwrap();
        for number in 1..10_000 {
            let wrong = || async { Err(Error::unauthenticated()) };
            traded.get(numbered(number), wrong).await.unwrap_err();
        }
        assert!(traded.bad.lock().len() <= REMEMBERED);
        assert!(traded.known(&numbered(0)).is_some_and(|known| known.is_ok()));
        for number in 10_000..20_000 {
            traded.get(numbered(number), good).await.unwrap();
        }
        assert!(traded.good.lock().len() <= REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_behind_who_gets_no_answer() {
        let traded = Traded::default();
        let stuck = traded.get(numbered(1), std::future::pending::<Result<Token, Error>>);
        let good = || async { Ok(token("a", Duration::from_mins(5))) };
        let others = (0..10).map(|_| traded.get(numbered(1), good));
        let others = async {
            // They come second.
            tokio::task::yield_now().await;
            futures::future::join_all(others).await
        };
        let answers = tokio::select! {
            _ = stuck => panic!("it has no end"),
            answers = timeout(PATIENCE * 2, others) => answers.expect("they are told in time"),
        };
        for answer in answers {
            assert_eq!(answer.unwrap_err().code(), ErrorCode::Unavailable);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_leaves_nothing_and_the_next_one_asks() {
        let traded = Traded::default();
        let gone = traded.get(numbered(1), std::future::pending::<Result<Token, Error>>);
        timeout(Duration::from_secs(1), gone).await.unwrap_err();
        assert!(traded.asking.lock().is_empty());
        let good = || async { Ok(token("a", Duration::from_mins(5))) };
        assert_eq!(traded.get(numbered(1), good).await.unwrap(), "a");
    }
}
