//! The contract suites: one set of cases per contract, run against every engine.
//!
//! A case is a plain async function over a factory that opens further handles onto the same data.
//! [`store_contract!`](crate::store_contract), [`bus_contract!`](crate::bus_contract) and
//! [`eventing_contract!`](crate::eventing_contract) stamp a test for each case; each macro is the only list of its cases, and a test in this crate fails
//! when a case is missing from it. Cases use ids of their own, so that they may share one server.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a case fails by panicking, as a test does"
)]

pub mod bus;
pub mod crash;
pub mod eventing;
pub mod outage;
pub mod store;

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bistro_core::{Clock as _, SystemClock, Timestamp};
use rand::{SeedableRng as _, rngs::StdRng};

/// Stamps a test for each case of a suite: the part that the suites' own macros share.
#[doc(hidden)]
#[macro_export]
macro_rules! stamp_cases {
    ($suite:ident, $factory:expr; $($module:ident: $($case:ident)+;)+) => {$(
        mod $module {
            #[allow(unused_imports, reason = "the factory may need them")]
            use super::*;

            $(#[test]
            fn $case() {
                $crate::suites::run(async {
                    let factory = $factory;
                    $crate::suites::$suite::$module::$case(&factory).await;
                });
            })+
        }
    )+};
}

/// The longest that one case may take before it counts as hung.
pub const CASE_LIMIT: Duration = Duration::from_mins(5);
/// The longest that a value which is bound to come may take to come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs one case on a runtime of its own; a case that hangs fails.
pub fn run(case: impl Future<Output = ()>) {
    run_within(CASE_LIMIT, case);
}

/// [`run`] for a case that may take `limit`, and longer if more than the usual [`rounds`] are asked for.
pub fn run_within(limit: Duration, case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        tokio::time::timeout(limit * rounds(1), case).await.expect("the case hangs");
    });
}

/// A word that no other case, process or run uses.
#[must_use]
pub fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemClock.now().as_millis();
    format!("{now:x}-{:x}-{count:x}", std::process::id())
}

/// A generator whose seed is shown when the case fails.
#[expect(clippy::print_stdout, reason = "the test runner shows it on failure")]
pub(crate) fn random() -> StdRng {
    let seed = SystemClock.now().as_millis().cast_unsigned();
    println!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// How many rounds a repeated case does: `default` times `BISTRO_TEST_FACTOR`, which is 1 unless
/// somebody wants to test for longer.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "how long to test is not configuration of the platform"
)]
pub fn rounds(default: u32) -> u32 {
    let factor = std::env::var("BISTRO_TEST_FACTOR")
        .map_or(1, |text| text.parse().expect("BISTRO_TEST_FACTOR is a number"));
    default * factor
}

/// The moment `millis` after an arbitrary fixed one, for data whose age does not matter.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

/// Runs all of `futures` at the same time; the results are in their order.
pub(crate) async fn together<F>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.expect("no task panics"));
    }
    results
}

/// Asks again and again until `wanted` holds of the answer; fails with the last answer.
pub(crate) async fn eventually<T: Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    crate::wait::until(what, PATIENCE, async || {
        let answer = ask().await;
        if wanted(&answer) { Ok(answer) } else { Err(answer) }
    })
    .await
}

#[cfg(test)]
mod registration {
    //! Every public async function of a suite's modules is stamped by the suite's macro.

    use std::{collections::BTreeSet, fs, path::Path};

    fn check(suite: &str, helpers: &[&str]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suites").join(suite);
        let source = fs::read_to_string(folder.join("mod.rs")).unwrap();
        let (_, list) = source.split_once(&format!("stamp_cases! {{ {suite}, $factory;")).unwrap();
        let (list, _) = list.split_once("};").unwrap();
        let mut listed = BTreeSet::new();
        for entry in list.split(';') {
            if let Some((module, cases)) = entry.split_once(':') {
                for case in cases.split_whitespace() {
                    listed.insert(format!("{}::{case}", module.trim()));
                }
            }
        }
        let mut written = BTreeSet::new();
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if module == "mod" || helpers.contains(&module.as_str()) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for case in text.split("\npub async fn ").skip(1) {
                let name = case.split(['(', '<']).next().unwrap();
                written.insert(format!("{module}::{name}"));
            }
        }
        assert!(!written.is_empty());
        assert_eq!(written, listed, "cases in {suite}/ and in its macro");
    }

    #[test]
    fn no_store_case_is_left_out() {
        check("store", &["fixtures", "flaky"]);
    }

    #[test]
    fn no_outage_case_is_left_out() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suites/outage");
        let macros = fs::read_to_string(folder.join("mod.rs")).unwrap();
        for suite in ["store", "bus"] {
            let text = fs::read_to_string(folder.join(format!("{suite}.rs"))).unwrap();
            let (_, list) = macros.split_once(&format!("outage_tests! {{ {suite},")).unwrap();
            let (list, _) = list.split_once('}').unwrap();
            let (_, list) = list.split_once("$open,").unwrap();
            // The others say how the cases after them start their server.
            let words = list.split_whitespace().filter(|word| !word.contains([':', '[', ']']));
            let listed: BTreeSet<&str> = words.collect();
            let written = text.split("\npub async fn ").skip(1);
            let written = written.map(|case| case.split(['(', '<']).next().unwrap());
            assert_eq!(written.collect::<BTreeSet<_>>(), listed, "{suite}");
        }
    }

    #[test]
    fn no_bus_case_is_left_out() {
        check("bus", &["fixtures", "shelf"]);
    }

    #[test]
    fn no_eventing_case_is_left_out() {
        check("eventing", &["fixtures", "script", "deaf"]);
    }
}
