use std::os::unix::fs::PermissionsExt;

use super::*;

fn source(directory: &Path, name: &str) -> KeySource {
    let path = directory.join(name);
    KeySource::generate_file(&path).expect("writes");
    KeySource::File(path)
}

fn passphrase(text: &str) -> KeySource {
    KeySource::Passphrase(Zeroizing::new(text.as_bytes().to_vec()))
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
    assert_eq!(opened.get("ca").expect("there").as_slice(), b"very secret");
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
            .as_slice(),
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
    let mut store = Keystore::open(&path, &key).expect("opens");
    store.put("a", b"one").expect("writes");
    store.put("b", b"two").expect("writes");
    let moved = store.contents.secrets["a"].clone();
    store.contents.secrets.insert("b".into(), moved);
    assert!(matches!(store.get("b"), Err(KeystoreError::Tampered(_))));
    let mut bytes = BASE64.decode(&store.contents.secrets["a"]).expect("base64");
    bytes[14] ^= 1;
    store
        .contents
        .secrets
        .insert("a".into(), BASE64.encode(bytes));
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
    let mut store = Keystore::open(&path, &old).expect("opens");
    store.put("ca", b"secret").expect("writes");
    // A crash before the rename leaves a temporary file behind and the old one untouched.
    std::fs::write(path.with_extension("new"), b"half writ").expect("writes");
    assert!(Keystore::open(&path, &old).expect("opens").contains("ca"));
    store.rotate(&new).expect("rotates");
    assert!(Keystore::open(&path, &old).is_err());
    let opened = Keystore::open(&path, &new).expect("opens");
    assert_eq!(opened.get("ca").expect("there").as_slice(), b"secret");
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
