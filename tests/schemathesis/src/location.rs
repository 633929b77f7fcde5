//! Where schemathesis lies on this machine: the one place that `xtask provision` and the runner both
//! compile.

use std::path::{Path, PathBuf};

/// The release, as `xtask/src/provision/schemathesis.txt` pins it.
pub(crate) const VERSION: &str = "4.32.5";

/// The folder of its virtual environment, in the cache folder `root`.
pub(crate) fn environment(root: &Path) -> PathBuf {
    root.join(format!("schemathesis-{VERSION}"))
}

/// The program.
pub(crate) fn program(root: &Path) -> PathBuf {
    environment(root).join("bin/schemathesis")
}
