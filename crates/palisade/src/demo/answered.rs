//! What the server did by itself about the bad device, as its REST API tells it.

use std::time::{Duration, Instant};

use palisade_core::DeviceId;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::operator::Operator;
use crate::failure::Failure;

/// Between two questions.
const LOOK: Duration = Duration::from_millis(5);

/// What was found, and what was done.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// By which detector, and when that was seen.
    pub(super) found: Option<(String, Instant)>,
    /// By which playbook the device was quarantined, and when that was seen.
    pub(super) quarantined: Option<(String, Instant)>,
}

/// Waits until the device was found and quarantined, so long at most.
pub(super) async fn wait(
    operator: &Operator,
    device: &DeviceId,
    patience: Duration,
) -> Result<Answered, Failure> {
    let mut answered = Answered::default();
    let watching = async {
        while answered.quarantined.is_none() {
            if answered.found.is_none() {
                let found = operator.findings(device).await?;
                answered.found = detector(&found).map(|detector| (detector, Instant::now()));
            }
            let actions = operator.actions(device, "quarantine").await?;
            answered.quarantined = playbook(&actions).map(|name| (name, Instant::now()));
            sleep(LOOK).await;
        }
        Ok::<_, Failure>(())
    };
    if let Ok(watched) = timeout(patience, watching).await {
        watched?;
    }
    Ok(answered)
}

/// The detector of the first finding; the list begins with the newest.
fn detector(findings: &Value) -> Option<String> {
    let first = findings["items"].as_array()?.last()?;
    Some(first["detector"].as_str()?.to_owned())
}

/// The playbook whose action is in force.
fn playbook(actions: &Value) -> Option<String> {
    let mut actions = actions["items"].as_array()?.iter();
    let done = actions.find(|action| action["state"] == "done")?;
    Some(done["playbook"].as_str()?.to_owned())
}
