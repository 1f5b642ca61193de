use std::os::unix::fs::PermissionsExt;

use super::*;

fn source(directory: &Path, name: &str) -> KeySource {
    let path = directory.join(name);
    KeySource::generate_file(&path).expect("writes");
    KeySource::File(path)
}

fn passphrase(text: &str) -> KeySource {
    KeySource::Passphrase(Secret::from(text))
}

#[test]
fn a_secret_reads_back_after_reopening_and_is_not_on_disk_in_the_clear() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, key) = (
        directory.path().join("keys.json"),
        source(directory.path(), "kek"),
    );
    Keystore::open(&path, &key)
        .expect("opens")
        .put("ca", b"very secret")
        .expect("writes");
    let opened = Keystore::open(&path, &key).expect("opens");
    assert_eq!(opened.get("ca").expect("there").expose(), b"very secret");
    let bytes = std::fs::read(&path).expect("reads");
    assert!(!String::from_utf8_lossy(&bytes).contains("very secret"));
    assert_eq!(
        std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn another_key_or_a_wrong_passphrase_does_not_open_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, key) = (
        directory.path().join("keys.json"),
        source(directory.path(), "kek"),
    );
    Keystore::open(&path, &key).expect("opens");
    let error = Keystore::open(&path, &source(directory.path(), "other")).expect_err("wrong key");
    assert!(matches!(error, KeystoreError::WrongKey(_)), "{error}");

    let path = directory.path().join("passphrase.json");
    let right = passphrase("correct horse battery");
    Keystore::open(&path, &right)
        .expect("opens")
        .put("a", b"b")
        .expect("writes");
    assert_eq!(
        Keystore::open(&path, &right)
            .expect("opens")
            .get("a")
            .expect("there")
            .expose(),
        b"b"
    );
    let wrong = passphrase("correct horse batterx");
    assert!(matches!(
        Keystore::open(&path, &wrong),
        Err(KeystoreError::WrongKey(_))
    ));
}

#[test]
fn a_secret_moved_to_anothers_place_or_changed_does_not_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, key) = (
        directory.path().join("keys.json"),
        source(directory.path(), "kek"),
    );
    let store = Keystore::open(&path, &key).expect("opens");
    store.put("a", b"one").expect("writes");
    store.put("b", b"two").expect("writes");
    {
        let secrets = &mut store.state().contents.secrets;
        let moved = secrets["a"].clone();
        secrets.insert("b".into(), moved);
        let mut bytes = BASE64.decode(&secrets["a"]).expect("base64");
        bytes[14] ^= 1;
        secrets.insert("a".into(), BASE64.encode(bytes));
    }
    assert!(matches!(store.get("b"), Err(KeystoreError::Tampered(_))));
    assert!(matches!(store.get("a"), Err(KeystoreError::Tampered(_))));
}

#[test]
fn rotation_leaves_the_old_file_or_the_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    let (old, new) = (
        source(directory.path(), "old"),
        source(directory.path(), "new"),
    );
    let store = Keystore::open(&path, &old).expect("opens");
    store.put("ca", b"secret").expect("writes");
    let before = std::fs::read(&path).expect("reads");
    store.rotate(&new).expect("rotates");
    let after = std::fs::read(&path).expect("reads");
    let aside = path.with_extension("new");

    // Cut off while the new file is being written, at every length, and before it is renamed.
    std::fs::write(&path, &before).expect("writes");
    for length in [0, 1, after.len() / 2, after.len() - 1, after.len()] {
        std::fs::write(&aside, &after[..length]).expect("writes");
        let opened = Keystore::open(&path, &old).expect("the old key opens it");
        assert_eq!(opened.get("ca").expect("there").expose(), b"secret");
        assert!(Keystore::open(&path, &new).is_err());
    }
    // What was left behind does not hinder the next attempt.
    let again = Keystore::open(&path, &old).expect("opens");
    again.rotate(&new).expect("rotates");
    assert!(!aside.exists());
    assert!(Keystore::open(&path, &old).is_err());
    let opened = Keystore::open(&path, &new).expect("the new key opens it");
    assert_eq!(opened.get("ca").expect("there").expose(), b"secret");
}

#[test]
fn a_change_that_cannot_be_written_leaves_all_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    let (old, new) = (
        source(directory.path(), "old"),
        source(directory.path(), "new"),
    );
    let store = Keystore::open(&path, &old).expect("opens");
    store.put("a", b"one").expect("writes");
    // A directory in the place of the temporary file: nothing can be written there.
    std::fs::create_dir(path.with_extension("new")).expect("creates");
    assert!(store.put("a", b"two").is_err());
    assert!(store.put("b", b"two").is_err());
    assert!(store.remove("a").is_err());
    assert!(store.rotate(&new).is_err());
    assert_eq!(store.list(), ["a"]);
    assert_eq!(store.get("a").expect("there").expose(), b"one");
    std::fs::remove_dir(path.with_extension("new")).expect("removes");
    let opened = Keystore::open(&path, &old).expect("the old key opens it");
    assert_eq!(opened.get("a").expect("there").expose(), b"one");
}

#[test]
fn a_signing_key_is_kept_and_not_replaced_by_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, kek) = (
        directory.path().join("keys.json"),
        source(directory.path(), "kek"),
    );
    let store = Keystore::open(&path, &kek).expect("opens");
    let key = store.generate_signing_key("ca-root").expect("generates");
    assert!(matches!(
        store.generate_signing_key("ca-root"),
        Err(KeystoreError::Exists(_))
    ));
    let store = Keystore::open(&path, &kek).expect("opens");
    let back = store.signing_key("ca-root").expect("there");
    assert_eq!(back.public_key(), key.public_key());
    assert!(store.remove("ca-root").expect("removes"));
    assert!(matches!(
        Keystore::open(&path, &kek)
            .expect("opens")
            .signing_key("ca-root"),
        Err(KeystoreError::Missing(_))
    ));
}

#[test]
fn a_name_that_could_mean_something_else_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    let store = Keystore::open(&path, &source(directory.path(), "kek")).expect("opens");
    for bad in ["", "#check", "../a", "A", "a b", "ü", &"a".repeat(65)] {
        let refused = store.put(bad, b"x");
        assert!(matches!(refused, Err(KeystoreError::Name(_))), "{bad:?}");
    }
}

#[test]
fn a_keystore_says_when_it_is_asked_to_open_with_the_wrong_kind_of_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    Keystore::open(&path, &source(directory.path(), "kek")).expect("opens");
    let error = Keystore::open(&path, &passphrase("correct horse battery")).expect_err("refused");
    assert!(error.to_string().contains("not a passphrase"), "{error}");
}

#[test]
fn a_keystore_that_asks_for_endless_work_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    let key = passphrase("correct horse battery");
    Keystore::open(&path, &key).expect("opens");
    let text = std::fs::read_to_string(&path).expect("reads");
    let forged = text.replace("\"passes\": 3", "\"passes\": 4000000000");
    assert_ne!(text, forged);
    std::fs::write(&path, forged).expect("writes");
    let error = Keystore::open(&path, &key).expect_err("refused");
    assert!(matches!(error, KeystoreError::Malformed { .. }), "{error}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused_with_the_way_to_mend_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = source(directory.path(), "kek");
    let file = directory.path().join("kek");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("chmod");
    let error = Keystore::open(&directory.path().join("keys.json"), &key).expect_err("refused");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_short_passphrase_is_refused_and_no_secret_is_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    assert!(Keystore::open(&path, &passphrase("short")).is_err());
    assert!(!path.exists());
    assert!(!format!("{:?}", passphrase("correct horse battery")).contains("horse"));
}

#[test]
fn a_secret_that_somebody_without_the_key_took_away_or_added_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    let key = source(directory.path(), "kek");
    let store = Keystore::open(&path, &key).expect("opens");
    store.put("a", b"one").expect("writes");
    store.put("b", b"two").expect("writes");
    let good = std::fs::read(&path).expect("reads");
    let edited = |edit: fn(&mut BTreeMap<String, String>)| {
        let mut contents: Contents = serde_json::from_slice(&good).expect("json");
        edit(&mut contents.secrets);
        std::fs::write(&path, serde_json::to_vec(&contents).expect("json")).expect("writes");
        Keystore::open(&path, &key)
    };
    assert!(edited(|_| {}).is_ok());
    for refused in [
        edited(|secrets| drop(secrets.remove("b"))),
        edited(|secrets| {
            let moved = secrets["b"].clone();
            secrets.insert("c".to_owned(), moved);
        }),
    ] {
        let error = refused.expect_err("it was changed");
        assert!(matches!(error, KeystoreError::Malformed { .. }), "{error}");
    }
    // Whoever goes on from a file of an earlier version has its names bound at the next change.
    std::fs::write(&path, &good).expect("writes");
    let store = Keystore::open(&path, &key).expect("opens");
    let old = seal(&store.state().kek, CHECK, CHECK_TEXT.as_bytes()).expect("seals");
    let mut contents: Contents = serde_json::from_slice(&good).expect("json");
    contents.secrets.insert(CHECK.to_owned(), old);
    std::fs::write(&path, serde_json::to_vec(&contents).expect("json")).expect("writes");
    let store = Keystore::open(&path, &key).expect("opens what an earlier version wrote");
    assert!(store.remove("a").expect("writes"));
    assert_eq!(Keystore::open(&path, &key).expect("opens").list(), ["b"]);
}
