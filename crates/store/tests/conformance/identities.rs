//! Identities at providers: one account each, made with it or not at all, and never at the price of the last owner.

use palisade_core::Timestamp;
use palisade_store::{Account, AccountIdentity, RolesSet, StoreError};

use crate::store;

pub fn account(name: &str, role: &str) -> Account {
    Account {
        name: name.to_owned(),
        roles: vec![role.to_owned()],
        password: "$argon2id$none".to_owned(),
        must_change: false,
        disabled: false,
        generation: 1,
        created_at: Timestamp::UNIX_EPOCH,
        password_changed_at: Timestamp::UNIX_EPOCH,
        last_login_at: None,
    }
}

pub fn identity(account: &str, subject: &str) -> AccountIdentity {
    AccountIdentity {
        issuer: "https://id.test".to_owned(),
        subject: subject.to_owned(),
        account: account.to_owned(),
        provider: "corp".to_owned(),
        is_made: true,
        created_at: Timestamp::UNIX_EPOCH,
        last_used_at: None,
    }
}

#[tokio::test]
async fn an_account_and_its_identity_are_made_together_or_not_at_all() {
    let (_directory, store) = store().await;
    let identities = store.identities();
    let made = identities
        .make(&account("anna", "owner"), &identity("anna", "1"))
        .await;
    made.expect("makes");
    let found = identities
        .find("https://id.test", "1")
        .await
        .expect("reads");
    assert_eq!(found, Some(identity("anna", "1")));
    // The name is taken: no identity. The identity is: no account.
    let taken = identities
        .make(&account("anna", "auditor"), &identity("anna", "2"))
        .await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    let taken = identities
        .make(&account("bert", "auditor"), &identity("bert", "1"))
        .await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    assert_eq!(store.accounts().find("bert").await.expect("reads"), None);
    assert_eq!(
        identities
            .find("https://id.test", "2")
            .await
            .expect("reads"),
        None
    );
    assert_eq!(identities.of("anna").await.expect("reads").len(), 1);
}

#[tokio::test]
async fn roles_that_are_set_end_sessions_where_they_are_others_and_leave_an_owner() {
    let (_directory, store) = store().await;
    let identities = store.identities();
    store
        .accounts()
        .add(&account("anna", "owner"))
        .await
        .expect("adds");
    let generation = async || {
        let found = store.accounts().find("anna").await.expect("reads");
        found.expect("is there").generation
    };
    let set = async |role: &str| {
        let set = identities.set_roles("anna", &[role.to_owned()]).await;
        set.expect("sets")
    };
    assert_eq!(
        (set("owner").await, generation().await),
        (RolesSet::Same, 1)
    );
    assert_eq!(
        (set("auditor").await, generation().await),
        (RolesSet::LastOwner, 1)
    );
    store
        .accounts()
        .add(&account("olga", "owner"))
        .await
        .expect("adds");
    assert_eq!(
        (set("auditor").await, generation().await),
        (RolesSet::Changed, 2)
    );
}

#[tokio::test]
async fn an_identity_is_linked_with_one_account_as_it_was_looked_at() {
    let (_directory, store) = store().await;
    let identities = store.identities();
    for name in ["anna", "bert"] {
        store
            .accounts()
            .add(&account(name, "auditor"))
            .await
            .expect("adds");
    }
    assert!(
        !identities
            .link(&identity("anna", "1"), 7)
            .await
            .expect("asks")
    );
    assert!(
        identities
            .link(&identity("anna", "1"), 1)
            .await
            .expect("links")
    );
    for other in [identity("bert", "1"), identity("anna", "2")] {
        let taken = identities.link(&other, 1).await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    }
    assert!(
        !identities
            .unlink("bert", "https://id.test")
            .await
            .expect("asks")
    );
    assert!(
        identities
            .unlink("anna", "https://id.test")
            .await
            .expect("unlinks")
    );
    let found = store
        .accounts()
        .find("anna")
        .await
        .expect("reads")
        .expect("is there");
    assert_eq!(found.generation, 2);
    assert_eq!(identities.of("anna").await.expect("reads"), []);
}
