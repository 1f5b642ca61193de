use palisade_core::{ActionId, CaseId, DeviceId};
use serde_json::json;

use super::*;

fn config() -> EmailConfig {
    EmailConfig {
        server: "localhost".to_owned(),
        port: None,
        tls: EmailTls::InsecureLoopback,
        from: "Palisade <palisade@example.org>".to_owned(),
        to: vec!["ann@example.org".to_owned()],
        username: None,
        password_file: None,
        ca: None,
        timeout_s: 30,
    }
}

#[test]
fn a_title_of_a_hostile_device_adds_no_header_and_no_line() {
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
    let destination = Destination::open("respond.emails.x", &config()).expect("valid");
    let message = destination.message(&order).expect("a message").formatted();
    let text = String::from_utf8(message).expect("ASCII");
    let (header, body) = text.split_once("\r\n\r\n").expect("a header and a body");
    let names: Vec<&str> = header
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
        .collect();
    for name in &names {
        let known = [
            "From",
            "To",
            "Subject",
            "Message-ID",
            "Auto-Submitted",
            "Content-Type",
            "Date",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ];
        assert!(known.contains(name), "{name} in {header}");
    }
    assert!(header.contains(&format!("Message-ID: <{}@example.org>", order.id)));
    for forged in ["Bcc:", "severity: low", ".", "QUIT"] {
        assert!(!body.lines().any(|line| line.starts_with(forged)), "{body}");
    }
    let letter = message::letter(&order);
    assert!(
        letter.lines().any(|line| line == "severity: high"),
        "{letter}"
    );
    assert_eq!(
        letter
            .lines()
            .filter(|line| line.starts_with("severity:"))
            .count(),
        1
    );
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
