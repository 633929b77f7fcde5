//! Where the real servers lie on this machine: the one place that `xtask provision` and the testkit both compile.

use std::env;
use std::path::{Path, PathBuf};

/// The release of MongoDB that tests run against.
pub(crate) const MONGODB_VERSION: &str = "6.0.5";

/// RabbitMQ's own start script, as Debian's package installs it.
///
/// Not `/usr/sbin/rabbitmq-server`: that wrapper switches to the system's rabbitmq user and its system-wide folders.
pub(crate) const RABBITMQ_SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// The cache folder: `BISTRO_CACHE`, or `.cache/bistro` in the home folder. None if neither variable is set.
pub(crate) fn cache_root() -> Option<PathBuf> {
    cache_root_from(
        env::var_os("BISTRO_CACHE").map(PathBuf::from),
        env::var_os("HOME").map(PathBuf::from),
    )
}

/// [`cache_root`] with the two variables as arguments; an empty one counts as unset.
fn cache_root_from(chosen: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let set = |path: &PathBuf| !path.as_os_str().is_empty();
    chosen.filter(set).or_else(|| home.filter(set).map(|home| home.join(".cache/bistro")))
}

/// The `mongod` program in the cache folder `root`.
pub(crate) fn mongod(root: &Path) -> PathBuf {
    root.join(format!("mongodb-{MONGODB_VERSION}")).join("mongod")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_home_folder() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(cache_root_from(path("/c"), path("/h")), path("/c"));
        assert_eq!(cache_root_from(path(""), path("/h")), path("/h/.cache/bistro"));
        assert_eq!(cache_root_from(None, path("/h")), path("/h/.cache/bistro"));
        assert_eq!(cache_root_from(None, path("")), None);
    }
}
