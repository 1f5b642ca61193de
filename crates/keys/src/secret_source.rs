//! Where a secret comes from that a configuration names and never holds: a password, an access key, a PIN.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::Secret;

/// The longest secret, in bytes.
const MAX_SECRET: u64 = 16 * 1024;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that nobody else may read.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// A systemd credential (`LoadCredential=`).
    Credential(String),
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// More than one source is named.
    #[error("{0}: keep one of {0}_file, {0}_env and {0}_credential")]
    Several(&'static str),
    /// The file cannot be read.
    #[error("cannot read the secret in {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("others can read {path}, which has mode {mode:03o}: run `chmod 600 {path}`")]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The environment has no such variable.
    #[error("the environment has no {0}")]
    Environment(String),
    /// There is no such credential.
    #[error("there is no systemd credential {0:?}: set LoadCredential= in the unit")]
    Credential(String),
    /// There is nothing, too much, or no text.
    #[error("{0} holds no secret: one line of text is expected, of at most {MAX_SECRET} bytes")]
    Content(String),
}

impl SecretSource {
    /// The source that a configuration names by `<key>_file`, `<key>_env` or `<key>_credential`; files are relative to
    /// `folder`.
    ///
    /// # Errors
    /// When it names more than one.
    pub fn of(
        key: &'static str,
        (file, env, credential): (Option<&Path>, Option<&str>, Option<&str>),
        folder: &Path,
    ) -> Result<Option<Self>, SecretError> {
        let file = file.map(|path| Self::File(folder.join(path)));
        let env = env.map(|name| Self::Environment(name.to_owned()));
        let credential = credential.map(|name| Self::Credential(name.to_owned()));
        let mut named = file.into_iter().chain(env).chain(credential);
        match (named.next(), named.next()) {
            (_, Some(_)) => Err(SecretError::Several(key)),
            (source, None) => Ok(source),
        }
    }

    /// Reads the secret: one line of text, without what ends it.
    ///
    /// # Errors
    /// Says what is wrong with the source, and nothing that stands in it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => read_file(path, true),
            Self::Environment(name) => {
                let text = std::env::var(name).map(Zeroizing::new);
                let text = text.map_err(|_| SecretError::Environment(name.clone()))?;
                line_of(text.as_bytes()).ok_or_else(|| SecretError::Content(name.clone()))
            }
            Self::Credential(name) => {
                let missing = || SecretError::Credential(name.clone());
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(missing)?;
                if name.is_empty() || name.contains('/') || name.starts_with('.') {
                    return Err(missing());
                }
                // systemd shows it to the service alone; its mode says nothing.
                match read_file(&Path::new(&folder).join(name), false) {
                    Err(SecretError::Io { .. }) => Err(missing()),
                    read => read,
                }
            }
        }
    }
}

fn read_file(path: &Path, is_ours: bool) -> Result<Secret, SecretError> {
    let io = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    // Judged on the open file, so that it cannot be another by the time it is read.
    let file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode() & 0o777;
    if is_ours && mode & 0o077 != 0 {
        return Err(SecretError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET as usize + 1));
    file.take(MAX_SECRET + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    line_of(&bytes).ok_or_else(|| SecretError::Content(path.display().to_string()))
}

/// The only line of a text.
fn line_of(bytes: &[u8]) -> Option<Secret> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_line = !line.is_empty()
        && bytes.len() as u64 <= MAX_SECRET
        && std::str::from_utf8(line).is_ok_and(|text| !text.contains(['\n', '\r', '\0']));
    is_line.then(|| Secret::new(line.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_one_line_of_a_file_that_its_owner_alone_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let source = SecretSource::of(
            "key",
            (Some(Path::new("secret")), None, None),
            folder.path(),
        );
        let source = source.expect("one").expect("named");
        let put = |text: &[u8], mode| {
            std::fs::write(&path, text).expect("writes");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("changes");
        };
        put(b"hunter2\n", 0o600);
        assert_eq!(source.read().expect("reads").expose(), b"hunter2");
        for bad in [&b""[..], b"\n", b"two\nlines", b"\xff\xfe", &[b'x'; 16_385]] {
            put(bad, 0o600);
            let error = source.read().expect_err("refused");
            assert!(matches!(error, SecretError::Content(_)), "{error}");
        }
        put(b"hunter2", 0o640);
        let error = source.read().expect_err("refused").to_string();
        assert!(
            error.contains("chmod 600") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn two_sources_of_one_secret_are_refused() {
        let named = (Some(Path::new("a")), Some("B"), None);
        let error = SecretSource::of("pin", named, Path::new("/")).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "pin: keep one of pin_file, pin_env and pin_credential"
        );
    }
}
