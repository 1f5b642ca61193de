use std::os::unix::fs::PermissionsExt;

use aws_lc_rs::digest::{SHA256, digest};
use palisade_agent::{
    Endpoint, EnrolError, Enrolment, HttpError, StateDir, Trust, enroll_in_memory, renew,
};
use palisade_core::{EventKind, Lifecycle};

use crate::house::{House, device};

#[tokio::test]
async fn a_device_enrols_with_a_token_once() {
    let house = House::open().await;
    let token = house.token(1).await;
    let (url, root) = (house.devices_url(), house.root_pem());
    let identity = enroll_in_memory(&url, &root, &device("cam-1"), &token).await;
    let identity = identity.expect("enrols");
    assert_eq!(identity.device(), &device("cam-1"));
    assert_eq!(
        identity.chain().len(),
        2,
        "the device's certificate and the issuer's"
    );
    house
        .event(|event| matches!(event.kind, EventKind::Enrolled { .. }))
        .await;
    let again = enroll_in_memory(&url, &root, &device("cam-2"), &token).await;
    let refused = again.expect_err("the token is used up");
    assert!(
        matches!(refused, EnrolError::Refused { status: 401, .. }),
        "{refused}"
    );
    assert!(!refused.to_string().contains(&token), "{refused}");
}

#[tokio::test]
async fn a_server_under_another_root_is_not_believed() {
    let (house, other) = (House::open().await, House::open().await);
    let token = house.token(1).await;
    let (url, root) = (house.devices_url(), other.root_pem());
    let fooled = enroll_in_memory(&url, &root, &device("cam-1"), &token).await;
    let error = fooled.expect_err("another root");
    assert!(
        matches!(error, EnrolError::Http(HttpError::Connect { .. })),
        "{error}"
    );
    enroll_in_memory(
        &house.devices_url(),
        &house.root_pem(),
        &device("cam-1"),
        &token,
    )
    .await
    .expect("the token was not spent");
}

#[tokio::test]
async fn the_fingerprint_of_the_root_is_enough_and_a_wrong_one_is_not() {
    let house = House::open().await;
    let token = house.token(1).await;
    let enrol = |fingerprint: &str| {
        let trust = Trust::fingerprint(fingerprint).expect("a fingerprint");
        Enrolment::new(house.devices(), trust, device("cam-1"), &token).expect("valid")
    };
    let wrong = enrol(&"00".repeat(32))
        .enrol()
        .await
        .expect_err("not its fingerprint");
    assert!(matches!(wrong, EnrolError::Impostor), "{wrong}");
    // The issuer is shown as well, and is no root.
    let issuer = hex(&house.parts().identity.issuer_der());
    let wrong = enrol(&issuer).enrol().await.expect_err("the issuer's");
    assert!(matches!(wrong, EnrolError::Impostor), "{wrong}");
    let root = house.parts().identity.root_der();
    let identity = enrol(&hex(&root)).enrol().await.expect("enrols");
    assert_eq!(identity.roots(), [root]);
}

fn hex(der: &[u8]) -> String {
    let digest = digest(&SHA256, der);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn a_certificate_is_renewed_for_a_new_key_and_the_old_one_stays_good() {
    let house = House::open().await;
    let old = house.enrol("cam-1").await;
    let new = renew(&house.devices(), &old).await.expect("renews");
    assert_ne!(new.chain()[0], old.chain()[0]);
    assert_ne!(new.to_secret_pem(), old.to_secret_pem());
    renew(&house.devices(), &old)
        .await
        .expect("the old one still serves");
    renew(&house.devices(), &new)
        .await
        .expect("the new one serves");
}

#[tokio::test]
async fn a_quarantined_device_renews_nothing_and_is_told_so() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    let refused = renew(&house.devices(), &identity)
        .await
        .expect_err("quarantined");
    assert!(
        matches!(refused, EnrolError::Refused { status: 403, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_that_answers_nonsense_is_an_error() {
    let house = House::open().await;
    let nowhere = Endpoint::parse(house.gateway().host(), house.gateway().port());
    let trust = Trust::roots_pem(&house.root_pem()).expect("a root");
    // The MQTT door has the same root, speaks TLS, and no HTTP.
    let enrolment = Enrolment::new(nowhere.expect("valid"), trust, device("cam-1"), "pet_x");
    let error = enrolment
        .expect("valid")
        .enrol()
        .await
        .expect_err("no HTTP there");
    assert!(matches!(error, EnrolError::Http(_)), "{error}");
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_is_made_again_with_the_same_key() {
    let house = House::open().await;
    let token = house.token(3).await;
    let directory = tempfile::tempdir().expect("a directory");
    let state = StateDir::create(directory.path()).expect("made");
    let attempt = || {
        let trust = Trust::roots_pem(&house.root_pem()).expect("a root");
        let enrolment = Enrolment::new(house.devices(), trust, device("cam-1"), &token);
        enrolment
            .expect("valid")
            .keep_key_in(&state)
            .expect("a key is kept")
    };
    let lost = attempt().enrol().await.expect("enrols");
    let again = attempt().enrol().await.expect("it is known again");
    assert_eq!(lost.private_key(), again.private_key());
    let pending = directory.path().join("pending.key");
    let mode = std::fs::metadata(&pending)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    state.save_identity(&again).expect("saved");
    assert!(!pending.exists());
    // Another key is another device under this name.
    let trust = Trust::roots_pem(&house.root_pem()).expect("a root");
    let another = Enrolment::new(house.devices(), trust, device("cam-1"), &token);
    let refused = another.expect("valid").enrol().await;
    let refused = refused.expect_err("a token for new devices");
    assert!(
        matches!(refused, EnrolError::Refused { status: 403, .. }),
        "{refused}"
    );
}
