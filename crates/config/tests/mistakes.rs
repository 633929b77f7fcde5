//! What is said about a configuration that is wrong: everything at once, each with its place and
//! the line to write instead, and never a secret.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{io, path::Path};

use bistro_config::{Config, Environment, Mistakes};
use proptest::{prelude::*, sample::subsequence};

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-";

fn no_files(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn check(text: &str, variables: &[(&str, &str)]) -> Mistakes {
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(text, &environment, &[], &no_files).expect_err("it is wrong")
}

fn lines(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    check(text, variables).0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_mistake_in_the_file_says_where_and_what_to_write() {
    for (text, said) in [
        (
            "gateway:\n  listen: 808O\n",
            r#"configuration:2: gateway.listen: "808O" is not an address (an IP address, a colon and a port); write: gateway: { listen: "127.0.0.1:8080" }"#,
        ),
        (
            "admin: { listen: ':9091' }",
            r#"configuration:1: admin.listen: ":9091" is not an address (an IP address, a colon and a port); write: admin: { listen: "0.0.0.0:9091" }"#,
        ),
        (
            "gatway: {}",
            r#"configuration:1: gatway: no such key; did you mean gateway?; write: gateway: { body_limit: "1MiB" }"#,
        ),
        (
            "gatway: { ports: 1, listen: '0.0.0.0:80' }",
            r#"configuration:1: gatway: no such key; did you mean gateway?; write: gateway: { listen: "127.0.0.1:8080" }"#,
        ),
        (
            "shutdown: { wait: 1s }",
            "configuration:1: shutdown.wait: no such key; there are drain_timeout, not_ready_delay; write: nothing, leave it out",
        ),
        (
            "auth: { workload_secret: 5 }",
            r#"configuration:1: auth.workload_secret: *** (a number) where a text belongs; write: auth: { workload_secret_file: "/run/secrets/bistro/workload" }"#,
        ),
        (
            "auth: { key_encryption_secret: short }",
            r#"configuration:1: auth.key_encryption_secret: the secret has 5 characters and needs at least 32; `openssl rand -hex 32` makes one; write: auth: { key_encryption_secret_file: "/run/secrets/bistro/key-encryption" }"#,
        ),
        (
            "auth: { workload_secret: x, workload_secret_file: y }",
            r#"configuration:1: auth.workload_secret: is written beside auth.workload_secret_file; keep one of the two; write: auth: { workload_secret_file: "y" }"#,
        ),
        (
            "gateway: { lisen: '0.0.0.0:80' }",
            r#"configuration:1: gateway.lisen: no such key; did you mean gateway.listen?; write: gateway: { listen: "127.0.0.1:8080" }"#,
        ),
        (
            "gateway.listen: '0.0.0.0:80'",
            r#"configuration:1: gateway.listen: keys are nested, not joined by dots; write: gateway: { listen: "127.0.0.1:8080" }"#,
        ),
        (
            "quote_ttl: 5m",
            r#"configuration:1: quote_ttl: no such key; did you mean orders.quote_ttl?; write: orders: { quote_ttl: "15m" }"#,
        ),
        (
            "grpc: { in_process: 'yes' }",
            r#"configuration:1: grpc.in_process: "yes" (a text) where true or false belongs; write: grpc: { in_process: true }"#,
        ),
        (
            "orders: { quote_ttl: 5 }",
            r#"configuration:1: orders.quote_ttl: 5 (a number) where a text belongs; write: orders: { quote_ttl: "15m" }"#,
        ),
        (
            "orders: { quote_ttl: '5' }",
            r#"configuration:1: orders.quote_ttl: "5" has no unit (d, h, m, s, ms); write: orders: { quote_ttl: "15m" }"#,
        ),
        (
            "gateway: { rate_limit: { burst: -1 } }",
            "configuration:1: gateway.rate_limit.burst: -1 (a number) where a whole number from 0 belongs; write: gateway: { rate_limit: { burst: 50 } }",
        ),
        (
            "gateway: { body_limit: 1GiB }",
            r#"configuration:1: gateway.body_limit: 1GiB is not between 1KiB and 256MiB; write: gateway: { body_limit: "256MiB" }"#,
        ),
        (
            "eventing: { max_attempts: 0 }",
            "configuration:1: eventing.max_attempts: 0 is not between 1 and 1000; write: eventing: { max_attempts: 1 }",
        ),
        (
            "peers: { orders: 'orders:50051' }",
            r#"configuration:1: peers.orders: "orders:50051" does not begin with http:// or https://; write: peers: { orders: "http://bistro-orders:50051" }"#,
        ),
        (
            "log: { level: loud }",
            r#"configuration:1: log.level: "loud" has "loud" in it, which is neither a level (off, error, warn, info, debug, trace) nor part=level; write: log: { level: "info" }"#,
        ),
        (
            "shutdown: 5s",
            r#"configuration:1: shutdown: "5s" (a text) where a section belongs, with keys among drain_timeout, not_ready_delay; write: shutdown: { drain_timeout: "20s" }"#,
        ),
        (
            "admin: { listen: '127.0.0.1:8080' }",
            r#"configuration:1: admin.listen: 127.0.0.1:8080 is taken by gateway.listen; write: admin: { listen: "127.0.0.1:9090" }"#,
        ),
        (
            "orders: { confirm_within: 20m }",
            r#"catalog.reservation_ttl: 15m is too short beside orders.confirm_within (20m): stock must stay reserved while its order is being confirmed; write: catalog: { reservation_ttl: "40m" }"#,
        ),
        (
            "store_options: { max_pool_size: 2 }",
            "store_options.min_pool_size: 4 is more than store_options.max_pool_size (2); write: store_options: { min_pool_size: 2 }",
        ),
    ] {
        assert_eq!(lines(text, &[]), [said], "{text}");
    }
}

#[test]
fn a_mistake_about_card_payments_says_where_and_what_to_write() {
    for (text, said) in [
        (
            "payments: { provider: cash }",
            r#"configuration:1: payments.provider: "cash" is not one of sandbox, stripe; write: payments: { provider: "sandbox" }"#,
        ),
        (
            "payments: { hold_time: 90d }",
            r#"configuration:1: payments.hold_time: 90d is not between 1h and 60d; write: payments: { hold_time: "60d" }"#,
        ),
        (
            "payments: { stripe: { timeout: 10s } }",
            r#"configuration:1: payments.stripe.timeout: 10s is not between 100ms and 4s; write: payments: { stripe: { timeout: "4s" } }"#,
        ),
        (
            "payments: { stripe: { url: 'http://stripe.example' } }",
            r#"configuration:1: payments.stripe.url: "http://stripe.example" would send the secret key in the open: begin with https://; write: payments: { stripe: { url: "https://api.stripe.com" } }"#,
        ),
        (
            "payments: { stripe: { secret_key: hunter2, webhook_secret: whsec_x } }",
            r#"configuration:1: payments.stripe.secret_key: the secret is not sk_… or rk_…, or has white space in it; write: payments: { stripe: { secret_key: "sk_… or rk_…" } }"#,
        ),
        (
            "payments: { stripe: { secret_key: sk_hunter2 } }",
            r#"configuration: payments.stripe.webhook_secret_file: is needed with Stripe, to know its messages from forged ones; write: payments: { stripe: { webhook_secret_file: "/run/secrets/bistro/stripe-webhook-secret" } }"#,
        ),
    ] {
        assert_eq!(lines(text, &[]), [said]);
    }
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    for (name, value, said) in [
        (
            "BISTRO__GATEWAY__LISTEN",
            "808O",
            r#"BISTRO__GATEWAY__LISTEN: "808O" is not an address (an IP address, a colon and a port); write: BISTRO__GATEWAY__LISTEN=127.0.0.1:8080"#,
        ),
        (
            "BISTRO__GRPC__IN_PROCESS",
            "yes",
            r#"BISTRO__GRPC__IN_PROCESS: "yes" is not true or false; write: BISTRO__GRPC__IN_PROCESS=true"#,
        ),
        (
            "BISTRO__GATEWAY_LISTEN",
            "x",
            "BISTRO__GATEWAY_LISTEN: no such variable; did you mean BISTRO__GATEWAY__LISTEN?; write: BISTRO__GATEWAY__LISTEN=127.0.0.1:8080",
        ),
        (
            "BISTRO__data_dir",
            "x",
            "BISTRO__data_dir: no such variable; did you mean BISTRO__DATA_DIR?; write: BISTRO__DATA_DIR=bistro-data",
        ),
        (
            "BISTRO__NONSENSE",
            "x",
            "BISTRO__NONSENSE: no such variable; `bistro config default` lists the keys; write: unset BISTRO__NONSENSE",
        ),
        (
            "BISTRO__AUTH__WORKLOAD_SECRT",
            "x",
            "BISTRO__AUTH__WORKLOAD_SECRT: no such variable; did you mean BISTRO__AUTH__WORKLOAD_SECRET?; write: BISTRO__AUTH__WORKLOAD_SECRET=$(openssl rand -hex 32)",
        ),
        (
            "BISTRO__AUTH__WORKLOAD_SECRET",
            "short",
            "BISTRO__AUTH__WORKLOAD_SECRET: the secret has 5 characters and needs at least 32; `openssl rand -hex 32` makes one; write: BISTRO__AUTH__WORKLOAD_SECRET=$(openssl rand -hex 32)",
        ),
        (
            "BISTRO__STORE",
            "mongodb://db",
            "BISTRO__AUTH__WORKLOAD_SECRET_FILE: is needed with MongoDB, where every process must hold the same secret; write: BISTRO__AUTH__WORKLOAD_SECRET_FILE=/run/secrets/bistro/workload",
        ),
        (
            "BISTRO__STORE",
            "mongodb:///bistro",
            r#"BISTRO__STORE: "mongodb:///bistro" names no host; write: BISTRO__STORE=embedded"#,
        ),
        (
            "BISTRO__BUS",
            "amqp://rabbit",
            r#"BISTRO__STORE: is embedded, but bus is "amqp://rabbit": RabbitMQ goes with MongoDB, and embedded with embedded; write: BISTRO__STORE=mongodb://mongodb:27017/?replicaSet=rs0"#,
        ),
    ] {
        // One variable can be two mistakes, as with mongodb alone.
        let all = lines("", &[(name, value)]);
        assert!(all.contains(&said.to_owned()), "{name}: {all:#?}");
    }
}

#[test]
fn a_secret_file_that_is_too_short_is_what_is_to_be_written() {
    let text = "auth: { workload_secret_file: /run/secret }";
    let short = |_: &Path| Ok("short\n".to_owned());
    let mistakes = Config::parse(text, &Environment::new(), &[], &short).expect_err("too short");
    assert_eq!(
        mistakes.0[0].to_string(),
        "configuration:1: auth.workload_secret_file: the secret has 5 characters and needs at \
         least 32; `openssl rand -hex 32` makes one; write: openssl rand -hex 32 > /run/secret"
    );
}

#[test]
fn what_a_role_needs_is_said_with_everything_else() {
    let (store, bus) = ("mongodb://db", "amqp://mq");
    let variables = [("BISTRO__STORE", store), ("BISTRO__BUS", bus), ("BISTRO__NONSENSE", "1")];
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let said = |text: &str, environment: &Environment, roles: &[&str]| -> Vec<String> {
        let mistakes =
            Config::parse(text, environment, roles, &no_files).expect_err("it is wrong").0;
        mistakes.iter().map(ToString::to_string).collect()
    };
    let workload = "BISTRO__AUTH__WORKLOAD_SECRET_FILE: is needed with MongoDB, where every process must hold the same secret; write: BISTRO__AUTH__WORKLOAD_SECRET_FILE=/run/secrets/bistro/workload";
    let keys = "BISTRO__AUTH__KEY_ENCRYPTION_SECRET_FILE: is needed to run accounts on MongoDB, to encrypt the stored signing keys; write: BISTRO__AUTH__KEY_ENCRYPTION_SECRET_FILE=/run/secrets/bistro/key-encryption";
    let nonsense = "BISTRO__NONSENSE: no such variable; `bistro config default` lists the keys; write: unset BISTRO__NONSENSE";
    assert_eq!(said("", &environment, &["orders", "accounts"]), [nonsense, keys, workload]);
    assert_eq!(said("", &environment, &["orders"]), [nonsense, workload]);

    // The advice is given in the place where the store was chosen.
    let text = format!("store: {store}\nbus: {bus}\nauth: {{ workload_secret: {SECRET} }}\n");
    assert_eq!(
        said(&text, &Environment::new(), &["accounts"]),
        [
            r#"configuration: auth.key_encryption_secret_file: is needed to run accounts on MongoDB, to encrypt the stored signing keys; write: auth: { key_encryption_secret_file: "/run/secrets/bistro/key-encryption" }"#
        ]
    );
}

#[test]
fn a_wrong_value_in_the_file_does_not_matter_when_it_is_overridden() {
    let text = "gateway: { listen: 5, body_limit: 5 }";
    let said = lines(text, &[("BISTRO__GATEWAY__LISTEN", "0.0.0.0:80")]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("gateway.body_limit"), "{said:?}");
}

#[test]
fn engines_that_do_not_match_say_which_line_to_change() {
    let said = lines("store: mongodb://me:hunter2@db\nbus: embedded\n", &[]);
    assert_eq!(
        said,
        [
            r#"configuration: auth.workload_secret_file: is needed with MongoDB, where every process must hold the same secret; write: auth: { workload_secret_file: "/run/secrets/bistro/workload" }"#,
            r#"configuration:2: bus: is embedded, but store is "mongodb://***@db": MongoDB goes with RabbitMQ, and embedded with embedded; write: bus: "amqp://rabbitmq:5672""#,
        ]
    );
}

#[test]
fn secrets_never_show_in_what_is_said() {
    for (text, variables) in [
        // Too short; of the wrong kind; beside its file; under a wrong name; in a broken file.
        ("auth: { workload_secret: hunter2 }".to_owned(), vec![]),
        ("auth: { workload_secret: { hunter2: hunter2 } }".to_owned(), vec![]),
        ("auth: { workload_secret: [hunter2] }".to_owned(), vec![]),
        (format!("auth: {{ workload_secret: {SECRET}, workload_secret_file: x }}"), vec![]),
        (format!("auth: {{ workload_secrt: {SECRET} }}"), vec![]),
        (format!("auth:\n  workload_secret: {SECRET}\n gateway: [\n"), vec![]),
        (format!("auth: {{ workload_secret: \"{SECRET} }}"), vec![]),
        (format!("auth: {{ workload_secret: *{SECRET} }}"), vec![]),
        (format!("auth: {{ workload_secret: !!int {SECRET} }}"), vec![]),
        ("store: postgres://me:hunter2@db".to_owned(), vec![]),
        ("data_dir: ''\nbus: 'amqp://me:hunter2@'".to_owned(), vec![]),
        ("log: { format: 'amqp://me:hunter2@rabbit' }".to_owned(), vec![]),
        (String::new(), vec![("BISTRO__AUTH__WORKLOAD_SECRET", "hunter2")]),
        (String::new(), vec![("BISTRO__AUTH__WORKLOAD_SECRT", "hunter2")]),
        (String::new(), vec![("BISTRO__STORE", "mongodb://me:hunter2@db")]),
        (String::new(), vec![("BISTRO__GATEWAY__LISTEN", "http://me:hunter2@here")]),
    ] {
        let mistakes = check(&text, &variables);
        let said = format!("{mistakes} {mistakes:?}");
        assert!(!said.contains("hunter2"), "{text:?} {variables:?}: {said}");
    }
}

#[test]
fn a_hidden_password_that_was_copied_is_refused() {
    let said = lines("store: 'mongodb://***@db'\nbus: 'amqp://rabbit'", &[]);
    assert!(said[0].contains("where its password is hidden"), "{said:?}");
}

#[test]
fn a_file_that_is_no_yaml_says_the_line() {
    let said = lines("gateway:\n  listen: [\n", &[("BISTRO__ADMIN__LISTEN", "x")]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("configuration:"), "{said:?}");
    assert!(said[0].contains("is not YAML"), "{said:?}");
    assert!(said[1].starts_with("BISTRO__ADMIN__LISTEN"), "{said:?}");
    for text in [
        "- a\n- b",
        "just words",
        "a: 1\na: 2",
        "--- {}\n--- {}",
        "gateway: {listen: x, listen: y}",
    ] {
        assert!(!check(text, &[]).0.is_empty(), "{text}");
    }
}

/// Single mistakes that do not touch each other: the line of YAML, or the variable and its
/// value; and the path that must be named.
const MISTAKES: [(&str, &str); 14] = [
    ("data_dir: ''", "data_dir"),
    ("store: mysql", "store"),
    ("gateway: { listen: here, extra: 1 }", "gateway.listen"),
    ("grpc: { in_process: 1 }", "grpc.in_process"),
    ("peers: { kitchen: '' }", "peers.kitchen"),
    ("auth: { access_token_ttl: 2h }", "auth.access_token_ttl"),
    ("orders: { quote_ttl: soon }", "orders.quote_ttl"),
    ("catalog: { reservation_ttl: 1s }", "catalog.reservation_ttl"),
    ("delivery: [1]", "delivery"),
    ("log: { format: xml }", "log.format"),
    ("nonsense: 1", "nonsense"),
    ("BISTRO__EVENTING__MAX_ATTEMPTS=many", "eventing.max_attempts"),
    ("BISTRO__LIMITS__GRPC_MESSAGE=4", "limits.grpc_message"),
    ("BISTRO__NONSENSE=1", "BISTRO__NONSENSE"),
];

proptest! {
    #[test]
    fn every_subset_of_mistakes_is_said_at_once(chosen in subsequence(&MISTAKES[..], 1..=14).prop_shuffle()) {
        let (variables, yaml): (Vec<_>, Vec<_>) =
            chosen.iter().map(|(line, _)| *line).partition(|line| line.starts_with("BISTRO__"));
        let variables: Vec<_> = variables.iter().filter_map(|line| line.split_once('=')).collect();
        let mistakes = check(&yaml.join("\n"), &variables);
        let mut said: Vec<_> = mistakes.0.iter().map(|mistake| mistake.path.as_str()).collect();
        let mut expected: Vec<_> = chosen.iter().map(|(_, path)| *path).collect();
        if expected.contains(&"gateway.listen") {
            expected.push("gateway.extra");
        }
        said.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(said, expected);
    }
}
