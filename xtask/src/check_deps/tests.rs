//! Each rule fails on an invented workspace that breaks it, and on no neighbouring one that keeps it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::metadata::{Kind, Target, Workspace};
use super::rules::{RULES, violations};

/// The answer of `cargo metadata` for one crate in `folder` with one dependency: a folder of ours if it has a slash
/// or is a top-level one, an external crate otherwise.
fn workspace(folder: &str, target: &str, kind: Option<&str>) -> Workspace {
    let ours = target.contains('/') || ["proto", "tests", "operator"].contains(&target);
    let path = ours.then(|| format!("/repo/{target}"));
    let metadata = json!({
        "workspace_root": "/repo",
        "packages": [{
            "name": "irrelevant",
            "manifest_path": format!("/repo/{folder}/Cargo.toml"),
            "dependencies": [{ "name": target, "kind": kind, "path": path, "optional": false }],
        }],
    });
    Workspace::parse(metadata.to_string().as_bytes()).unwrap()
}

fn broken(folder: &str, target: &str, kind: Option<&str>) -> Vec<&'static str> {
    violations(&workspace(folder, target, kind))
        .iter()
        .map(|violation| violation.rule.name)
        .collect()
}

const DEV: Option<&str> = Some("dev");
const BUILD: Option<&str> = Some("build");

/// (crate, its dependency, table, the rule that forbids it)
const FORBIDDEN: &[(&str, &str, Option<&str>, &str)] = &[
    ("crates/core", "crates/config", None, "core-stands-alone"),
    ("crates/core", "crates/testkit", DEV, "core-stands-alone"),
    ("crates/store", "crates/eventing", None, "contracts-on-core"),
    ("crates/bus", "crates/store", None, "contracts-on-core"),
    ("crates/bus", "proto", BUILD, "contracts-on-core"),
    ("crates/eventing", "mongodb", None, "mongodb-has-one-dependant"),
    ("crates/testkit", "mongodb", None, "mongodb-has-one-dependant"),
    ("services/orders", "mongodb", DEV, "mongodb-has-one-dependant"),
    ("crates/eventing", "lapin", None, "lapin-has-one-dependant"),
    ("crates/bus-embedded", "rusqlite", None, "sqlite-has-one-dependant"),
    ("crates/runtime", "kube", None, "kube-in-the-operator"),
    ("tests", "k8s-openapi", DEV, "kube-in-the-operator"),
    ("services/orders", "services/payments", None, "roles-meet-in-proto"),
    ("services/orders", "services/payments", DEV, "roles-meet-in-proto"),
    ("services/gateway", "services/bistro", None, "roles-meet-in-proto"),
    ("services/orders", "crates/store-embedded", DEV, "roles-know-no-engine"),
    ("crates/runtime", "services/orders", None, "roles-are-the-top"),
    ("proto", "services/orders", BUILD, "roles-are-the-top"),
    ("operator", "services/bistro", None, "roles-are-the-top"),
    ("crates/eventing", "crates/bus-rabbitmq", None, "engines-are-wired-in-the-binary"),
    ("crates/store-embedded", "crates/store-mongo", None, "engines-are-wired-in-the-binary"),
    ("operator", "crates/store-mongo", None, "engines-are-wired-in-the-binary"),
    ("crates/bus-embedded", "crates/store-mongo", None, "bus-embedded-on-its-store"),
    ("crates/bus-embedded", "crates/bus-rabbitmq", DEV, "bus-embedded-on-its-store"),
    ("crates/eventing", "crates/testkit", None, "testkit-in-tests-only"),
    ("services/bistro", "crates/testkit", BUILD, "testkit-in-tests-only"),
    ("xtask", "crates/testkit", None, "testkit-in-tests-only"),
];

/// (crate, its dependency, table): kept by every rule.
const ALLOWED: &[(&str, &str, Option<&str>)] = &[
    ("crates/core", "serde", None),
    ("crates/store", "crates/core", None),
    ("crates/bus", "crates/core", None),
    ("crates/store-mongo", "mongodb", None),
    ("crates/store-mongo", "crates/store", None),
    ("crates/store-mongo", "crates/testkit", DEV),
    ("crates/store-mongo", "crates/store-mongo", DEV),
    ("crates/store-embedded", "rusqlite", None),
    ("crates/bus-rabbitmq", "lapin", None),
    ("crates/bus-embedded", "crates/store-embedded", None),
    ("crates/eventing", "crates/store-embedded", DEV),
    ("crates/testkit", "crates/store", None),
    ("crates/testkit", "crates/store-mongo", None),
    ("operator", "kube", None),
    ("operator/plan", "k8s-openapi", None),
    ("operator", "crates/config", None),
    ("services/orders", "proto", None),
    ("services/orders", "crates/store", None),
    ("services/orders", "crates/testkit", DEV),
    ("services/bistro", "services/orders", None),
    ("services/bistro", "crates/store-mongo", None),
    ("tests", "crates/testkit", None),
    ("tests", "services/bistro", None),
    ("bench", "crates/store-mongo", None),
    ("xtask", "crates/store-embedded", None),
];

#[test]
fn what_a_rule_forbids_fails_with_that_rule_alone() {
    for (folder, target, kind, rule) in FORBIDDEN {
        let found = broken(folder, target, *kind);
        assert!(found.contains(rule), "{folder} -> {target} ({kind:?}): {found:?} lacks {rule}");
        assert_eq!(found.len(), 1, "{folder} -> {target} ({kind:?}): {found:?}");
    }
}

#[test]
fn what_the_design_allows_passes() {
    for (folder, target, kind) in ALLOWED {
        assert_eq!(
            broken(folder, target, *kind),
            Vec::<&str>::new(),
            "{folder} -> {target} ({kind:?})"
        );
    }
}

#[test]
fn every_rule_has_a_case_and_a_name_of_its_own() {
    let names: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    let covered: BTreeSet<_> = FORBIDDEN.iter().map(|case| case.3).collect();
    assert_eq!(covered, names);
}

#[test]
fn a_violation_reads_as_a_sentence() {
    let workspace = workspace("services/orders", "mongodb", DEV);
    let said: Vec<String> = violations(&workspace).iter().map(ToString::to_string).collect();
    let expected = "services/orders/Cargo.toml: [dev-dependencies] mongodb: only crates/store-mongo names the MongoDB \
                    driver; go through the store contract (mongodb-has-one-dependant)";
    assert_eq!(said, [expected]);
}

#[test]
fn several_violations_are_all_told() {
    let dependency = |name: &str| json!({ "name": name, "kind": Value::Null, "path": Value::Null });
    let metadata = json!({
        "workspace_root": "/repo",
        "packages": [
            { "manifest_path": "/repo/crates/eventing/Cargo.toml", "dependencies": [dependency("mongodb"), dependency("lapin")] },
            { "manifest_path": "/repo/services/orders/Cargo.toml", "dependencies": [dependency("kube")] },
        ],
    });
    assert_eq!(violations(&Workspace::parse(metadata.to_string().as_bytes()).unwrap()).len(), 3);
}

#[test]
fn a_manifest_line_is_read_with_its_table_and_its_folder() {
    let workspace = workspace("services/orders", "crates/store", BUILD);
    let package = &workspace.packages[0];
    assert_eq!(package.folder, "services/orders");
    assert_eq!(package.dependencies[0].target, Target::Ours("crates/store".to_owned()));
    assert_eq!(package.dependencies[0].kind, Kind::Build);
    assert!(Workspace::parse(b"{}").is_err());
}
