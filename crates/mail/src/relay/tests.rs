use super::*;

fn config() -> SmtpConfig {
    SmtpConfig {
        server: "localhost".to_owned(),
        port: None,
        tls: Tls::InsecureLoopback,
        from: "Palisade <palisade@example.org>".to_owned(),
        username: None,
        password_file: None,
        ca: None,
        timeout_s: 30,
    }
}

#[test]
fn what_is_written_adds_no_header() {
    let hostile = "x\r\nBcc: thief@example.net\r\n\r\nhello\u{2028}severity: low\r\n.\r\nQUIT";
    let relay = Relay::open(&config(), None, Vec::new()).expect("opens");
    let to = [Address::parse("Ann <ann@example.org>").expect("an address")];
    let letter = Letter {
        id: "01K0ZJ5D0G0000000000000000",
        to: &to,
        subject: hostile,
        text: "first line\n".to_owned(),
    };
    let message = relay.message(&letter).expect("a message").formatted();
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
    assert!(header.contains("Message-ID: <01K0ZJ5D0G0000000000000000@example.org>"));
    assert_eq!(body.trim_end(), "first line");
}

#[test]
fn a_server_that_is_not_safe_or_cannot_work_is_refused() {
    assert_eq!(config().check(), Ok(()));
    type Change = fn(&mut SmtpConfig);
    let changes: [(&str, Change); 7] = [
        ("server", |mail| {
            mail.server = "mail.example.org\r\nX".to_owned()
        }),
        ("tls", |mail| mail.server = "mail.example.org".to_owned()),
        ("port", |mail| mail.port = Some(0)),
        ("from", |mail| mail.from = "nobody".to_owned()),
        ("from", |mail| {
            mail.from = "A\r\nBcc: b@example.org <a@example.org>".to_owned()
        }),
        ("username", |mail| mail.username = Some("ann".to_owned())),
        ("timeout_s", |mail| mail.timeout_s = 51),
    ];
    for (key, change) in changes {
        let mut mail = config();
        change(&mut mail);
        let refused = mail.check().expect_err(key);
        assert!(refused.starts_with(key), "{refused}");
        let opened = Relay::open(&mail, Some("x"), Vec::new());
        assert!(opened.is_err(), "{key}");
    }
}
