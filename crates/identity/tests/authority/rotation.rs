//! A device is asked for a new key: its old one gets nothing more, and ends when the new one is used.

use std::sync::{Arc, Weak};

use palisade_core::{
    ActionId, CaseId, DeviceId, Order, Target,
    port::{DeviceLine, EffectError, Effector, Parameters, Progress},
};
use palisade_identity::{CheckedCsr, CsrError, Identity, IdentityError, Issued, Peer, PeerError};
use parking_lot::Mutex;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::house::{House, csr, device, enrolled, house, open, request};

const HOUR_MS: i64 = 3_600_000;

/// What devices were told.
#[derive(Default)]
struct Told(Mutex<Vec<Option<Value>>>);

impl DeviceLine for Told {
    fn tell(&self, _: &DeviceId, about: &'static str, payload: &[u8], _: bool) {
        assert_eq!(about, "rotate");
        let payload = serde_json::from_slice(payload).expect("json");
        self.0.lock().push(Some(payload));
    }

    fn withdraw(&self, _: &DeviceId, _: &'static str) {
        self.0.lock().push(None);
    }
}

fn rotate(identity: &Arc<Identity>) -> Arc<dyn Effector> {
    let all = palisade_identity::effectors(&Arc::downgrade(identity));
    let found = all
        .into_iter()
        .find(|one| one.name() == "rotate-credential");
    found.expect("there is one")
}

fn order(parameters: Value) -> Order {
    let Value::Object(parameters) = parameters else {
        panic!("parameters are an object");
    };
    Order {
        id: ActionId::generate(),
        case: CaseId::generate(),
        action: "rotate-credential".to_owned(),
        target: Target::Device(DeviceId::parse("cam-1").expect("valid")),
        parameters,
        reason: "a test".to_owned(),
        context: Value::Null,
    }
}

async fn ask(identity: &Arc<Identity>, parameters: Value) -> Order {
    let order = order(parameters);
    let memory = rotate(identity).apply(&order).await.expect("asks");
    assert!(memory.is_some(), "it can be taken back");
    order
}

async fn stands(identity: &Arc<Identity>, order: &Order) -> Progress {
    let looked = rotate(identity).look(order, &Value::Null).await;
    looked.expect("looks")
}

async fn certify(identity: &Identity, key: &KeyPair) -> Result<Issued, IdentityError> {
    let checked = CheckedCsr::parse(&csr(&request("cam-1", key), key)).expect("a good request");
    identity.issue(&device("cam-1"), &checked).await
}

fn is_good(identity: &Identity, issued: &Issued) -> bool {
    match identity.peer(&issued.der) {
        Ok(Peer::Principal { .. }) => true,
        Err(PeerError::Revoked(_)) => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_old_key_gets_no_certificate_and_ends_when_the_new_one_is_used() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let told = Arc::new(Told::default());
    let line: Weak<dyn DeviceLine> = Arc::<Told>::downgrade(&told);
    identity.set_line(line);
    let (old, old_key) = enrolled(&identity, "cam-1").await;
    let order = ask(&identity, json!({})).await;
    let asked = told.0.lock().last().cloned().flatten().expect("it is told");
    assert_eq!(
        asked["replace_keys"].as_array().map(Vec::len),
        Some(1),
        "{asked}"
    );
    let refused = certify(&identity, &old_key).await;
    assert!(
        matches!(refused, Err(IdentityError::Csr(CsrError::OldKey))),
        "{refused:?}"
    );
    let key = KeyPair::generate().expect("a key");
    let new = certify(&identity, &key).await.expect("issues");
    identity.keep_fresh().await.expect("keeps");
    assert!(is_good(&identity, &old), "the new one was not used yet");
    assert!(matches!(
        stands(&identity, &order).await,
        Progress::Waits(_)
    ));
    assert!(is_good(&identity, &new));
    identity.keep_fresh().await.expect("keeps");
    assert!(!is_good(&identity, &old), "the new one is in use");
    assert!(is_good(&identity, &new));
    assert!(matches!(stands(&identity, &order).await, Progress::Over(_)));
    assert_eq!(
        told.0.lock().last(),
        Some(&None),
        "nothing is asked any longer"
    );
    let again = certify(&identity, &old_key).await;
    assert!(again.is_err(), "an old key stays old");
    let undone = rotate(&identity).undo(&order, &Value::Null).await;
    assert!(
        matches!(undone, Err(EffectError::NotApplicable(_))),
        "what is revoked stays so: {undone:?}"
    );
}

#[tokio::test]
async fn an_old_certificate_ends_when_the_stated_time_is_over_also_after_a_restart() {
    let House {
        identity,
        directory,
        clock,
    } = house().await;
    let (old, _) = enrolled(&identity, "cam-1").await;
    let order = ask(&identity, json!({ "keep_old_s": 3600 })).await;
    let key = KeyPair::generate().expect("a key");
    let new = certify(&identity, &key).await.expect("issues");
    drop(identity);
    let identity = open(directory.path(), &clock).await;
    identity.keep_fresh().await.expect("keeps");
    assert!(is_good(&identity, &old));
    clock.advance_millis(HOUR_MS);
    identity.keep_fresh().await.expect("keeps");
    assert!(!is_good(&identity, &old));
    assert!(is_good(&identity, &new));
    assert!(matches!(stands(&identity, &order).await, Progress::Over(_)));
}

#[tokio::test]
async fn the_first_use_is_noticed_after_a_restart() {
    let House {
        identity,
        directory,
        clock,
    } = house().await;
    let (old, _) = enrolled(&identity, "cam-1").await;
    ask(&identity, json!({})).await;
    let key = KeyPair::generate().expect("a key");
    let new = certify(&identity, &key).await.expect("issues");
    drop(identity);
    let identity = open(directory.path(), &clock).await;
    assert!(is_good(&identity, &new));
    identity.keep_fresh().await.expect("keeps");
    assert!(!is_good(&identity, &old));
}

#[tokio::test]
async fn two_new_keys_end_nothing_by_themselves_and_a_person_is_told() {
    let House {
        identity,
        directory: _directory,
        clock,
    } = house().await;
    let (old, _) = enrolled(&identity, "cam-1").await;
    let order = ask(&identity, json!({ "keep_old_s": 0 })).await;
    let mut new = Vec::new();
    for _ in 0..2 {
        let key = KeyPair::generate().expect("a key");
        new.push(certify(&identity, &key).await.expect("issues"));
    }
    assert!(matches!(
        stands(&identity, &order).await,
        Progress::Overdue { then: None, .. }
    ));
    clock.advance_millis(HOUR_MS);
    for one in &new {
        assert!(is_good(&identity, one));
    }
    identity.keep_fresh().await.expect("keeps");
    assert!(is_good(&identity, &old));
}

#[tokio::test]
async fn the_same_new_key_may_be_asked_for_again_because_an_answer_may_be_lost() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let (old, _) = enrolled(&identity, "cam-1").await;
    let order = ask(&identity, json!({})).await;
    let key = KeyPair::generate().expect("a key");
    let lost = certify(&identity, &key).await.expect("issues");
    let new = certify(&identity, &key).await.expect("issues");
    assert!(is_good(&identity, &new));
    identity.keep_fresh().await.expect("keeps");
    assert!(!is_good(&identity, &old));
    assert!(is_good(&identity, &lost), "it is for the new key too");
    assert!(matches!(stands(&identity, &order).await, Progress::Over(_)));
}

#[tokio::test]
async fn a_device_that_does_not_follow_keeps_its_certificate_and_is_overdue() {
    let House {
        identity,
        directory: _directory,
        clock,
    } = house().await;
    let (old, _) = enrolled(&identity, "cam-1").await;
    let order = ask(
        &identity,
        json!({ "within_s": 60, "if_late": "quarantine" }),
    )
    .await;
    clock.advance_millis(61_000);
    identity.keep_fresh().await.expect("keeps");
    let Progress::Overdue { then, why } = stands(&identity, &order).await else {
        panic!("it is overdue");
    };
    assert_eq!(then, Some("quarantine"), "{why}");
    assert!(is_good(&identity, &old), "nobody is locked out in silence");
    // It may still follow.
    let key = KeyPair::generate().expect("a key");
    let new = certify(&identity, &key).await.expect("issues");
    assert!(is_good(&identity, &new));
    identity.keep_fresh().await.expect("keeps");
    assert!(!is_good(&identity, &old));
}

#[tokio::test]
async fn where_the_new_certificate_is_revoked_meanwhile_the_old_one_stays() {
    let House {
        identity,
        directory: _directory,
        clock,
    } = house().await;
    let (old, _) = enrolled(&identity, "cam-1").await;
    let order = ask(&identity, json!({ "keep_old_s": 60 })).await;
    let key = KeyPair::generate().expect("a key");
    let new = certify(&identity, &key).await.expect("issues");
    let reason = palisade_identity::RevocationReason::CessationOfOperation;
    identity.revoke(&new.serial, reason).await.expect("revokes");
    clock.advance_millis(HOUR_MS);
    identity.keep_fresh().await.expect("keeps");
    assert!(is_good(&identity, &old), "the last good one is not taken");
    assert!(matches!(
        stands(&identity, &order).await,
        Progress::Waits(_)
    ));
}

#[tokio::test]
async fn what_waits_is_cancelled_once_and_the_old_key_is_good_again() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let (_, old_key) = enrolled(&identity, "cam-1").await;
    let order = ask(&identity, json!({})).await;
    let effector = rotate(&identity);
    // Ordered again under the same action, as after a crash, it is asked once.
    effector.apply(&order).await.expect("asks");
    let another = effector.apply(&self::order(json!({}))).await;
    assert!(
        matches!(another, Err(EffectError::NotApplicable(_))),
        "{another:?}"
    );
    for _ in 0..2 {
        effector.undo(&order, &Value::Null).await.expect("cancels");
    }
    certify(&identity, &old_key).await.expect("issues");
    ask(&identity, json!({})).await;
}

#[tokio::test]
async fn parameters_that_it_does_not_have_are_refused() {
    let House {
        identity,
        directory: _directory,
        ..
    } = house().await;
    let effector = rotate(&identity);
    let check = |value: Value| {
        let parameters: Parameters = value.as_object().cloned().expect("an object");
        effector.check(&parameters)
    };
    check(json!({ "within_s": 60, "keep_old_s": 0, "if_late": "ask" })).expect("good");
    for bad in [
        json!({ "within": 60 }),
        json!({ "within_s": 0 }),
        json!({ "within_s": "1h" }),
        json!({ "keep_old_s": 2_592_001 }),
        json!({ "if_late": "explode" }),
    ] {
        check(bad.clone()).expect_err(&bad.to_string());
    }
}
