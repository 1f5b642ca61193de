use std::path::Path;

use proptest::prelude::*;

use super::*;

fn load(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("palisade.toml");
    std::fs::write(&path, file).expect("writes");
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut overrides = from_environment(variables)?;
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    overrides.extend(from_flags(&flags)?);
    Config::load(&Sources {
        file: Some(path),
        overrides,
    })
}

fn refusal(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> String {
    load(file, variables, flags)
        .expect_err("refused")
        .to_string()
}

#[test]
fn one_key_of_a_section_leaves_its_neighbours_as_they_are() {
    let variables = [("PALISADE_GATEWAY__SERVICE__CONNECTS_PER_MINUTE", "0")];
    let file = "[gateway.service]\nmax_backoff_s = 7\n";
    let config = load(file, &variables, &[]).expect("loads");
    let mut expected = GatewayConfig::default().service;
    expected.connects_per_minute = 0;
    expected.max_backoff_s = 7;
    assert_eq!(config.gateway.service, expected);
}

#[test]
fn flags_override_the_environment_that_overrides_the_file_that_overrides_defaults() {
    let file = "[gateway]\nmax_inflight = 7\nmax_sessions = 8\nmax_retained = 9\n";
    let variables = [
        ("PALISADE_GATEWAY__MAX_SESSIONS", "80"),
        ("PALISADE_GATEWAY__MAX_RETAINED", "90"),
        ("PALISADE_TOKEN", "not configuration"),
        ("HOME", "/root"),
    ];
    let config = load(file, &variables, &["gateway.max_retained=900"]).expect("loads");
    assert_eq!(config.gateway.max_inflight, 7);
    assert_eq!(config.gateway.max_sessions, 80);
    assert_eq!(config.gateway.max_retained, 900);
    assert_eq!(
        config.gateway.receive_maximum,
        GatewayConfig::default().receive_maximum
    );
}

#[test]
fn a_variable_is_a_text_a_number_or_a_list_as_the_key_wants() {
    let variables = [
        ("PALISADE_GATEWAY__LISTEN", "127.0.0.1:1, [::1]:2"),
        ("PALISADE_GATEWAY__INSECURE_LOOPBACK", "127.0.0.1:1883"),
        ("PALISADE_GATEWAY__INSECURE_PRINCIPAL", "suite"),
        ("PALISADE_GATEWAY__DEVICE__MESSAGES_PER_SECOND", "3"),
        ("PALISADE_IDENTITY__SERVER_NAMES", "fleet.example"),
        ("PALISADE_IDENTITY__DEVICE_VALIDITY", "1h"),
        ("PALISADE_LOG__FORMAT", "json"),
    ];
    let config = load("", &variables, &[]).expect("loads");
    assert_eq!(config.gateway.listen.len(), 2);
    assert_eq!(config.gateway.device.messages_per_second, 3);
    assert_eq!(config.identity.server_names, ["fleet.example"]);
    assert_eq!(config.identity.device_validity.seconds(), 3600);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn an_unknown_key_in_the_file_is_refused_with_its_line_and_a_suggestion() {
    let error = refusal("[gateway]\n\nlisen = []\n", &[], &[]);
    assert!(error.contains("palisade.toml:3: "), "{error}");
    assert!(error.contains("did you mean \"listen\"?"), "{error}");
    let error = refusal("\n[gatway]\n", &[], &[]);
    assert!(error.contains("palisade.toml:2: "), "{error}");
    assert!(error.contains("did you mean \"gateway\"?"), "{error}");
    let error = refusal("[log]\nformat = \"jsn\"\n", &[], &[]);
    assert!(error.contains("palisade.toml:2: "), "{error}");
    assert!(error.contains("did you mean \"json\"?"), "{error}");
}

#[test]
fn an_unknown_variable_or_flag_is_refused_by_its_name_with_a_suggestion() {
    let error = refusal("", &[("PALISADE_GATEWAY__LISEN", "127.0.0.1:1")], &[]);
    assert!(error.contains("PALISADE_GATEWAY__LISEN"), "{error}");
    assert!(error.contains("did you mean \"listen\"?"), "{error}");
    let error = refusal("", &[("PALISADE_GATEWY__LISTEN", "127.0.0.1:1")], &[]);
    assert!(error.contains("did you mean \"gateway\"?"), "{error}");
    let error = refusal("", &[("PALISADE_GATEWAY_LISTEN", "127.0.0.1:1")], &[]);
    assert!(error.contains("PALISADE_GATEWAY__LISTEN"), "{error}");
    let error = refusal("", &[], &["log.levl=debug"]);
    assert!(error.contains("did you mean \"level\"?"), "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused() {
    let error = refusal("", &[("PALISADE_GATEWAY__MAX_INFLIGHT", "many")], &[]);
    assert!(error.contains("PALISADE_GATEWAY__MAX_INFLIGHT"), "{error}");
    let error = refusal("", &[("PALISADE_GATEWAY__LISTEN__X", "1")], &[]);
    assert!(error.contains("PALISADE_GATEWAY__LISTEN__X"), "{error}");
    let error = refusal("[gateway\n", &[], &[]);
    assert!(error.contains("palisade.toml:1: "), "{error}");
    for level in ["louder", "info,palisade=verbose"] {
        let error = refusal("", &[("PALISADE_LOG__LEVEL", level)], &[]);
        assert!(error.contains("log.level"), "{error}");
    }
}

#[test]
fn what_is_unsafe_is_refused() {
    let file = "[gateway]\ninsecure_loopback = \"0.0.0.0:1883\"\ninsecure_principal = \"suite\"\n";
    assert!(refusal(file, &[], &[]).contains("loopback"));
    let file = "[keys]\nfile = \"a\"\ncredential = \"b\"\n";
    assert!(refusal(file, &[], &[]).contains("more than one source"));
}

#[test]
fn a_missing_or_huge_file_is_an_error_that_names_it() {
    let missing = Sources {
        file: Some(Path::new("/nonexistent/palisade.toml").to_owned()),
        ..Sources::default()
    };
    let error = Config::load(&missing).expect_err("refused").to_string();
    assert!(error.contains("/nonexistent/palisade.toml"), "{error}");
    let huge = "#".repeat(MAX_FILE as usize + 1);
    assert!(refusal(&huge, &[], &[]).contains("at most"));
}

proptest! {
    #[test]
    fn no_change_of_the_defaults_makes_the_parser_panic(
        at in any::<prop::sample::Index>(), cut in 0usize..30, with in "\\PC{0,8}|[\"'\\[\\]={}.\n0-9a-z_-]{0,8}"
    ) {
        let defaults: Vec<char> = DEFAULTS.chars().collect();
        let at = at.index(defaults.len());
        let after = (at + cut).min(defaults.len());
        let text: String = defaults[..at].iter().copied().chain(with.chars())
            .chain(defaults[after..].iter().copied()).collect();
        let _ = parse_file(Path::new("palisade.toml"), &text);
    }

    #[test]
    fn no_override_makes_the_parser_panic(key in "[a-z_.]{0,30}|gateway\\.[a-z_]{1,20}", value in "\\PC{0,20}") {
        if let Ok(overrides) = from_flags(&[format!("{key}={value}")]) {
            let _ = Config::load(&Sources { file: None, overrides });
        }
    }
}
