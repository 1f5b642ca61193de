use super::*;

fn parse(text: &str) -> Result<Vec<Plan>, PlanError> {
    let exports: BTreeMap<String, ExportConfig> = BTreeMap::from([(
        "siem".to_owned(),
        serde_json::from_str(text).expect("a configuration"),
    )]);
    plans(&exports, Path::new("/data"))
}

fn target(text: &str) -> Target {
    parse(text).expect("valid").remove(0).target
}

#[test]
fn what_is_left_out_has_a_safe_default() {
    let Target::File(file) = target(r#"{"kind":"file","path":"out/events.ndjson"}"#) else {
        panic!("a file");
    };
    assert_eq!(file.path, Path::new("/data/out/events.ndjson"));
    let Target::Syslog(syslog) =
        target(r#"{"kind":"syslog","address":"[2001:db8::1]:6514","ca_file":"/etc/ca.pem"}"#)
    else {
        panic!("syslog");
    };
    assert_eq!((syslog.host.as_str(), syslog.port), ("2001:db8::1", 6514));
    assert!(syslog.tls.is_some(), "TLS is the default");
    let Target::Http(http) =
        target(r#"{"kind":"http","url":"https://siem.example/in","ca_file":"ca.pem"}"#)
    else {
        panic!("http");
    };
    assert_eq!((http.host.as_str(), http.port), ("siem.example", 443));
}

#[test]
fn what_is_not_safe_or_cannot_work_is_refused_by_its_key() {
    for (text, words) in [
        (r#"{"kind":"file"}"#, "needs path"),
        (
            r#"{"kind":"file","path":"a","url":"https://x"}"#,
            "siem.url",
        ),
        (r#"{"kind":"file","path":".."}"#, "names no file"),
        (
            r#"{"kind":"file","path":"a","kinds":["nonsense"]}"#,
            "there is no kind",
        ),
        (
            r#"{"kind":"syslog","address":"siem.example:514","tls":false}"#,
            "loopback",
        ),
        (
            r#"{"kind":"syslog","address":"siem.example","ca_file":"a"}"#,
            "host:port",
        ),
        (
            r#"{"kind":"syslog","address":"siem.example:6514"}"#,
            "needs ca_file",
        ),
        (
            r#"{"kind":"syslog","address":"127.0.0.1:514","tls":false,"facility":24}"#,
            "0 to 23",
        ),
        (
            r#"{"kind":"http","url":"http://siem.example/","ca_file":"a"}"#,
            "use https",
        ),
        (
            r#"{"kind":"http","url":"https://u:p@siem.example/","ca_file":"a"}"#,
            "token_file",
        ),
        (
            r#"{"kind":"http","url":"https://siem.example/"}"#,
            "needs ca_file",
        ),
        (
            r#"{"kind":"http","url":"https://x/","ca_file":"a","certificate_file":"b"}"#,
            "needs key_file",
        ),
        (
            r#"{"kind":"http","url":"ftp://x/","ca_file":"a"}"#,
            "https://host/path",
        ),
        (
            r#"{"kind":"http","url":"http://127.0.0.1:1/","ca_file":"a"}"#,
            "no use without TLS",
        ),
        (
            r#"{"kind":"http","url":"http://127.0.0.1:1/","timeout_s":0}"#,
            "1 to 600",
        ),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    let exports = BTreeMap::from([(
        "../up".to_owned(),
        serde_json::from_str(r#"{"kind":"file","path":"a"}"#).expect("a configuration"),
    )]);
    assert!(matches!(
        plans(&exports, Path::new("")),
        Err(PlanError::Name(_))
    ));
}

#[test]
fn two_exports_do_not_write_one_file() {
    let one: ExportConfig = serde_json::from_str(r#"{"kind":"file","path":"a"}"#).expect("valid");
    let exports = BTreeMap::from([("x".to_owned(), one.clone()), ("y".to_owned(), one)]);
    let error = plans(&exports, Path::new(""))
        .expect_err("one file")
        .to_string();
    assert!(error.contains("exports.x writes the same file"), "{error}");
}

#[test]
fn a_secret_in_an_address_is_not_shown() {
    let plans = parse(r#"{"kind":"http","url":"https://x/in?key=s3cret","ca_file":"a"}"#);
    let shown = plans.expect("valid")[0].describe();
    assert_eq!(shown, "https://x:443/in");
}
