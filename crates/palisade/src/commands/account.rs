//! `palisade login`, `logout`, `whoami`, `status`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::{Act, Client, Profile, Session, path, secret},
    failure::{Context, Failure},
    output::{Column, Output, column},
};

const WHO: [Column; 3] = [
    column("name", "/name"),
    column("id", "/id"),
    column("scopes", "/scopes"),
];
const STATUS: [Column; 1] = [column("version", "/version")];

/// `palisade login`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade login --server https://localhost:8443 --ca /var/lib/palisade/root.pem
  PALISADE_SETUP_TOKEN=pset_... palisade login --ca root.pem --name ci
  palisade login --server https://fleet.example:8443 --ca root.pem < token

The token is read from PALISADE_SETUP_TOKEN, PALISADE_TOKEN, or standard input. A set-up token is
exchanged for an API token. It is noted in $XDG_CONFIG_HOME/palisade/client.toml, for you alone.")]
pub(crate) struct LoginCommand {
    /// The server
    #[arg(
        long,
        value_name = "URL",
        env = "PALISADE_SERVER",
        default_value = "https://localhost:8443"
    )]
    server: String,
    /// The server's root certificate in PEM (root.pem in its data directory)
    #[arg(long, value_name = "FILE", env = "PALISADE_CA")]
    ca: PathBuf,
    /// The name of the API token that a set-up token is exchanged for
    #[arg(long, value_name = "NAME", default_value = "admin")]
    name: String,
}

impl LoginCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let ca = std::fs::read_to_string(&self.ca).context(self.ca.display())?;
        // Before a secret is asked for: a wrong address is better known first.
        Client::new(&self.server, &ca, None)?;
        let given = ["PALISADE_SETUP_TOKEN", "PALISADE_TOKEN"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
        let given = match given {
            Some(given) => given,
            None => secret("Set-up token or API token")?,
        };
        let answer = match given.starts_with("pset_") {
            true => self.set_up(&ca, &given)?,
            false => Client::new(&self.server, &ca, Some(given.clone()))?
                .get(path(&["whoami"]))
                .send()?,
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let profile = Profile {
            server: Some(self.server.trim_end_matches('/').to_owned()),
            token: Some(text("secret").unwrap_or(given)),
            token_id: text("id"),
            ca: Some(ca),
        };
        let file = profile.write()?;
        let name = text("name").unwrap_or_default();
        let shown = json!({
            "server": profile.server,
            "id": answer.get("id"),
            "name": name,
            "scopes": answer.get("scopes"),
            "file": file,
        });
        output.done(&shown, &format!("Logged in to {} as {name}.", self.server))
    }

    fn set_up(&self, ca: &str, token: &str) -> Result<Value, Failure> {
        let body = json!({ "token": token, "name": self.name });
        Client::new(&self.server, ca, None)?
            .post(path(&["setup"]))
            .json(&body)
            .send()
    }
}

/// `palisade logout`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade logout
  palisade logout --revoke")]
pub(crate) struct LogoutCommand {
    /// Revoke the token at the server too (it must be one with the scope admin)
    #[arg(long)]
    revoke: bool,
}

impl LogoutCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let profile = Profile::read()?.unwrap_or_default();
        if self.revoke {
            let (Some(server), Some(ca), Some(id)) =
                (&profile.server, &profile.ca, &profile.token_id)
            else {
                return Err(Failure::new(
                    "no login is noted whose token could be revoked",
                ));
            };
            let client = Client::new(server, ca, profile.token.clone())?;
            client.delete(path(&["api-tokens", id])).send()?;
        }
        let removed = Profile::remove()?;
        let sentence = match (removed, self.revoke) {
            (false, _) => "No login was noted.",
            (true, true) => "Logged out; the token is revoked.",
            (true, false) => {
                "Logged out. The token stays valid: `palisade api-token revoke` ends it."
            }
        };
        output.done(
            &json!({ "removed": removed, "revoked": self.revoke }),
            sentence,
        )
    }
}

/// `palisade whoami`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  palisade whoami\n  palisade whoami --json")]
pub(crate) struct WhoamiCommand {}

impl Act for WhoamiCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let answer = session.get(path(&["whoami"])).send()?;
        session.output.record(&answer, &WHO)
    }
}

/// `palisade status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  palisade status\n  palisade status --json")]
pub(crate) struct StatusCommand {}

impl Act for StatusCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let answer = session.get(path(&["status"])).send()?;
        session.output.record(&answer, &STATUS)
    }
}
