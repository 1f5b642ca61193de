//! The data directory, its permissions and the room on its disk; the key-encryption key.

use std::os::unix::fs::MetadataExt;

use palisade_api::doctor::{Finding, room};
use palisade_keys::Keystore;

use crate::{config::KeysSection, data::DataDir, failure::Failure, keys};

/// Looks at the directory.
pub(super) fn examine(data: &DataDir) -> Vec<Finding> {
    let shown = data.path().display();
    let mut findings = Vec::new();
    match std::fs::metadata(data.path()) {
        Ok(found) if !found.is_dir() => findings.push(Finding::fail(
            "data directory",
            format!("{shown} is no directory"),
            "give the right one with --data",
        )),
        Ok(found) => findings.push(permissions(data, &found)),
        Err(error) => findings.push(Finding::fail(
            "data directory",
            format!("{shown}: {error}"),
            format!("run `palisade init --data {shown}`"),
        )),
    }
    for (path, what) in [
        (data.keystore(), "the keystore"),
        (data.key_file(), "the key-encryption key"),
        (data.database(), "the database"),
    ] {
        let mode = std::fs::metadata(&path).map(|found| found.mode() & 0o777);
        if let Ok(mode) = mode
            && mode & 0o077 != 0
        {
            findings.push(Finding::fail(
                "permissions",
                format!(
                    "{what} {} has mode {mode:03o}: others can use it",
                    path.display()
                ),
                format!(
                    "run `chmod 600 {}`, and think about who may have read it",
                    path.display()
                ),
            ));
        }
    }
    findings.extend(room(data.path()));
    findings
}

fn permissions(data: &DataDir, found: &std::fs::Metadata) -> Finding {
    let shown = data.path().display();
    let (mode, user) = (found.mode() & 0o777, rustix::process::geteuid().as_raw());
    if mode & 0o077 != 0 {
        return Finding::fail(
            "data directory",
            format!("{shown} has mode {mode:03o}: others may enter it"),
            format!("run `chmod 700 {shown}`"),
        );
    }
    if found.uid() != user && user != 0 {
        return Finding::fail(
            "data directory",
            format!(
                "{shown} belongs to user {}, not to you ({user})",
                found.uid()
            ),
            "run the doctor, and the server, as the user that owns it",
        );
    }
    Finding::ok("data directory", format!("{shown} is for its owner alone"))
}

/// The keystore, which is there. Not through our own opening: that would finish a rotation.
pub(super) fn open_keystore(section: &KeysSection, data: &DataDir) -> Result<Keystore, Failure> {
    let source = keys::source(section, data)?;
    Ok(Keystore::open(&data.keystore(), &source)?)
}

/// Opens the keystore with the key that is configured.
pub(super) fn key(section: &KeysSection, data: &DataDir) -> Finding {
    const CHECK: &str = "key-encryption key";
    if !data.keystore().exists() {
        return Finding::warn(
            CHECK,
            "there is no keystore yet",
            "the first start of `palisade serve`, or `palisade init`, makes it",
        );
    }
    match open_keystore(section, data) {
        Ok(keystore) => {
            let count = keystore.list().len();
            Finding::ok(CHECK, format!("it opens the keystore of {count} keys"))
        }
        Err(failure) => Finding::fail(
            CHECK,
            failure.message(),
            "let [keys] name the key that sealed the keystore, or restore both from the same backup",
        ),
    }
}
