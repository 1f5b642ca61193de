//! Watches an attack from both sides: the attacker's own view says when it was ended, the server's findings
//! say what found it.

use std::time::{Duration, Instant};

use palisade_core::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Ground, Scenario,
    attack::{self, Ended},
};
use crate::failure::Failure;

/// Between two looks at the findings.
const LOOK: Duration = Duration::from_millis(50);
/// By how much the clocks of two machines may differ.
const SKEW: Duration = Duration::from_secs(2);
/// Who guesses credentials is found by rules of these names.
const GUESSING: [&str; 2] = ["rule/enrolment", "rule/credential"];

/// What the server found.
#[derive(Debug, Default)]
struct Found {
    by: Vec<String>,
    first: Option<Instant>,
}

/// Runs one scenario and reports what came of it.
pub(super) async fn rehearse(ground: &Ground<'_>, scenario: Scenario) -> Result<Value, Failure> {
    let identity = match scenario {
        Scenario::CredentialStuffing => None,
        _ => Some(ground.enrol(scenario).await?),
    };
    let device = identity.as_ref().map(|identity| identity.device().clone());
    let (started, started_at) = (Instant::now(), SystemClock.now());
    let (mut ended, mut found, mut who) = (None, Found::default(), None);
    let subject = device.as_ref().map(|device| format!("device/{device}"));
    {
        let attack = attack::run(ground, scenario, identity);
        tokio::pin!(attack);
        while started.elapsed() < ground.patience {
            let wants_end = ended.is_none() && scenario.must_be_ended();
            if !wants_end && found.first.is_some() {
                break;
            }
            tokio::select! {
                over = &mut attack, if ended.is_none() => ended = Some(over?),
                () = sleep(LOOK) => {}
            }
            let findings = ground.findings(subject.as_deref())?;
            found.take(findings, subject.as_deref(), started_at, &mut who);
        }
    }
    if let Some(device) = &device {
        ground.retire(device)?;
    }
    let subject = subject
        .or(who)
        .unwrap_or_else(|| "address/unknown".to_owned());
    Ok(report(
        scenario,
        &subject,
        (started, started_at),
        &found,
        ended.as_ref(),
    ))
}

impl Found {
    fn take(
        &mut self,
        findings: Vec<Value>,
        subject: Option<&str>,
        since: Timestamp,
        who: &mut Option<String>,
    ) {
        for finding in findings.into_iter().rev() {
            let text = |key: &str| finding[key].as_str().unwrap_or_default();
            let last_seen: Option<Timestamp> = text("last_seen").parse().ok();
            let detector = text("detector");
            let is_ours = match subject {
                Some(subject) => text("subject") == subject,
                None => {
                    text("subject").starts_with("address/")
                        && GUESSING.iter().any(|rule| detector.starts_with(rule))
                }
            };
            let is_new = last_seen.is_some_and(|seen| seen >= since - SKEW);
            if is_ours && is_new && !self.by.iter().any(|known| known == detector) {
                self.first.get_or_insert_with(Instant::now);
                who.get_or_insert_with(|| text("subject").to_owned());
                self.by.push(detector.to_owned());
            }
        }
    }
}

fn report(
    scenario: Scenario,
    subject: &str,
    (started, started_at): (Instant, Timestamp),
    found: &Found,
    ended: Option<&Ended>,
) -> Value {
    let after = |at: Instant| at.duration_since(started).as_millis() as u64;
    let passed = found.first.is_some() && (ended.is_some() || !scenario.must_be_ended());
    json!({
        "scenario": scenario.name(),
        "subject": subject,
        "started_at": started_at,
        "detected_by": found.by,
        "detected_after_ms": found.first.map(after),
        "contained_by": ended.map(|ended| ended.how.chars().take(400).collect::<String>()),
        "contained_after_ms": ended.map(|ended| after(ended.at)),
        "passed": passed,
    })
}
