//! Devices become known.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::{pairs, read_text};
use crate::{
    client::{Session, path},
    failure::Failure,
};

/// A device to register.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The device
    device: String,
    /// What it is
    #[arg(long)]
    product: String,
    /// The segment it lives in, instead of its product's
    #[arg(long)]
    segment: Option<String>,
    /// What people say about it; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
}

impl AddArgs {
    pub(super) fn add(self, session: &Session) -> Result<(), Failure> {
        let mut body = json!({
            "id": self.device,
            "product": self.product,
            "labels": pairs(&self.labels)?,
        });
        if let Some(segment) = &self.segment {
            body["segment"] = json!(segment);
        }
        let answer = session.post(path(&["devices"])).json(&body).send()?;
        let sentence = format!("Device {} is registered.", self.device);
        session.output.done(&answer, &sentence)
    }
}

/// A file of devices.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The CSV file; `-` is standard input
    file: PathBuf,
    /// Check all lines, register nothing
    #[arg(long)]
    dry_run: bool,
}

impl ImportArgs {
    pub(super) fn import(self, session: &Session) -> Result<(), Failure> {
        let text = read_text(&self.file)?;
        let answer = session
            .post(path(&["devices", "import"]))
            .query("dry_run", self.dry_run.then_some(true))
            .csv(text.into_bytes())
            .send()?;
        let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        let sentence = match self.dry_run {
            true => format!(
                "All lines are good: {} devices would be registered.",
                count("devices")
            ),
            false => format!("{} devices are registered.", count("registered")),
        };
        session.output.done(&answer, &sentence)
    }
}
