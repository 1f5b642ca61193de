//! The key-encryption key: where it comes from, and its rotation.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use palisade_api::doctor::KeyPlace;
use palisade_keys::{KeySource, Keystore, KeystoreError, Secret};
use serde_json::json;

use crate::{
    act,
    config::{Config, KeysSection},
    data::{DataArgs, DataDir, MoreConfigArgs},
    database,
    failure::{Context, Failure},
    output::Output,
    serve,
};

/// The source that a configuration names.
pub(crate) fn source(section: &KeysSection, data: &DataDir) -> Result<KeySource, Failure> {
    // A path is relative to the data directory, wherever the server is started from.
    let within = |path: &Path| data.path().join(path);
    if let Some(path) = &section.file {
        return Ok(KeySource::File(within(path)));
    }
    if let Some(path) = &section.passphrase_file {
        return passphrase_file(&within(path));
    }
    if let Some(name) = &section.passphrase_env {
        let text = std::env::var(name).map_err(|_| {
            Failure::new(format!(
                "the environment variable {name} holds no passphrase"
            ))
            .next("set it, or change [keys] in the configuration")
        })?;
        return Ok(KeySource::Passphrase(Secret::from(text)));
    }
    if let Some(name) = &section.credential {
        return Ok(KeySource::Credential(name.clone()));
    }
    Ok(KeySource::File(data.key_file()))
}

/// Where the key-encryption key is, by the configuration.
pub(crate) fn place(section: &KeysSection) -> KeyPlace {
    match () {
        () if section.file.is_some() => KeyPlace::File,
        () if section.passphrase_file.is_some() || section.passphrase_env.is_some() => {
            KeyPlace::Passphrase
        }
        () if section.credential.is_some() => KeyPlace::Credential,
        () => KeyPlace::File,
    }
}

fn passphrase_file(path: &Path) -> Result<KeySource, Failure> {
    let mode = std::fs::metadata(path).context(path.display())?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let message = format!("the passphrase file {} has mode {mode:03o}", path.display());
        return Err(Failure::new(message).next(format!("run `chmod 600 {}`", path.display())));
    }
    let text = std::fs::read_to_string(path).context(path.display())?;
    let text = text.trim_end_matches(['\n', '\r']);
    Ok(KeySource::Passphrase(Secret::from(text)))
}

/// Opens the keystore of a data directory. At the very first start it is made, and the default key file
/// with it. A rotation that a crash cut short is finished.
pub(crate) fn open(section: &KeysSection, data: &DataDir) -> Result<Arc<Keystore>, Failure> {
    let source = source(section, data)?;
    let path = data.keystore();
    let is_new = !path.try_exists().context(path.display())?;
    if is_new && section.named() == 0 {
        KeySource::generate_file(&data.key_file())?;
    }
    let keystore = match (Keystore::open(&path, &source), &source) {
        (Err(KeystoreError::WrongKey(_)), KeySource::File(file)) if next_of(file).exists() => {
            let keystore = Keystore::open(&path, &KeySource::File(next_of(file)))?;
            std::fs::rename(next_of(file), file).context(file.display())?;
            keystore
        }
        (opened, _) => opened?,
    };
    Ok(Arc::new(keystore))
}

/// Where the next key waits while a rotation goes on.
fn next_of(file: &Path) -> PathBuf {
    file.with_extension("next")
}

/// Work on the keys of a server that is stopped.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Seal all keys under another key-encryption key
    #[command(after_help = "Examples:
  palisade keys rotate --data /var/lib/palisade
  palisade keys rotate --data /var/lib/palisade --to-credential palisade-kek
  palisade keys rotate --data /var/lib/palisade --to-passphrase-file /run/secrets/passphrase

The server must be stopped. Without --to-... a new key takes the place of the key file.")]
    Rotate(RotateCommand),
}

impl KeysCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let Self::Rotate(command) = self;
        command.run(output)
    }
}

/// `palisade keys rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    more: MoreConfigArgs,
    /// To the key in this file
    #[arg(long, value_name = "FILE", group = "to")]
    to_file: Option<PathBuf>,
    /// To the passphrase in this file
    #[arg(long, value_name = "FILE", group = "to")]
    to_passphrase_file: Option<PathBuf>,
    /// To this systemd credential
    #[arg(long, value_name = "NAME", group = "to")]
    to_credential: Option<String>,
}

impl RotateCommand {
    fn run(self, output: &Output) -> Result<(), Failure> {
        let config = self.more.load(Some(&self.data.data))?;
        let data = DataDir::at(&self.data.data);
        if !data.keystore().exists() {
            let message = format!("{} holds no keystore", data.path().display());
            return Err(Failure::new(message).next("run `palisade init` first"));
        }
        serve::runtime()?.block_on(self.rotate(&config, &data, output))
    }

    async fn rotate(
        &self,
        config: &Config,
        data: &DataDir,
        output: &Output,
    ) -> Result<(), Failure> {
        let section = &config.keys;
        // The open store keeps a server from starting meanwhile.
        let store = database::open(config, data).await?;
        let keystore = open(section, data)?;
        let (target, next) = self.target(section, data)?;
        match &target {
            Target::InPlace(file) => {
                let next = next_of(file);
                // What lies there is of a rotation that never came to its point.
                if next.exists() {
                    std::fs::remove_file(&next).context(next.display())?;
                }
                KeySource::generate_file(&next)?;
                keystore.rotate(&KeySource::File(next.clone()))?;
                std::fs::rename(&next, file).context(file.display())?;
            }
            Target::Other(source) => keystore.rotate(source)?,
        }
        let target = data.keystore().display().to_string();
        let now = act::record(&store, "keys.rotate", target, None).await?;
        store.settings().note_keys_rotated(now).await?;
        store.close().await;
        output.done(&json!({ "rotated": true, "next": next }), &next)
    }

    /// Where to, and what people have to do afterwards.
    fn target(&self, section: &KeysSection, data: &DataDir) -> Result<(Target, String), Failure> {
        let set = |key: &str, value: &str| {
            format!(
                "All keys are sealed anew. Before the next start, let [keys] in the configuration say \
                 {key} = {value:?} and nothing else."
            )
        };
        if let Some(path) = &self.to_file {
            let path = std::path::absolute(path).context(path.display())?;
            let next = set("file", &path.display().to_string());
            return Ok((Target::Other(KeySource::File(path)), next));
        }
        if let Some(path) = &self.to_passphrase_file {
            let path = std::path::absolute(path).context(path.display())?;
            let next = set("passphrase_file", &path.display().to_string());
            return Ok((Target::Other(passphrase_file(&path)?), next));
        }
        if let Some(name) = &self.to_credential {
            let source = KeySource::Credential(name.clone());
            return Ok((Target::Other(source), set("credential", name)));
        }
        match source(section, data)? {
            KeySource::File(file) => {
                let next = format!(
                    "All keys are sealed anew; the new key is in {}. Replace your backup of it.",
                    file.display()
                );
                Ok((Target::InPlace(file), next))
            }
            _ => Err(Failure::usage(
                "say to what: --to-file, --to-passphrase-file or --to-credential",
            )),
        }
    }
}

enum Target {
    /// A new key in the place of the old file.
    InPlace(PathBuf),
    /// A key that is there already.
    Other(KeySource),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let data = DataDir::at(directory.path());
        (directory, data)
    }

    #[test]
    fn the_default_key_file_is_made_once_and_not_again_when_it_is_lost() {
        let (_directory, data) = data();
        let section = KeysSection::default();
        let keys = open(&section, &data).expect("opens");
        keys.put("x", b"secret").expect("seals");
        std::fs::remove_file(data.key_file()).expect("removes");
        let error = open(&section, &data).expect_err("the key is lost");
        assert!(error.message().contains("key-encryption.key"), "{error:?}");
        assert!(
            !data.key_file().exists(),
            "a new key would only hide the loss"
        );
    }

    #[test]
    fn a_rotation_that_a_crash_cut_short_is_finished_at_the_next_start() {
        let (_directory, data) = data();
        let section = KeysSection::default();
        let keys = open(&section, &data).expect("opens");
        keys.put("x", b"secret").expect("seals");
        let next = next_of(&data.key_file());
        KeySource::generate_file(&next).expect("a key");
        keys.rotate(&KeySource::File(next.clone()))
            .expect("rotates");
        // Here it crashes: the new key is not in its place yet.
        drop(keys);
        for _ in 0..2 {
            let keys = open(&section, &data).expect("opens");
            assert_eq!(keys.get("x").expect("unseals").expose(), b"secret");
            assert!(!next.exists());
        }
    }

    #[test]
    fn a_passphrase_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_directory, data) = data();
        let section = KeysSection {
            passphrase_file: Some("passphrase".into()),
            ..KeysSection::default()
        };
        let file = data.path().join("passphrase");
        std::fs::write(&file, "correct horse battery staple\n").expect("writes");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("changes");
        let error = source(&section, &data).expect_err("refused");
        assert!(error.message().contains("644"), "{error:?}");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("changes");
        let KeySource::Passphrase(text) = source(&section, &data).expect("read") else {
            panic!("another source");
        };
        assert_eq!(text.expose(), b"correct horse battery staple");
    }
}
