//! What a provider needs that stands in files: a secret that nobody else can read, and roots to trust.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use openidconnect::ClientSecret;
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// Where systems keep the roots that they trust.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// The largest file, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
const MAX_SECRET: usize = 4_096;

/// Reads a client's secret from a file that nobody else may read.
///
/// # Errors
/// Says what is wrong with the file, and nothing that stands in it.
pub fn read_secret(path: &Path) -> Result<ClientSecret, String> {
    let place = path.display();
    let text = read(path)?;
    let about = std::fs::metadata(path).map_err(|error| format!("{place}: {error}"))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(format!("others can read {place}: run `chmod 600 {place}`"));
    }
    secret_of(&text).map_err(|why| format!("{place}: {why}"))
}

/// Reads a client's secret from a variable of the environment.
///
/// # Errors
/// When there is none.
pub fn secret_of_environment(variable: &str) -> Result<ClientSecret, String> {
    let text = std::env::var(variable).map_err(|_| format!("the environment has no {variable}"))?;
    secret_of(&text).map_err(|why| format!("{variable}: {why}"))
}

fn secret_of(text: &str) -> Result<ClientSecret, String> {
    match text.trim() {
        "" => Err("there is no secret in it".to_owned()),
        long if long.len() > MAX_SECRET => Err(format!("a secret has at most {MAX_SECRET} bytes")),
        secret => Ok(ClientSecret::new(secret.to_owned())),
    }
}

/// The roots to trust, in DER: those of a file, or those of the system.
///
/// # Errors
/// When there are none.
pub fn read_roots(configured: Option<&Path>) -> Result<Vec<Vec<u8>>, String> {
    let system = || {
        SYSTEM_ROOTS
            .iter()
            .map(PathBuf::from)
            .find(|path| path.is_file())
    };
    let roots = match configured.map(Path::to_path_buf).or_else(system) {
        Some(path) => CertificateDer::pem_slice_iter(read(&path)?.as_bytes())
            .filter_map(Result::ok)
            .map(|der| der.to_vec())
            .collect(),
        None => Vec::new(),
    };
    match roots.is_empty() {
        true => Err("no root certificates were found: name a file with `ca`".to_owned()),
        false => Ok(roots),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let place = path.display();
    let unreadable = |error: std::io::Error| format!("{place}: {error}");
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    match size > MAX_FILE {
        true => Err(format!("{place}: it is larger than {MAX_FILE} bytes")),
        false => std::fs::read_to_string(path).map_err(unreadable),
    }
}
