//! What the people of accounts are told: what happens again is one row, a mailbox has a bounded number of them, and
//! nothing that happened while a letter was under way is lost with it.

use palisade_core::Timestamp;
use palisade_store::{AccountNotice, Store};

use crate::{identities::account, store};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn notice(what: &str, second: i64) -> AccountNotice {
    AccountNotice {
        account: "anna".to_owned(),
        address: "anna@example.org".to_owned(),
        track: "changes".to_owned(),
        what: what.to_owned(),
        source: None,
        count: 1,
        first_at: at(second),
        last_at: at(second),
    }
}

async fn with_anna() -> (tempfile::TempDir, Store) {
    let (directory, store) = store().await;
    let accounts = store.accounts();
    accounts
        .add(&account("anna", "owner"))
        .await
        .expect("is made");
    (directory, store)
}

#[tokio::test]
async fn what_happens_while_a_letter_is_under_way_waits_for_the_next() {
    let (_directory, store) = with_anna().await;
    let notices = store.notices();
    notices
        .add(&[notice("a", 1), notice("a", 2), notice("b", 3)])
        .await
        .expect("adds");
    let mailbox = notices
        .due("changes", at(10), 10)
        .await
        .expect("reads")
        .remove(0);
    assert_eq!(
        (mailbox.since, mailbox.sent, mailbox.sent_at),
        (at(1), 0, None)
    );
    let waiting = notices.waiting(&mailbox).await.expect("reads");
    let counts: Vec<_> = waiting
        .iter()
        .map(|one| (one.what.as_str(), one.count))
        .collect();
    assert_eq!(counts, [("a", 2), ("b", 1)]);
    notices
        .add(&[notice("b", 11), notice("c", 11)])
        .await
        .expect("adds");
    let times = (at(12), at(100));
    notices
        .told(&mailbox, &waiting, times)
        .await
        .expect("notes");
    let left = notices.waiting(&mailbox).await.expect("reads");
    let left: Vec<_> = left.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(left, ["b", "c"]);
    // Not before its time.
    assert_eq!(notices.due("changes", at(99), 10).await.expect("reads"), []);
    let due = notices.due("changes", at(100), 10).await.expect("reads");
    assert_eq!(due[0].sent_at, Some(at(12)));
}

#[tokio::test]
async fn whatever_happens_a_mailbox_has_a_bounded_number_of_rows() {
    let (_directory, store) = with_anna().await;
    let notices = store.notices();
    for round in 0..300 {
        let what = format!("token {round}");
        notices.add(&[notice(&what, round)]).await.expect("adds");
    }
    notices.add(&[notice("token 7", 400)]).await.expect("adds");
    let mailbox = notices
        .due("changes", at(500), 10)
        .await
        .expect("reads")
        .remove(0);
    let waiting = notices.waiting(&mailbox).await.expect("reads");
    assert_eq!(waiting.len(), 41);
    let count = |what: &str| {
        waiting
            .iter()
            .find(|one| one.what == what)
            .map(|one| one.count)
    };
    assert_eq!(count("token 7"), Some(2));
    assert_eq!(count("more happened than is told here"), Some(260));
}

#[tokio::test]
async fn a_place_is_new_once_and_the_first_ones_are_not() {
    let (_directory, store) = with_anna().await;
    let notices = store.notices();
    let places = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let seen = |names, second| {
        let (names, notices) = (places(names), store.notices());
        async move {
            notices
                .seen("anna", &names, at(second), 3)
                .await
                .expect("notes")
        }
    };
    assert_eq!(seen(&["home", "firefox"], 1).await, places(&[]));
    assert_eq!(seen(&["home", "chrome"], 2).await, places(&["chrome"]));
    assert_eq!(seen(&["home", "chrome"], 3).await, places(&[]));
    // Of more than are kept those go that were seen longest ago.
    assert_eq!(seen(&["office"], 4).await, places(&["office"]));
    assert_eq!(seen(&["firefox"], 5).await, places(&["firefox"]));
    notices
        .set_email("anna", Some("a@example.org"))
        .await
        .expect("sets");
    notices.set_email("anna", None).await.expect("sets");
    assert_eq!(notices.email("anna").await.expect("reads"), None);
    assert!(
        notices
            .set_email("nobody", Some("a@example.org"))
            .await
            .is_err()
    );
}
