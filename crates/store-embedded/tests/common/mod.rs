//! The documents of the engine's own tests, and a disk small enough to be filled.

use std::{path::Path, process::Command};

use bistro_core::Timestamp;
use bistro_store::{Cause, Collection, Document, Index, Key, Work};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

static DISHES: Collection = Collection {
    role: "kitchen",
    name: "dishes",
    schema: 1,
    compatible_from: 1,
    indexes: &[Index::new("course"), Index::unique("title")],
};

pub(crate) static COLLECTIONS: &[&Collection] = &[&DISHES];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dish {
    pub id: String,
    pub title: String,
    pub course: i64,
    pub recipe: String,
}

impl Dish {
    pub(crate) fn new(id: &str, course: i64) -> Self {
        Self { id: id.to_owned(), title: id.to_owned(), course, recipe: String::new() }
    }
}

impl Document for Dish {
    const COLLECTION: &'static Collection = &DISHES;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<(&'static str, Key)> {
        vec![("course", Key::new().int(self.course)), ("title", Key::new().text(&self.title))]
    }
}

/// The moment `millis` after a fixed one.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + millis)
}

/// The Work of a request of its own that inserts a dish.
pub(crate) fn inserting(id: &str, course: i64) -> Work {
    let cause = Cause::request("usr", "cook", id, b"");
    let mut work = Work::new("kitchen", cause, at(0), None);
    work.insert(&Dish::new(id, course)).unwrap();
    work
}

/// A file system of 8 MiB in memory, unmounted when dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    pub(crate) fn mount() -> Self {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(mounted.success(), "mounting needs root");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a failed test may still have the file open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
