//! New keys for devices.

use clap::Args;
use serde_json::json;

use crate::{
    client::{Session, path},
    config::Span,
    failure::Failure,
    output::{Column, column},
};

const FIELDS: [Column; 6] = [
    column("state", "/state"),
    column("asked", "/asked_at"),
    column("follow by", "/follow_by"),
    column("late", "/is_late"),
    column("new certificate", "/serial"),
    column("old ones end", "/old_end_at"),
];

/// Which device, and how long it has.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The device
    device: String,
    /// How long it has to follow
    #[arg(long, value_name = "TIME", default_value = "1d")]
    within: Span,
    /// How long its old certificates stay at the most, once it has a new one; 0 for not at all
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = Span::seconds_or_none)]
    keep_old: u64,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "by an operator")]
    reason: String,
}

impl RotateArgs {
    pub(super) fn rotate(&self, session: &Session) -> Result<(), Failure> {
        let body = json!({
            "reason": self.reason,
            "within_s": self.within.seconds(),
            "keep_old_s": self.keep_old,
        });
        let path = path(&["devices", &self.device, "rotate"]);
        let answer = session.post(path).json(&body).send()?;
        let sentence = format!(
            "Device {} is asked for a new key; it has until {}.",
            self.device,
            answer["follow_by"].as_str().unwrap_or_default()
        );
        session.output.done(&answer, &sentence)
    }
}

/// Which device.
#[derive(Debug, Args)]
pub(crate) struct RotationArgs {
    /// The device
    device: String,
    /// Ask it no longer; what was issued stays valid, old and new
    #[arg(long)]
    stop: bool,
    /// Why it is stopped, for the audit log
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "by an operator",
        requires = "stop"
    )]
    reason: String,
}

impl RotationArgs {
    pub(super) fn act(&self, session: &Session) -> Result<(), Failure> {
        if !self.stop {
            let answer = session.get(path(&["devices", &self.device, "rotation"]));
            return session.output.record(&answer.send()?, &FIELDS);
        }
        let path = path(&["devices", &self.device, "rotation", "stop"]);
        let body = json!({ "reason": self.reason });
        let answer = session.post(path).json(&body).send()?;
        let sentence = format!("Device {} is asked for a new key no longer.", self.device);
        session.output.done(&answer, &sentence)
    }
}
