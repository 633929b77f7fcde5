//! Where values come from: defaults, the file, the environment, secret files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, io, path::Path, time::Duration};

use bistro_config::{
    Bus, Config, ConfigError, Environment, LogFormat, PREFIX, RawConfig, RawGateway, Secret, Store,
};
use proptest::prelude::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn no_files(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn environment<const N: usize>(variables: [(&str, &str); N]) -> Environment {
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn parse(text: &str) -> Config {
    Config::parse(text, &Environment::new(), &[], &no_files).unwrap()
}

#[test]
fn nothing_written_gives_the_defaults() {
    let config = Config::load(None, &Environment::new(), &["accounts"]).unwrap();
    assert_eq!(config.data_dir, Path::new("bistro-data"));
    assert_eq!((config.store, config.bus), (Store::Embedded, Bus::Embedded));
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.gateway.body_limit, 1 << 20);
    assert_eq!(config.grpc.listen.to_string(), "127.0.0.1:50051");
    assert!(config.grpc.in_process);
    assert!(!config.grpc.people, "people come through the gateway");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.auth.refresh_token_ttl, Duration::from_hours(720));
    assert_eq!(config.auth.workload_secret, None);
    assert_eq!(config.log.format, LogFormat::Auto);
    assert_eq!(config.peers.url("orders"), Some("http://bistro-orders:50051"));
    assert_eq!(config.peers.url("gateway"), None);
}

#[test]
fn the_default_text_says_the_defaults() {
    let text = Config::default_yaml();
    assert_eq!(format!("{:?}", parse(&text)), format!("{:?}", parse("")), "{text}");
    // It is the defaults because it says them, not because it says nothing.
    assert!(text.contains("\n  body_limit: 1MiB\n"), "{text}");
    assert!(text.contains("\n    burst: 50\n"), "{text}");
    assert!(text.contains("\n  # workload_secret_file: "), "{text}");
    assert!(text.lines().all(|line| line.len() <= 96), "{text}");
    assert!(text.find("\ngateway:") < text.find("\nadmin:"), "not in the declared order: {text}");
}

#[test]
fn the_default_text_and_the_schema_name_the_same_keys() {
    fn count(schema: &serde_json::Value) -> usize {
        match schema["properties"].as_object() {
            Some(keys) => keys.values().map(count).sum(),
            None => 1,
        }
    }
    let keys = Config::default_yaml()
        .lines()
        .map(|line| line.trim_start().trim_start_matches("# "))
        .filter(|line| {
            line.split_once(": ").is_some_and(|(key, _)| {
                key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            })
        })
        .count();
    assert_eq!(keys, count(&Config::schema()));
}

#[test]
fn the_file_is_read_and_the_environment_overrides_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bistro.yaml");
    fs::write(
        &file,
        "gateway: { listen: '0.0.0.0:80', request_timeout: 10s }\n\
         grpc:\n  in_process: false\n\
         peers: { orders: 'https://orders.internal/' }\n\
         log:\n",
    )
    .unwrap();
    let config = Config::load(
        Some(&file),
        &environment([
            ("BISTRO__GATEWAY__LISTEN", "[::]:8081"),
            ("BISTRO__GATEWAY__RATE_LIMIT__BURST", "7"),
            ("BISTRO__LOG__LEVEL", "warn,bistro_orders=debug"),
            ("BISTRO_URL", "of no concern here"),
            ("PATH", "of no concern here"),
        ]),
        &[],
    )
    .unwrap();
    assert_eq!(config.gateway.listen.to_string(), "[::]:8081");
    assert_eq!(config.gateway.request_timeout, Duration::from_secs(10));
    assert_eq!(config.gateway.rate_limit.burst, 7);
    assert!(!config.grpc.in_process);
    assert_eq!(config.peers.url("orders"), Some("https://orders.internal"));
    assert_eq!(config.log.level, "warn,bistro_orders=debug");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let nowhere = Path::new("/nowhere/bistro.yaml");
    let error = Config::load(Some(nowhere), &Environment::new(), &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().contains("/nowhere/bistro.yaml"));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn secrets_come_from_files_without_the_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("workload");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let config = Config::load(
        None,
        &environment([
            ("BISTRO__AUTH__WORKLOAD_SECRET_FILE", file.to_str().unwrap()),
            ("BISTRO__AUTH__KEY_ENCRYPTION_SECRET", SECRET),
        ]),
        &[],
    )
    .unwrap();
    assert_eq!(config.auth.workload_secret, Some(Secret::new(SECRET)));
    assert_eq!(config.auth.key_encryption_secret, Some(Secret::new(SECRET)));
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn the_shared_engines_are_taken_with_their_secret() {
    let variables = environment([
        ("BISTRO__STORE", "mongodb://me:hunter2@a:27017,b:27017/?replicaSet=rs0"),
        ("BISTRO__BUS", "amqps://me:hunter2@rabbitmq"),
        ("BISTRO__AUTH__WORKLOAD_SECRET", SECRET),
    ]);
    let config = Config::parse("", &variables, &["orders", "gateway"], &no_files).unwrap();
    let Store::Mongodb(url) = &config.store else {
        panic!("{config:?}");
    };
    assert_eq!(url.expose(), "mongodb://me:hunter2@a:27017,b:27017/?replicaSet=rs0");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn what_a_program_writes_is_checked_and_read_back() {
    let raw = RawConfig {
        gateway: RawGateway { listen: Some("0.0.0.0:8080".to_owned()), ..RawGateway::default() },
        ..RawConfig::default()
    };
    let text = serde_json::to_string(&raw).unwrap();
    assert_eq!(text, r#"{"gateway":{"listen":"0.0.0.0:8080"}}"#);
    let checked = Config::check(&raw, &[], &no_files).unwrap();
    assert_eq!(format!("{checked:?}"), format!("{:?}", parse(&text)));

    let wrong = RawConfig { data_dir: Some(String::new()), ..raw };
    let mistakes = Config::check(&wrong, &[], &no_files).unwrap_err();
    assert_eq!(
        mistakes.0[0].to_string(),
        r#"data_dir: "" is empty; write: data_dir: "bistro-data""#
    );
}

proptest! {
    #[test]
    fn the_environment_always_wins(in_file in 1_u64..=1000, in_environment in 1_u64..=1000) {
        let config = Config::parse(
            &format!("bus_options:\n  prefetch: {in_file}\n"),
            &environment([("BISTRO__BUS_OPTIONS__PREFETCH", &in_environment.to_string())]),
            &[],
            &no_files,
        ).unwrap();
        prop_assert_eq!(u64::from(config.bus_options.prefetch), in_environment);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(&String::from_utf8_lossy(&bytes), &Environment::new(), &[], &no_files);
    }

    #[test]
    fn any_text_like_yaml_is_read_or_refused(
        text in "((gateway|auth|log|peers|store|x)[:.]? ?[-\\[\\]{}&*!|>'\"%@`,:?# a-z0-9\n]{0,12}\n? {0,2}){0,6}"
    ) {
        let _ = Config::parse(&text, &Environment::new(), &[], &no_files);
    }

    #[test]
    fn any_variable_is_read_or_refused(name in "[A-Z_.é]{0,20}", value in ".{0,20}") {
        let name = format!("{PREFIX}{name}");
        let _ = Config::parse("", &environment([(&name, &value)]), &[], &no_files);
    }
}

#[test]
fn stripe_is_there_where_its_secrets_are() {
    assert!(parse("payments: { provider: stripe }").payments.stripe.is_none(), "no payments here");
    let files = |path: &Path| match path.to_str() {
        Some("/key") => Ok("sk_test_hunter2\n".to_owned()),
        Some("/hook") => Ok("whsec_hunter2\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let text = "payments: { provider: stripe, stripe: { url: 'http://127.0.0.1:1/', \
                secret_key_file: /key, webhook_secret_file: /hook } }";
    let config = Config::parse(text, &Environment::new(), &["payments"], &files).unwrap();
    let stripe = config.payments.stripe.as_ref().unwrap();
    assert_eq!(stripe.url, "http://127.0.0.1:1");
    assert_eq!(stripe.timeout, Duration::from_secs(3));
    assert_eq!(stripe.secret_key.expose(), "sk_test_hunter2");
    assert_eq!(stripe.webhook_secret.expose(), "whsec_hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    let environment = environment([("BISTRO__PAYMENTS__PROVIDER", "stripe")]);
    let wrong = Config::parse("", &environment, &["payments"], &no_files).unwrap_err();
    let paths: Vec<_> = wrong.0.iter().map(|mistake| mistake.path.as_str()).collect();
    let needed = ["payments.stripe.secret_key_file", "payments.stripe.webhook_secret_file"];
    assert_eq!(paths, needed, "{wrong}");
    let write = wrong.0[0].write.as_deref().unwrap();
    assert!(write.starts_with("BISTRO__PAYMENTS__STRIPE__SECRET_KEY_FILE=/"), "{write}");
}
