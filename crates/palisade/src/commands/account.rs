//! `palisade login`, `logout`, `whoami`, `status`.

use std::path::PathBuf;

use clap::Args;
use palisade_api::people::EVERYTHING;
use palisade_core::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::{
    account_login::{self, LoggedIn, Person},
    device::count_contained,
};
use crate::{
    client::{Act, Client, Profile, Session, confirm, path, secret},
    failure::{Context, Exit, Failure},
    output::{Column, Output, cell, column},
};

const WHO: [Column; 3] = [
    column("name", "/name"),
    column("id", "/id"),
    column("scopes", "/scopes"),
];
const STATUS: [Column; 7] = [
    column("version", "/version"),
    column("time", "/time"),
    column("trust domain", "/trust_domain"),
    column("policy version", "/policy_version"),
    column("ledger entries", "/ledger_entries"),
    column("issuer ends", "/issuer_not_after"),
    column("root key is here", "/root_key_is_here"),
];

/// `palisade login`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade login --server https://localhost:8443 --ca /var/lib/palisade/root.pem
  PALISADE_SETUP_TOKEN=pset_... palisade login --ca root.pem --name ci
  palisade login --server https://fleet.example:8443 --ca root.pem < token
  palisade login --ca root.pem --account anna
  PALISADE_SETUP_TOKEN=pset_... palisade login --ca root.pem --account anna

The token is read from PALISADE_SETUP_TOKEN, PALISADE_TOKEN, or standard input. A set-up token is
exchanged for an API token; with --account it makes that account, the first. With --account the
password and a code of the second factor are asked for, or are lines of standard input. What was
obtained is noted in $XDG_CONFIG_HOME/palisade/client.toml, for you alone.")]
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
    /// Log in as a person, with a password and a second factor
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    account: Option<String>,
}

impl LoginCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let ca = std::fs::read_to_string(&self.ca).context(self.ca.display())?;
        // Before a secret is asked for: a wrong address is better known first.
        Client::new(&self.server, &ca, None)?;
        if let Some(account) = &self.account {
            return self.log_in(account, ca, output);
        }
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

    fn log_in(&self, account: &str, ca: String, output: &Output) -> Result<(), Failure> {
        let person = Person {
            server: &self.server,
            ca: &ca,
            account,
        };
        let setup_token = std::env::var("PALISADE_SETUP_TOKEN").unwrap_or_default();
        let chosen = match setup_token.is_empty() {
            true => None,
            false => Some(person.make(&setup_token)?),
        };
        let LoggedIn {
            secret,
            session,
            recovery_codes,
        } = person.log_in(chosen)?;
        let profile = Profile {
            server: Some(self.server.trim_end_matches('/').to_owned()),
            token: Some(secret),
            token_id: None,
            ca: Some(ca),
        };
        let file = profile.write()?;
        let mut shown = json!({ "server": profile.server, "session": session, "file": file });
        let mut sentence = format!(
            "Logged in to {} as {account}, until {}.",
            self.server,
            cell(session.get("expires_at"))
        );
        if let Some(codes) = recovery_codes {
            let listed = codes.as_array().into_iter().flatten();
            let listed: Vec<_> = listed.filter_map(Value::as_str).collect();
            sentence.push_str(&format!(
                "\n\nRecovery codes, each good for one log-in without the second factor. They are shown this once:\n\n  {}",
                listed.join("\n  ")
            ));
            shown["recovery_codes"] = codes;
        }
        output.done(&shown, &sentence)
    }

    fn set_up(&self, ca: &str, token: &str) -> Result<Value, Failure> {
        let body = json!({ "token": token, "name": self.name });
        Client::new(&self.server, ca, None)?
            .post(path(&["setup"]))
            .json(&body)
            .send()
            .map_err(|failure| match failure.code() {
                Exit::Denied => failure.next(
                    "`palisade serve` prints the set-up token (pset_...) on its terminal when it starts and \
                     nobody can log in yet",
                ),
                _ => failure,
            })
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
    /// Do not ask whether you are sure
    #[arg(long, short)]
    yes: bool,
}

impl LogoutCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let profile = Profile::read()?.unwrap_or_default();
        let is_last = is_last_administrator(&profile);
        if is_last {
            let question = format!("{LAST} Go on?");
            confirm(self.yes, &question)?;
        }
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
        let is_session = profile.is_session();
        if let (true, Some(server), Some(ca)) = (is_session, &profile.server, &profile.ca) {
            account_login::end(&Client::new(server, ca, profile.token.clone())?)?;
        }
        let removed = Profile::remove()?;
        let sentence = match (removed, self.revoke) {
            (false, _) => "No login was noted.",
            (true, _) if is_session => "Logged out; the session has ended.",
            (true, true) => "Logged out; the token is revoked.",
            (true, false) => {
                "Logged out. The token stays valid for whoever kept it: `palisade api-token revoke` ends it."
            }
        };
        if removed && is_last {
            eprintln!("{LAST} {RECOVER}");
        }
        output.done(
            &json!({ "removed": removed, "revoked": self.revoke, "last": is_last }),
            sentence,
        )
    }
}

const LAST: &str = "This token is the last valid one that may administer: without it nobody can.";
const RECOVER: &str = "`palisade recover --data DIR` on the server makes a way back in.";

/// Whether no other token may administer, as far as the noted one can see. It need not be able to.
fn is_last_administrator(profile: &Profile) -> bool {
    let (Some(server), Some(ca), Some(own)) = (&profile.server, &profile.ca, &profile.token_id)
    else {
        return false;
    };
    let Ok(client) = Client::new(server, ca, profile.token.clone()) else {
        return false;
    };
    let tokens = client.get(path(&["api-tokens"])).query("limit", Some(1000));
    match tokens.send() {
        Ok(tokens) => is_last(&tokens, own, SystemClock.now()),
        Err(_) => false,
    }
}

fn is_last(tokens: &Value, own: &str, now: Timestamp) -> bool {
    let may_administer = |token: &&Value| {
        let ended = token.get("expires_at").and_then(|end| {
            let end: Timestamp = serde_json::from_value(end.clone()).ok()?;
            Some(end <= now)
        });
        let scopes = token.get("scopes").and_then(Value::as_array);
        let administers = |scope: &Value| scope == EVERYTHING || scope == "admin";
        token.get("revoked") != Some(&Value::Bool(true))
            && ended != Some(true)
            && scopes.is_some_and(|scopes| scopes.iter().any(administers))
    };
    let items = tokens.get("items").and_then(Value::as_array);
    let mut administrators = items.into_iter().flatten().filter(may_administer);
    let is_whole = tokens.get("next").is_none_or(Value::is_null);
    // One that is not seen may be there.
    is_whole
        && administrators
            .next()
            .is_some_and(|token| token.get("id") == Some(&own.into()))
        && administrators.next().is_none()
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
#[command(after_help = "Examples:
  palisade status
  palisade status --verbose
  palisade status --json")]
pub(crate) struct StatusCommand {
    /// Show its counters too
    #[arg(long, short)]
    verbose: bool,
}

impl Act for StatusCommand {
    fn act(self, session: &Session) -> Result<(), Failure> {
        let mut answer = session.get(path(&["status"])).send()?;
        if session.output.is_json() {
            return session.output.json(&answer);
        }
        // Who may not look at devices reads the rest.
        let contained = count_contained(session).unwrap_or(None);
        session
            .output
            .text(&in_one_line(&answer, contained.as_deref()))?;
        if !self.verbose
            && let Some(map) = answer.as_object_mut()
        {
            map.retain(|name, _| STATUS.iter().any(|column| column.pointer[1..] == *name));
        }
        session.output.record(&answer, &STATUS)
    }
}

/// How the server and its fleet are, in the words that an operator looks for first.
fn in_one_line(status: &Value, contained: Option<&str>) -> String {
    let count = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let quarantined = count("/devices/quarantined");
    let mut parts = vec![format!("{} active", count("/devices/active"))];
    if let Some(contained) = contained {
        parts.push(format!("{contained} contained by trust"));
    }
    parts.push(format!("{quarantined} quarantined"));
    for (name, pointer) in [
        ("registered", "/devices/registered"),
        ("revoked", "/devices/revoked"),
        ("retired", "/devices/retired"),
    ] {
        if count(pointer) > 0 {
            parts.push(format!("{} {name}", count(pointer)));
        }
    }
    let sessions = count("/gateway/connected");
    let verdict = match (contained, quarantined) {
        (Some("0"), 0) => "nothing is contained",
        (None, 0) => "nothing is quarantined",
        _ => "see `palisade device list --trust-below 100` and `--lifecycle quarantined`",
    };
    let s = if sessions == 1 { "" } else { "s" };
    format!(
        "Devices: {}; {sessions} session{s}; {verdict}.",
        parts.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_a_sentence() {
        let status =
            json!({"devices": {"active": 3, "quarantined": 0}, "gateway": {"connected": 5}});
        assert_eq!(
            in_one_line(&status, Some("0")),
            "Devices: 3 active, 0 contained by trust, 0 quarantined; 5 sessions; nothing is contained."
        );
        assert!(!in_one_line(&status, Some("1")).contains("nothing is contained"));
        assert!(!in_one_line(&status, None).contains("nothing is contained"));
    }

    #[test]
    fn the_last_administrator_is_the_only_valid_one() {
        let now: Timestamp = serde_json::from_value(json!("2026-01-02T00:00:00Z")).expect("a time");
        let token = |id: &str, scope: &str| json!({"id": id, "scopes": [scope], "revoked": false, "expires_at": null});
        let listed = |other: Value| json!({"items": [token("mine", "*"), other], "next": null});
        let ended = json!({"id": "b", "scopes": ["*"], "expires_at": "2026-01-01T00:00:00Z"});
        let revoked = json!({"id": "b", "scopes": ["admin"], "revoked": true});
        for (other, expected) in [
            (token("b", "admin"), false),
            (token("b", "*"), false),
            (token("b", "devices:read"), true),
            (ended, true),
            (revoked, true),
        ] {
            assert_eq!(
                is_last(&listed(other.clone()), "mine", now),
                expected,
                "{other}"
            );
        }
        let more = json!({"items": [token("mine", "*")], "next": "x"});
        assert!(!is_last(&more, "mine", now));
        assert!(!is_last(
            &json!({"items": [token("b", "*")], "next": null}),
            "mine",
            now
        ));
    }
}
