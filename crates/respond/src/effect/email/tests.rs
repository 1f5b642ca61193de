use palisade_core::{ActionId, CaseId, DeviceId};
use serde_json::json;

use super::*;

fn config() -> EmailConfig {
    EmailConfig {
        server: "localhost".to_owned(),
        port: None,
        tls: Tls::InsecureLoopback,
        from: "Palisade <palisade@example.org>".to_owned(),
        to: vec!["ann@example.org".to_owned()],
        username: None,
        password_file: None,
        ca: None,
        timeout_s: 30,
    }
}

#[test]
fn a_title_of_a_hostile_device_adds_no_line() {
    let hostile = "x\r\nBcc: thief@example.net\r\n\r\nhello\u{2028}severity: low\r\n.\r\nQUIT";
    let order = Order {
        id: ActionId::generate(),
        case: CaseId::generate(),
        action: ACTION.to_owned(),
        target: Target::Device(DeviceId::parse("cam-1").expect("valid")),
        parameters: serde_json::Map::new(),
        reason: hostile.to_owned(),
        context: json!({
            "title": hostile, "severity": "high", "subject": "device/cam-1",
            "finding": { "detail": hostile, "count": 3 },
        }),
    };
    let subject = message::subject(&order);
    assert!(subject.starts_with("[high] device/cam-1: x"), "{subject}");
    let letter = message::letter(&order);
    assert!(
        letter.lines().any(|line| line == "severity: high"),
        "{letter}"
    );
    let lines = letter.lines();
    assert_eq!(
        lines.filter(|line| line.starts_with("severity:")).count(),
        1
    );
    for forged in ["Bcc:", ".", "QUIT"] {
        let mut lines = letter.lines();
        assert!(!lines.any(|line| line.starts_with(forged)), "{letter}");
    }
}

#[test]
fn a_destination_that_is_not_safe_or_cannot_work_is_refused() {
    assert_eq!(check(&config()), Ok(()));
    type Change = fn(&mut EmailConfig);
    let changes: [(&str, Change); 11] = [
        ("server", |email| {
            email.server = "mail.example.org\r\nX".to_owned()
        }),
        ("tls", |email| email.server = "mail.example.org".to_owned()),
        ("port", |email| email.port = Some(0)),
        ("from", |email| email.from = "nobody".to_owned()),
        ("from", |email| {
            email.from = "A\r\nBcc: b@example.org <a@example.org>".to_owned()
        }),
        ("to", |email| email.to = Vec::new()),
        ("to", |email| {
            email.to = vec!["a@example.org".to_owned(); 21]
        }),
        ("to", |email| {
            email.to = vec!["a@example.org\r\nRCPT TO:<b@example.org>".to_owned()]
        }),
        ("to", |email| {
            email.to = vec!["\u{fc}@example.org".to_owned()]
        }),
        ("username", |email| email.username = Some("ann".to_owned())),
        ("timeout_s", |email| email.timeout_s = 51),
    ];
    for (key, change) in changes {
        let mut email = config();
        change(&mut email);
        let refused = check(&email).expect_err(key);
        assert!(refused.starts_with(key), "{refused}");
    }
}
