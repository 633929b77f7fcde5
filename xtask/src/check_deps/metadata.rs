//! What the rules need to know of `cargo metadata`'s answer.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// The workspace: its crates and what each names in its manifest.
pub(super) struct Workspace {
    pub(super) packages: Vec<Package>,
}

/// One crate of the workspace.
pub(super) struct Package {
    /// Its folder from the workspace's root, such as `crates/core`.
    pub(super) folder: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependency tables.
pub(super) struct Dependency {
    pub(super) target: Target,
    pub(super) kind: Kind,
}

/// What a dependency points at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A crate of this repository, by its folder from the workspace's root.
    Ours(String),
    /// A crate from elsewhere, by its name in the registry.
    External(String),
}

/// The table that a dependency stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Dev,
    Build,
}

#[derive(Deserialize)]
struct RawMetadata {
    workspace_root: PathBuf,
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    manifest_path: PathBuf,
    dependencies: Vec<RawDependency>,
}

#[derive(Deserialize)]
struct RawDependency {
    name: String,
    kind: Option<RawKind>,
    /// Set for a dependency inside the repository.
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Dev,
    Build,
}

impl Workspace {
    /// Reads the JSON that `cargo metadata --no-deps` writes.
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        let raw: RawMetadata =
            serde_json::from_slice(json).context("cannot read the answer of `cargo metadata`")?;
        let root = raw.workspace_root;
        let packages = raw
            .packages
            .into_iter()
            .map(|package| Package::read(package, &root))
            .collect::<Result<_>>()?;
        Ok(Self { packages })
    }
}

impl Package {
    fn read(raw: RawPackage, root: &Path) -> Result<Self> {
        let folder = raw.manifest_path.parent().context("a manifest without a folder")?;
        Ok(Self {
            folder: below(folder, root),
            dependencies: raw
                .dependencies
                .into_iter()
                .map(|dependency| Dependency::read(dependency, root))
                .collect(),
        })
    }
}

impl Dependency {
    fn read(raw: RawDependency, root: &Path) -> Self {
        Self {
            target: raw
                .path
                .map_or(Target::External(raw.name), |path| Target::Ours(below(&path, root))),
            kind: match raw.kind {
                None => Kind::Normal,
                Some(RawKind::Dev) => Kind::Dev,
                Some(RawKind::Build) => Kind::Build,
            },
        }
    }
}

/// `folder` as written from the workspace's root.
fn below(folder: &Path, root: &Path) -> String {
    folder.strip_prefix(root).unwrap_or(folder).to_string_lossy().into_owned()
}
