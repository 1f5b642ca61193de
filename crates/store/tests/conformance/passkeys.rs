//! Passkeys count their uses: a copy counts from where it was made.

use palisade_core::{Timestamp, TokenId};
use palisade_store::PasskeyRecord;

use crate::{
    identities::{account, identity},
    store,
};

#[tokio::test]
async fn of_a_passkey_and_its_copy_one_is_used() {
    let (_directory, store) = store().await;
    let anna = account("anna", "auditor");
    let made = store.identities().make(&anna, &identity("anna", "1")).await;
    made.expect("makes");
    let key = PasskeyRecord {
        id: TokenId::generate(),
        account: "anna".to_owned(),
        credential: vec![1],
        name: "phone".to_owned(),
        public_key: "{}".to_owned(),
        counter: 0,
        created_at: Timestamp::UNIX_EPOCH,
        last_used_at: None,
    };
    let passkeys = store.passkeys();
    passkeys.add(&anna, &key, 10, &[]).await.expect("adds");
    let used = async |counter| {
        let used = passkeys.used(&key, counter, "{}", Timestamp::UNIX_EPOCH);
        used.await.expect("writes")
    };
    // An authenticator that does not count says 0 each time.
    assert!(used(0).await && used(0).await);
    assert!(used(5).await);
    for behind in [5, 4, 0] {
        assert!(!used(behind).await, "{behind}");
    }
    assert!(used(6).await);
}
