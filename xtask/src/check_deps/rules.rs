//! The rules of direction, as data: who may not name what, in which tables, and why.

use std::fmt::{Display, Formatter, Result};

use super::metadata::{Dependency, Kind, Package, Target, Workspace};

/// Forbids some crates to name some dependencies.
pub(super) struct Rule {
    /// Short name, unique.
    pub(super) name: &'static str,
    /// The crates that the rule binds.
    who: Folders,
    /// The dependencies that it forbids them.
    what: Forbidden,
    /// The tables that it looks at.
    tables: Tables,
    /// The sentence shown with a violation: what holds instead.
    why: &'static str,
}

/// A set of the repository's crates, by folder.
enum Folders {
    /// These, and what lies below them.
    In(&'static [&'static str]),
    /// These, and what lies below them, without the second list.
    InBut(&'static [&'static str], &'static [&'static str]),
    /// All others.
    AllBut(&'static [&'static str]),
}

/// A set of dependencies.
enum Forbidden {
    /// Crates of this repository. A crate's dependency on itself (a dev-dependency with other features) is never forbidden.
    Ours(Folders),
    /// Crates from elsewhere, by name.
    External(&'static [&'static str]),
}

/// Which of a manifest's tables a rule looks at.
enum Tables {
    All,
    /// All but `[dev-dependencies]`.
    Shipped,
}

const STORAGE_AND_BUS_ENGINES: &[&str] =
    &["crates/store-embedded", "crates/store-mongo", "crates/bus-embedded", "crates/bus-rabbitmq"];
const BINARY: &str = "services/bistro";

/// Every rule. `docs` and the design say the same in prose.
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "core-stands-alone",
        who: Folders::In(&["crates/core"]),
        what: Forbidden::Ours(Folders::AllBut(&[])),
        tables: Tables::All,
        why: "core depends on no workspace crate: everything else stands on it",
    },
    Rule {
        name: "contracts-on-core",
        who: Folders::In(&["crates/store", "crates/bus"]),
        what: Forbidden::Ours(Folders::AllBut(&["crates/core"])),
        tables: Tables::All,
        why: "the contracts (store, bus) depend only on core; test them through the suites in testkit",
    },
    Rule {
        name: "mongodb-has-one-dependant",
        who: Folders::AllBut(&["crates/store-mongo"]),
        what: Forbidden::External(&["mongodb"]),
        tables: Tables::All,
        why: "only crates/store-mongo names the MongoDB driver; go through the store contract",
    },
    Rule {
        name: "lapin-has-one-dependant",
        who: Folders::AllBut(&["crates/bus-rabbitmq"]),
        what: Forbidden::External(&["lapin"]),
        tables: Tables::All,
        why: "only crates/bus-rabbitmq names the RabbitMQ client; go through the bus contract",
    },
    Rule {
        name: "sqlite-has-one-dependant",
        who: Folders::AllBut(&["crates/store-embedded"]),
        what: Forbidden::External(&["rusqlite", "libsqlite3-sys"]),
        tables: Tables::All,
        why: "only crates/store-embedded names SQLite; bus-embedded goes through store-embedded's queues",
    },
    Rule {
        name: "kube-in-the-operator",
        who: Folders::AllBut(&["operator"]),
        what: Forbidden::External(&["kube", "k8s-openapi"]),
        tables: Tables::All,
        why: "only operator/ talks to Kubernetes",
    },
    Rule {
        name: "roles-meet-in-proto",
        who: Folders::InBut(&["services"], &[BINARY]),
        what: Forbidden::Ours(Folders::In(&["services"])),
        tables: Tables::All,
        why: "a role depends on no other role; ask it through the clients in proto",
    },
    Rule {
        name: "roles-know-no-engine",
        who: Folders::InBut(&["services"], &[BINARY]),
        what: Forbidden::Ours(Folders::In(STORAGE_AND_BUS_ENGINES)),
        tables: Tables::All,
        why: "a role depends on the contracts (store, bus) and on no engine, in its tests too; testkit hands them one",
    },
    Rule {
        name: "roles-are-the-top",
        who: Folders::In(&["crates", "proto", "operator"]),
        what: Forbidden::Ours(Folders::In(&["services"])),
        tables: Tables::All,
        why: "crates, proto and the operator stand below the roles; only services/bistro, tests, bench and xtask name roles",
    },
    Rule {
        name: "engines-are-wired-in-the-binary",
        who: Folders::AllBut(&[
            BINARY,
            "tests",
            "bench",
            "xtask",
            "crates/testkit",
            "crates/bus-embedded",
        ]),
        what: Forbidden::Ours(Folders::In(STORAGE_AND_BUS_ENGINES)),
        tables: Tables::Shipped,
        why: "only services/bistro and tests name an engine; depend on the contract (store, bus)",
    },
    Rule {
        name: "bus-embedded-on-its-store",
        who: Folders::In(&["crates/bus-embedded"]),
        what: Forbidden::Ours(Folders::InBut(STORAGE_AND_BUS_ENGINES, &["crates/store-embedded"])),
        tables: Tables::All,
        why: "of the engines, bus-embedded may know store-embedded only",
    },
    Rule {
        name: "testkit-in-tests-only",
        who: Folders::AllBut(&["tests", "bench"]),
        what: Forbidden::Ours(Folders::In(&["crates/testkit"])),
        tables: Tables::Shipped,
        why: "testkit is a dev-dependency: it must not reach a shipped program",
    },
];

/// One dependency that a rule forbids; displays as a sentence for the person who added it.
pub(super) struct Violation<'a> {
    pub(super) rule: &'static Rule,
    package: &'a Package,
    dependency: &'a Dependency,
}

impl Display for Violation<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let (Target::Ours(target) | Target::External(target)) = &self.dependency.target;
        let table = match self.dependency.kind {
            Kind::Normal => "dependencies",
            Kind::Dev => "dev-dependencies",
            Kind::Build => "build-dependencies",
        };
        write!(
            f,
            "{}/Cargo.toml: [{table}] {target}: {} ({})",
            self.package.folder, self.rule.why, self.rule.name
        )
    }
}

/// Every dependency in the workspace that a rule forbids, in the order of the crates.
pub(super) fn violations(workspace: &Workspace) -> Vec<Violation<'_>> {
    let named = workspace.packages.iter().flat_map(|package| {
        package.dependencies.iter().map(move |dependency| (package, dependency))
    });
    named
        .flat_map(|(package, dependency)| {
            let broken = RULES.iter().filter(|rule| rule.forbids(package, dependency));
            broken.map(move |rule| Violation { rule, package, dependency })
        })
        .collect()
}

impl Rule {
    fn forbids(&self, package: &Package, dependency: &Dependency) -> bool {
        let looks_at = match self.tables {
            Tables::All => true,
            Tables::Shipped => dependency.kind != Kind::Dev,
        };
        let forbidden = match (&self.what, &dependency.target) {
            (Forbidden::Ours(folders), Target::Ours(folder)) => {
                *folder != package.folder && folders.contain(folder)
            }
            (Forbidden::External(names), Target::External(name)) => names.contains(&name.as_str()),
            _ => false,
        };
        looks_at && forbidden && self.who.contain(&package.folder)
    }
}

impl Folders {
    fn contain(&self, folder: &str) -> bool {
        // Whole path components: `crates/store` does not contain `crates/store-mongo`.
        let within = |roots: &[&str]| {
            roots.iter().any(|root| {
                folder
                    .strip_prefix(root)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        match self {
            Self::In(roots) => within(roots),
            Self::InBut(roots, without) => within(roots) && !within(without),
            Self::AllBut(without) => !within(without),
        }
    }
}
