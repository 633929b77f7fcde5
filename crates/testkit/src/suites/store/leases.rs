//! Leases: one holder at a time, until it runs out.

use std::time::Duration;

use super::{Names, ROLE, StoreFactory};
use crate::suites::{at, together};

const LIFETIME: Duration = Duration::from_millis(100);

/// The holder renews it; another gets it only when it has run out, and then the first does not.
pub async fn a_lease_has_one_holder_until_it_runs_out(f: &impl StoreFactory) {
    let (one, two) = (f.open().await, f.open().await);
    let names = Names::new();
    let name = names.id("relay");
    let take = async |first: bool, holder: &str, moment: i64| {
        let store = if first { &one } else { &two };
        store.lease(ROLE, &name, holder, at(moment), LIFETIME).await.unwrap()
    };
    assert!(take(true, "a", 0).await);
    assert!(!take(false, "b", 50).await);
    assert!(take(true, "a", 60).await);
    // Renewed at 60, so it has not run out at 120.
    assert!(!take(false, "b", 120).await);
    assert!(take(false, "b", 161).await);
    assert!(!take(true, "a", 200).await);
    assert!(take(false, "b", 200).await);

    // Other names and other roles are other leases.
    let other = names.id("timers");
    assert!(one.lease(ROLE, &other, "a", at(200), LIFETIME).await.unwrap());
    assert!(one.lease("suite_a", &name, "a", at(200), LIFETIME).await.unwrap());
}

/// 32 want a free lease, and then an expired one; each time one gets it.
pub async fn one_of_many_gets_a_lease(f: &impl StoreFactory) {
    let handles = [f.open().await, f.open().await];
    let name = Names::new().id("race");
    for round in 0..5 {
        let taken =
            together((0..32_usize).map(|client| {
                let (store, name) = (handles[client % 2].clone(), name.clone());
                let holder = format!("{round}-{client}");
                async move {
                    store.lease(ROLE, &name, &holder, at(1_000 * round), LIFETIME).await.unwrap()
                }
            }))
            .await;
        assert_eq!(taken.into_iter().filter(|got| *got).count(), 1);
    }
}
