//! Menus as they are sent: rendered once for many, and asked for once a second at most.
//!
//! A menu is the same for everybody who asks. It is kept with what the role answered: if the role
//! says the same again, the bytes and the entity tag stay the same too.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bistro_core::{Bounds, Error, FadingMap, Id, kinds};
use bistro_proto::catalog::v1::FullMenu;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::{
    dto::RestaurantMenu,
    edge::{IfNoneMatch, Problem},
};

/// How long a menu is sent before it is asked for again.
const FRESH: Duration = Duration::from_secs(1);
/// The same for whoever keeps it on the way.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// Menus that are remembered.
const REMEMBERED: Bounds = Bounds { entries: 1024, bytes: 96 << 20, age: Duration::from_secs(30) };

/// The menus that were sent a moment ago.
pub(crate) struct MenuCache {
    slots: Mutex<FadingMap<Id<kinds::Restaurant>, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    kept: Mutex<Option<Kept>>,
    /// Held by who asks for the menu; others wait for what comes of it.
    asking: tokio::sync::Mutex<()>,
}

struct Kept {
    /// When the role was asked.
    asked: Instant,
    answer: FullMenu,
    rendered: Rendered,
    /// What it takes in memory, about.
    bytes: usize,
}

/// A menu as it is sent.
#[derive(Clone)]
pub(crate) struct Rendered {
    body: Bytes,
    tag: HeaderValue,
}

impl Default for MenuCache {
    fn default() -> Self {
        Self::within(REMEMBERED)
    }
}

impl MenuCache {
    fn within(bounds: Bounds) -> Self {
        Self { slots: Mutex::new(FadingMap::new(bounds, |slot| Arc::strong_count(slot) > 1)) }
    }

    /// The restaurant's menu, which `ask` asks for unless it was asked for a moment ago.
    pub(crate) async fn get<F: Future<Output = Result<FullMenu, Problem>>>(
        &self,
        restaurant: Id<kinds::Restaurant>,
        ask: impl FnOnce() -> F,
    ) -> Result<Rendered, Problem> {
        let slot = self.slot(restaurant);
        if let Some(rendered) = slot.fresh() {
            return Ok(rendered);
        }
        let _asking = slot.asking.lock().await;
        if let Some(rendered) = slot.fresh() {
            return Ok(rendered);
        }
        let asked = Instant::now();
        let answer = match ask().await {
            Ok(answer) => answer,
            Err(refused) => {
                // There may be no such restaurant: what was never there is not remembered.
                self.slots.lock().remove_if(&restaurant, |slot| slot.kept.lock().is_none());
                return Err(refused);
            }
        };
        let same = slot.kept.lock().take().filter(|kept| kept.answer == answer);
        let kept = match same {
            Some(kept) => Kept { asked, ..kept },
            None => Kept::of(answer, asked)?,
        };
        let (rendered, bytes) = (kept.rendered.clone(), kept.bytes);
        *slot.kept.lock() = Some(kept);
        let forgotten = self.slots.lock().weigh(&restaurant, bytes, asked.into_std());
        drop(forgotten);
        Ok(rendered)
    }

    fn slot(&self, restaurant: Id<kinds::Restaurant>) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(&restaurant) {
            return slot;
        }
        let slot = Arc::<Slot>::default();
        let forgotten = slots.insert(restaurant, Arc::clone(&slot), Instant::now().into_std());
        drop(slots);
        drop(forgotten);
        slot
    }
}

impl Kept {
    fn of(answer: FullMenu, asked: Instant) -> Result<Self, Error> {
        let rendered = Rendered::of(&answer)?;
        // The answer itself takes about twice what it takes as text.
        let bytes = 3 * rendered.body.len();
        Ok(Self { asked, answer, rendered, bytes })
    }
}

impl Slot {
    fn fresh(&self) -> Option<Rendered> {
        let kept = self.kept.lock();
        let kept = kept.as_ref().filter(|kept| kept.asked.elapsed() < FRESH)?;
        Some(kept.rendered.clone())
    }
}

impl Rendered {
    fn of(answer: &FullMenu) -> Result<Self, Error> {
        let tree = RestaurantMenu::from(answer.clone());
        let body = Bytes::from(serde_json::to_vec(&tree).map_err(Error::internal)?);
        let digest = Sha256::digest(&body);
        let hex = digest.iter().take(16).fold(String::from("\""), |mut text, byte| {
            use std::fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let tag = HeaderValue::try_from(hex + "\"").map_err(Error::internal)?;
        Ok(Self { body, tag })
    }

    /// The answer to somebody who has what `known` names.
    pub(crate) fn unless(self, known: &IfNoneMatch) -> Response {
        let is_known = self.tag.to_str().is_ok_and(|tag| known.names(tag));
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = Response::new(Body::from(self.body));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        };
        response.headers_mut().insert(header::ETAG, self.tag);
        response.headers_mut().insert(header::CACHE_CONTROL, CACHE_CONTROL);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bistro_core::ErrorCode;
    use bistro_proto::catalog::v1;

    use super::*;

    const HERE: Id<kinds::Restaurant> = Id::from_bits(1);

    fn menu(name: &str) -> FullMenu {
        let restaurant = v1::Restaurant { name: name.to_owned(), ..v1::Restaurant::default() };
        FullMenu { restaurant: Some(restaurant), ..FullMenu::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn one_asks_for_all_and_the_same_answer_is_sent_as_it_was() {
        let (cache, asked) = (MenuCache::default(), AtomicU32::new(0));
        let ask = |name: &'static str| {
            let asked = &asked;
            move || async move {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(menu(name))
            }
        };
        let all = futures::future::join_all((0..20).map(|_| cache.get(HERE, ask("Ada")))).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let first = all.into_iter().next().unwrap().unwrap();
        tokio::time::advance(Duration::from_millis(999)).await;
        let early = cache.get(HERE, ask("Bob")).await.unwrap();
        assert_eq!(early.tag, first.tag);
        tokio::time::advance(Duration::from_millis(1)).await;
        let same = cache.get(HERE, ask("Ada")).await.unwrap();
        assert_eq!(same.body.as_ptr(), first.body.as_ptr(), "it is not rendered again");
        tokio::time::advance(FRESH).await;
        let changed = cache.get(HERE, ask("Bob")).await.unwrap();
        assert_ne!(changed.tag, first.tag);
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_kept_and_memory_is_bounded() {
        let cache = MenuCache::default();
        let refused = || async { Err(Error::not_found("restaurant").into()) };
        let Err(Problem(error)) = cache.get(HERE, refused).await else { panic!("a refusal") };
        assert_eq!(error.code(), ErrorCode::NotFound);
        assert!(cache.get(HERE, || async { Ok(menu("Ada")) }).await.is_ok());
        for bits in 0..3000 {
            let _ = cache.get(Id::from_bits(bits), || async { Ok(menu("Ada")) }).await;
            tokio::time::advance(Duration::from_millis(2)).await;
        }
        assert!(cache.slots.lock().len() <= REMEMBERED.entries);
    }

    #[tokio::test(start_paused = true)]
    async fn large_menus_take_no_more_than_small_ones() {
        let cache = MenuCache::within(Bounds { bytes: 1 << 20, ..REMEMBERED });
        let long = "x".repeat(10_000);
        for bits in 0..200 {
            let asked = cache.get(Id::from_bits(bits), || async { Ok(menu(&long)) }).await;
            assert!(asked.is_ok());
            assert!(cache.slots.lock().bytes() <= (1 << 20));
        }
        assert!(cache.slots.lock().len() > 10);
    }

    #[tokio::test(start_paused = true)]
    async fn menus_that_nobody_reads_are_forgotten() {
        let cache = MenuCache::default();
        for bits in 10..20 {
            let _ = cache.get(Id::from_bits(bits), || async { Ok(menu("Bob")) }).await;
        }
        for _ in 0..3 {
            tokio::time::advance(REMEMBERED.age).await;
            assert!(cache.get(HERE, || async { Ok(menu("Ada")) }).await.is_ok());
        }
        assert_eq!(cache.slots.lock().len(), 1, "the one that is read");
        let refused = || async { Err(Error::not_found("restaurant").into()) };
        assert!(cache.get(Id::from_bits(5), refused).await.is_err());
        assert_eq!(cache.slots.lock().len(), 1, "what is not there takes nothing");
    }
}
