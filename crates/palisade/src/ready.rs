//! `palisade ready`: what `/readyz` says, as an exit code. It is the probe of containers, which have no other program.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use serde_json::Value;

use crate::{
    failure::{Exit, Failure},
    output::{Output, sanitise},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// `palisade ready`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade ready
  palisade ready --address 127.0.0.1:9464 --json
  palisade ready --live

Exit codes: 0 it is, 5 it cannot be reached, 6 it is not ready.")]
pub(crate) struct ReadyCommand {
    /// The door for operators
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9464")]
    address: SocketAddr,
    /// Ask only whether it lives: a server that drains or has no database does
    #[arg(long)]
    live: bool,
}

impl ReadyCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let unreachable = |error: ureq::Error| {
            let why = format!("the server cannot be reached at {}: {error}", self.address);
            Failure::new(why).exit(Exit::Unreachable)
        };
        if self.live {
            let (alive, _) = ask(self.address, "/healthz").map_err(unreachable)?;
            return match alive {
                true => output.done(&serde_json::json!({ "live": true }), "It lives."),
                false => Err(Failure::new("it does not live").exit(Exit::NotCompliant)),
            };
        }
        let (ready, text) = ask(self.address, "/readyz").map_err(unreachable)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        if output.is_json() {
            output.json(&answer)?;
        }
        match ready {
            true if output.is_json() => Ok(()),
            true => output.text("It is ready."),
            false => {
                let why = format!("it is not ready: {}", sanitise(&why_not(&answer)));
                Err(Failure::new(why).exit(Exit::NotCompliant))
            }
        }
    }
}

/// Asks the door for operators: whether it says yes, and what it says besides.
pub(crate) fn ask(address: SocketAddr, path: &str) -> Result<(bool, String), ureq::Error> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let mut answer = config
        .new_agent()
        .get(format!("http://{address}{path}"))
        .call()?;
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().is_success(), text))
}

/// The checks that failed, for people.
pub(crate) fn why_not(answer: &Value) -> String {
    let checks = answer["checks"].as_array().into_iter().flatten();
    let failed = checks.filter(|check| check["level"] == "fail");
    let said = failed.map(|check| {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("check"), text("detail"))
    });
    said.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_is_said() {
        let answer = serde_json::json!({ "ready": false, "checks": [
            { "check": "server", "level": "ok", "detail": "it serves" },
            { "check": "disk", "level": "fail", "detail": "1 MiB is free" },
            { "check": "vault", "level": "warn", "detail": "old" },
            { "check": "database", "level": "fail", "detail": "it failed" },
        ]});
        assert_eq!(why_not(&answer), "disk: 1 MiB is free; database: it failed");
        assert_eq!(why_not(&Value::Null), "");
    }
}
