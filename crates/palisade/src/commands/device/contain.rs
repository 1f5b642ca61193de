//! Acts that change whether a device is served.

use clap::Args;
use serde_json::json;

use super::closed;
use crate::{
    client::{Session, confirm, path},
    failure::Failure,
};

/// Reasons that a certificate may be revoked for (RFC 5280, section 5.3.1).
const REASONS: [&str; 5] = [
    "keyCompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
];

/// Which device, and why.
#[derive(Debug, Args)]
pub(crate) struct ContainArgs {
    /// The device
    device: String,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "by an operator")]
    reason: String,
    /// Do not ask whether you are sure
    #[arg(long, short)]
    yes: bool,
}

impl ContainArgs {
    /// Asks whether it is meant.
    pub(super) fn confirm(&self, consequence: &str) -> Result<(), Failure> {
        let question = format!("Device {} {consequence}. Go on?", self.device);
        confirm(self.yes, &question)
    }

    pub(super) fn act(&self, verb: &str, became: &str, session: &Session) -> Result<(), Failure> {
        self.send(verb, became, json!({ "reason": self.reason }), session)
    }

    fn send(
        &self,
        verb: &str,
        became: &str,
        body: serde_json::Value,
        session: &Session,
    ) -> Result<(), Failure> {
        let answer = session
            .post(path(&["devices", &self.device, verb]))
            .json(&body)
            .send()?;
        let sentence = match answer.get("closed_sessions") {
            Some(_) => format!("Device {} {became}; {}.", self.device, closed(&answer)),
            None => format!("Device {} {became}.", self.device),
        };
        session.output.done(&answer, &sentence)
    }
}

/// Which device, why, and what the CRL says.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    contain: ContainArgs,
    /// What the CRL says
    #[arg(long, value_name = "REASON", value_parser = REASONS)]
    certificate_reason: Option<String>,
}

impl RevokeArgs {
    pub(super) fn act(&self, session: &Session) -> Result<(), Failure> {
        self.contain
            .confirm("will lose its certificates and must enrol anew")?;
        let mut body = json!({ "reason": self.contain.reason });
        if let Some(reason) = &self.certificate_reason {
            body["certificate_reason"] = json!(reason);
        }
        self.contain.send("revoke", "is revoked", body, session)
    }
}
