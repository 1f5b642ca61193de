//! Webhooks: signed, tried again, and nobody's burden when they hang.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Permissions,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use aws_lc_rs::hmac;
use palisade_core::{ActionState, Lifecycle, Severity};
use palisade_respond::{RespondConfig, WebhookConfig};
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

use crate::house::{House, until, write_playbook};

const SECRET: &str = "a secret of at least sixteen bytes";

/// Headers by lower-case name, and the body.
type Request = (BTreeMap<String, String>, String);

/// A destination that answers with a status of the test's choice; 0 hangs.
struct Receiver {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    taken: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    fn new(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let receiver = Self {
            address: listener.local_addr().expect("an address"),
            status: Arc::new(AtomicU16::new(status)),
            taken: Arc::default(),
        };
        let (status, taken) = (receiver.status.clone(), receiver.taken.clone());
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for connection in listener.incoming().map_while(Result::ok) {
                match status.load(Ordering::SeqCst) {
                    0 => held.push(connection),
                    status => {
                        if let Some(request) = answer(connection, status) {
                            taken.lock().push(request);
                        }
                    }
                }
            }
        });
        receiver
    }

    fn config(&self, directory: &TempDir) -> WebhookConfig {
        let secret = directory.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).expect("writes");
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("its own");
        WebhookConfig {
            url: format!("http://{}/hook", self.address),
            secret_file: Some(secret),
            secret_env: None,
            bearer_file: None,
            ca: None,
        }
    }
}

fn answer(mut connection: TcpStream, status: u16) -> Option<Request> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_lowercase(), value.to_owned())),
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let location = if status == 302 {
        "location: http://127.0.0.1:1/\r\n"
    } else {
        ""
    };
    write!(
        connection,
        "HTTP/1.1 {status} X\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n"
    )
    .ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}

const PLAYBOOK: &str = "name: tell
description: a test
trigger: { detectors: [odd], min_severity: low }
actions:
  - action: notify
    parameters: { to: slow }
    mode: auto
  - action: notify
    parameters: { to: pager }
    mode: auto
  - action: quarantine
    mode: auto
    ttl: 1h
  - action: ticket
    parameters:
      to: pager
      fields: { summary: \"{severity}: {title}\", about: \"{target}\" }
    mode: auto
";

async fn house(directory: &TempDir, slow: &Receiver, pager: &Receiver) -> House {
    write_playbook(directory.path(), "tell.yaml", PLAYBOOK);
    let webhooks = [
        ("slow".to_owned(), slow.config(directory)),
        ("pager".to_owned(), pager.config(directory)),
    ];
    let house = House::with(RespondConfig {
        playbooks_dir: Some(directory.path().to_owned()),
        webhooks: webhooks.into(),
        ..RespondConfig::default()
    })
    .await;
    house.devices(100).await;
    house
}

fn is_signed(headers: &BTreeMap<String, String>, body: &str) -> bool {
    let signature = &headers["palisade-signature"];
    let (time, mac) = signature.split_once(",v1=").expect("a signature");
    let time = time.strip_prefix("t=").expect("a time");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let expected = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let expected: String = expected
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    expected == mac
}

#[tokio::test]
async fn one_destination_that_hangs_holds_up_neither_containment_nor_another() {
    let directory = TempDir::new().expect("a directory");
    let (slow, pager) = (Receiver::new(0), Receiver::new(200));
    let house = house(&directory, &slow, &pager).await;
    for number in 1..=6 {
        house
            .found(&format!("cam-{number}"), "odd", Severity::Low)
            .await;
    }
    for number in 1..=6 {
        let id = format!("cam-{number}");
        until(async || house.lifecycle(&id).await == Lifecycle::Quarantined).await;
    }
    until(async || pager.taken.lock().len() == 12).await;
    until(async || house.in_state("notify", ActionState::Done).await == 6).await;
    assert_eq!(house.in_state("notify", ActionState::Running).await, 6);
    for (headers, body) in pager.taken.lock().iter() {
        assert!(is_signed(headers, body), "{headers:?}");
        assert!(!body.contains(SECRET));
        let body: Value = serde_json::from_str(body).expect("json");
        if body["type"] == "palisade.case" {
            assert_eq!(body["context"]["finding"]["detector"]["id"], "odd");
        } else {
            // From the fifth on it is a campaign.
            let summary = body["summary"].as_str().expect("a text");
            assert!(
                summary.starts_with("low: ") && summary.ends_with("odd fired"),
                "{summary}"
            );
        }
    }
    house.kill().await;
}

#[tokio::test]
async fn a_destination_that_fails_for_an_hour_is_told_at_last_under_the_same_name_and_also_after_a_crash()
 {
    let directory = TempDir::new().expect("a directory");
    let (slow, pager) = (Receiver::new(500), Receiver::new(200));
    let house = house(&directory, &slow, &pager).await;
    house.found("cam-1", "odd", Severity::Low).await;
    until(async || slow.taken.lock().len() == 1).await;
    // An hour of failures, as the clock of the house has it.
    for _ in 0..12 {
        let before = slow.taken.lock().len();
        until(async || {
            house.clock.advance_millis(20_000);
            slow.taken.lock().len() > before
        })
        .await;
    }
    assert_eq!(house.in_state("notify", ActionState::Failed).await, 0);
    let (store_directory, clock) = house.kill().await;
    slow.status.store(204, Ordering::SeqCst);
    let webhooks = [
        ("slow".to_owned(), slow.config(&directory)),
        ("pager".to_owned(), pager.config(&directory)),
    ];
    let config = RespondConfig {
        playbooks_dir: Some(directory.path().to_owned()),
        webhooks: webhooks.into(),
        ..RespondConfig::default()
    };
    let house = House::at(store_directory, clock, config, |all| all).await;
    house.clock.advance_millis(300_000);
    until(async || house.in_state("notify", ActionState::Done).await == 2).await;
    let names: BTreeSet<String> = {
        let taken = slow.taken.lock();
        let names = taken
            .iter()
            .map(|(headers, _)| headers["palisade-delivery"].clone());
        names.collect()
    };
    assert_eq!(names.len(), 1, "each attempt has the same name");
    house.stop().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_playbook_cannot_name_an_address() {
    let directory = TempDir::new().expect("a directory");
    let (slow, pager) = (Receiver::new(302), Receiver::new(200));
    let house = house(&directory, &slow, &pager).await;
    house.found("cam-1", "odd", Severity::Low).await;
    until(async || !slow.taken.lock().is_empty()).await;
    let of_slow = async || {
        let all = house.actions().await;
        let found = all.iter().find(|one| one.lane() == "notify/slow");
        found.map(|one| one.why.clone()).unwrap_or_default()
    };
    until(async || of_slow().await.contains("302")).await;
    for to in ["http://127.0.0.1:1/", "nobody"] {
        let text = PLAYBOOK.replace("slow", to);
        let problem = house.respond.check_playbook(&text).expect_err("refused");
        assert!(problem.message.contains("no such webhook"), "{problem}");
    }
    house.stop().await;
}

#[tokio::test]
async fn a_secret_that_others_can_read_is_refused() {
    let directory = TempDir::new().expect("a directory");
    let webhook = Receiver::new(200).config(&directory);
    let secret = webhook.secret_file.clone().expect("a file");
    std::fs::set_permissions(secret, Permissions::from_mode(0o644)).expect("everybody's");
    let config = RespondConfig {
        webhooks: [("pager".to_owned(), webhook)].into(),
        ..RespondConfig::default()
    };
    let refused = House::try_open(config)
        .await
        .expect_err("refused")
        .to_string();
    assert!(
        refused.contains("pager") && refused.contains("chmod 600"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_loop_of_findings_and_notifications_comes_to_an_end() {
    let directory = TempDir::new().expect("a directory");
    let (slow, pager) = (Receiver::new(200), Receiver::new(200));
    let house = house(&directory, &slow, &pager).await;
    // Whatever is told is found anew, as a detector would that hears of our own deeds.
    for _ in 0..20 {
        house.found("cam-1", "odd", Severity::Low).await;
        house.caught_up().await;
        until(async || house.in_state("notify", ActionState::Running).await == 0).await;
    }
    assert_eq!(house.in_state("notify", ActionState::Done).await, 2);
    assert_eq!(pager.taken.lock().len(), 2, "a notification and a ticket");
    // Worse than before is told again.
    house.found("cam-1", "odd", Severity::Medium).await;
    until(async || house.in_state("notify", ActionState::Done).await == 4).await;
    house.stop().await;
}
