//! The timeline: what happened, how long after the first bad act, and whether all of it did.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{failure::Failure, output::Output};

/// One thing that happened to the bad device.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Its name for programs.
    pub(super) name: &'static str,
    /// What happened, for people.
    pub(super) words: String,
    /// After the first bad act; `None` where it did not happen.
    pub(super) after: Option<Duration>,
}

/// Where people go from here.
pub(super) const NEXT: &str = "
Next: `./demo --hold` keeps all of this running, to look around in.
The tour in README.md sets up a server and devices of your own.";

/// What came of the demo.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) device: String,
    /// What it did, for people.
    pub(super) act: String,
    pub(super) steps: Vec<Step>,
    /// The server's own account of why, in one sentence.
    pub(super) why: String,
    pub(super) fleet: Value,
    pub(super) ledger: Value,
}

impl Report {
    fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                json!({
                    "step": step.name,
                    "happened": step.after.is_some(),
                    "ms_after_first_bad_act": step.after.map(millis),
                })
            })
            .collect();
        json!({
            "device": self.device,
            "act": self.act.replace('\n', " "),
            "timeline": steps,
            "why": self.why,
            "fleet": self.fleet,
            "ledger": self.ledger,
            "ok": self.missing().is_empty(),
        })
    }

    /// The timeline, as it is printed.
    pub(super) fn to_text(&self, output: Output) -> Result<String, Failure> {
        if output.is_json() {
            return Ok(serde_json::to_string_pretty(&self.to_json())?);
        }
        let mut lines = vec![format!(
            "\n{} turned bad: {}.\nAfter its first bad act:\n",
            self.device, self.act
        )];
        lines.extend(self.steps.iter().map(|step| {
            let after = match step.after {
                Some(after) => format!("{:>9.1} ms", millis(after)),
                None => format!("{:>12}", "never"),
            };
            format!("  {after}  {}", step.words)
        }));
        lines.push(format!("\nWhy: {}", self.why));
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
        lines.push(format!(
            "Fleet: {} of {} devices still connected; {} messages allowed, {} denied.",
            number(&self.fleet, "connected"),
            number(&self.fleet, "devices"),
            number(&self.fleet, "messages"),
            number(&self.fleet, "denied"),
        ));
        lines.push(format!(
            "Ledger: {} entries, each read again and unchanged.",
            number(&self.ledger, "entries")
        ));
        Ok(lines.join("\n"))
    }

    fn missing(&self) -> Vec<&'static str> {
        let mut missing: Vec<&str> = self
            .steps
            .iter()
            .filter(|step| step.after.is_none())
            .map(|step| step.name)
            .collect();
        if self.ledger["fault"] != Value::Null || self.ledger["entries"].as_u64().unwrap_or(0) == 0
        {
            missing.push("ledger_verified");
        }
        if self.fleet["connected"].as_u64() != self.fleet["expected"].as_u64() {
            missing.push("the_others_go_on");
        }
        missing
    }

    /// Whether every step happened.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match self.missing().as_slice() {
            [] => Ok(()),
            missing => Err(Failure::new(format!(
                "this did not happen: {}",
                missing.join(", ")
            ))),
        }
    }
}

fn millis(after: Duration) -> f64 {
    (after.as_secs_f64() * 10_000.0).round() / 10.0
}
