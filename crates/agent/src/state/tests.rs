use tempfile::TempDir;

use super::*;
use crate::{key::DeviceKey, testing::TestCa};

fn identity(ca: &TestCa) -> DeviceIdentity {
    let key = DeviceKey::generate().expect("a key");
    let leaf = ca.issue("cam-1", key.pair());
    DeviceIdentity::new(key, vec![leaf, ca.issuer()], vec![ca.root()]).expect("an identity")
}

fn servers() -> Servers {
    Servers {
        gateway: "localhost:8883".parse().expect("an endpoint"),
        devices: "localhost:8444".parse().expect("an endpoint"),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn what_was_saved_is_read_back_and_nobody_else_can_read_the_key() {
    let dir = TempDir::new().expect("a directory");
    let state = StateDir::create(&dir.path().join("state")).expect("made");
    assert!(matches!(state.identity(), Err(StateError::NotEnrolled(_))));
    let identity = identity(&TestCa::new());
    state.save(&identity, &servers()).expect("saved");
    assert_eq!(state.identity().expect("read").chain(), identity.chain());
    assert_eq!(state.servers().expect("read"), servers());
    assert_eq!(mode(state.path()), 0o700);
    assert_eq!(mode(&state.path().join(IDENTITY)), 0o600);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let state = StateDir::create(dir.path()).expect("made");
    state
        .save(&identity(&TestCa::new()), &servers())
        .expect("saved");
    let path = dir.path().join(IDENTITY);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    assert!(matches!(
        state.identity(),
        Err(StateError::Permissions { mode: 0o644, .. })
    ));
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_identity() {
    let dir = TempDir::new().expect("a directory");
    let state = StateDir::create(dir.path()).expect("made");
    let ca = TestCa::new();
    let (old, new) = (identity(&ca), identity(&ca));
    state.save(&old, &servers()).expect("saved");
    let text = new.to_secret_pem();
    // The temporary file, written to any length.
    for len in [0, 1, text.len() / 2, text.len()] {
        fs::write(dir.path().join(".identity.pem.new"), &text[..len]).expect("written");
        assert_eq!(state.identity().expect("the old one").chain(), old.chain());
    }
    state.save_identity(&new).expect("saved over what was left");
    assert_eq!(state.identity().expect("the new one").chain(), new.chain());
    assert_eq!(mode(&dir.path().join(IDENTITY)), 0o600);
}

#[test]
fn a_damaged_identity_is_an_error_and_no_panic() {
    let dir = TempDir::new().expect("a directory");
    let state = StateDir::create(dir.path()).expect("made");
    let identity = identity(&TestCa::new());
    state.save(&identity, &servers()).expect("saved");
    let text = identity.to_secret_pem();
    for len in 0..text.len() - 1 {
        replace(&dir.path().join(IDENTITY), text[..len].as_bytes(), SECRET).expect("written");
        if let Ok(read) = state.identity() {
            // Cut at the end of the first certificate: what is there is whole.
            assert_eq!(read.chain()[0], identity.chain()[0], "at {len}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_ours_is_not_read_into_memory() {
    let dir = TempDir::new().expect("a directory");
    let state = StateDir::create(dir.path()).expect("made");
    fs::write(dir.path().join(SERVERS), vec![b' '; MAX_FILE as usize + 1]).expect("written");
    assert!(matches!(state.servers(), Err(StateError::Damaged { .. })));
}
