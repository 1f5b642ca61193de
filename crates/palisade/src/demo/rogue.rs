//! One device turns bad, and the clock runs until it is shut out at every door.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use palisade_agent::{Cause, Event, Events, Qos, SubscribeError};
use tokio::time::timeout;

use super::{
    answered::{self, Answered},
    fleet::{Device, Fleet},
    operator::Operator,
    picture::{Cell, Picture},
    report::{Report, Step},
};
use crate::failure::Failure;

/// Nothing here takes longer, or it is not going to happen.
const PATIENCE: Duration = Duration::from_secs(15);
/// "Not authorized" (MQTT 5, section 2.4).
const NOT_AUTHORIZED: u8 = 0x87;

/// What a misbehaving device sees of its own containment.
#[derive(Debug, Default)]
struct Seen {
    denied: Option<Instant>,
    closed: Option<Instant>,
}

/// Lets one device turn bad and reports what came of it, and when.
pub(super) async fn turn_bad(
    fleet: &Fleet,
    operator: &Operator,
    picture: &Arc<Picture>,
) -> Result<Report, Failure> {
    let (index, bad, victim) = fleet.bad_one();
    let mut events = bad.take_events()?;
    let first_act = Instant::now();
    picture.step(format!("{} publishes to {}'s topic", bad.id, victim.id));
    let answering = tokio::spawn({
        let (operator, id) = (operator.clone(), bad.id.clone());
        async move { answered::wait(&operator, &id, PATIENCE).await }
    });
    let seen = {
        let misbehaving = misbehave(bad, victim);
        tokio::pin!(misbehaving);
        tokio::select! {
            seen = watch(&mut events) => seen,
            failed = &mut misbehaving => failed?,
        }
    };
    if seen.closed.is_some() {
        picture.set(index, Cell::Contained);
        picture.step(format!("{}: the server closed its session", bad.id));
    }
    let refused = fleet.reconnect(bad).await?;
    if refused.is_some() {
        picture.step(format!("{} reconnects and is refused", bad.id));
    }
    let Answered { found, quarantined } = answering.await??;
    if let Some((detector, _)) = &found {
        picture.step(format!("detection: {detector}, about {}", bad.id));
    }
    if let Some((playbook, _)) = &quarantined {
        picture.step(format!("playbook {playbook} quarantines {}", bad.id));
    }
    picture.suspect(operator.suspect(&bad.id).await?);
    let why = operator.explain_connect(&bad.id).await?;
    picture.step(format!(
        "a person revokes {}, which cannot be undone",
        bad.id
    ));
    operator.revoke(&bad.id).await?;
    let listed = operator.wait_on_crl(bad.certificate()?, PATIENCE).await?;
    if listed.is_some() {
        picture.step(format!("the certificate of {} is on the CRL", bad.id));
    }
    picture.suspect(operator.suspect(&bad.id).await?);
    let shut_out = fleet.handshake_refused(bad).await?;
    let named = |what: &Option<(String, Instant)>| {
        what.as_ref().map_or("nothing", |(name, _)| name).to_owned()
    };
    let step = |name, words: &str, at: Option<Instant>| Step {
        name,
        words: words.to_owned(),
        after: at.map(|at| at.duration_since(first_act)),
    };
    Ok(Report {
        device: bad.id.to_string(),
        act: format!(
            "it published to {}'s topic,\ntried to subscribe to everything (#), and went on when it was denied",
            victim.id
        ),
        steps: in_order(vec![
            step(
                "first_denial",
                "its first bad message was denied",
                seen.denied,
            ),
            step(
                "session_closed",
                "its session was closed, by policy, with nobody awake",
                seen.closed,
            ),
            step(
                "found",
                &format!("detection found it ({})", named(&found)),
                found.as_ref().map(|(_, at)| *at),
            ),
            step(
                "quarantined",
                &format!(
                    "it was quarantined by playbook {}, in a case",
                    named(&quarantined)
                ),
                quarantined.as_ref().map(|(_, at)| *at),
            ),
            step(
                "reconnect_refused",
                "it reconnected and was refused",
                refused,
            ),
            step(
                "certificate_on_crl",
                "the one step that is left to a person: revoked, its certificate was on the CRL",
                listed,
            ),
            step(
                "handshake_refused",
                "the TLS handshake itself refused it",
                shut_out,
            ),
        ]),
        why,
        ..Report::default()
    })
}

/// As they happened; what did not happen comes last.
fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    steps.sort_by_key(|step| step.after.unwrap_or(Duration::MAX));
    steps
}

/// Publishes to another's topics, subscribes to everything, and floods, until the session is gone.
async fn misbehave(bad: &Device, victim: &Device) -> Result<Seen, Failure> {
    let topic = format!("devices/{}/telemetry/temperature", victim.id);
    bad.agent.publish(&topic, "99.9", Qos::AtLeastOnce).await?;
    match bad.agent.subscribe("#", Qos::AtLeastOnce).await {
        Ok(()) => return Err(Failure::new("a device may subscribe to everything")),
        // That is what is wanted; going on all the same is what makes it bad.
        Err(SubscribeError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    loop {
        bad.agent.publish(&topic, "99.9", Qos::AtLeastOnce).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the server has closed the session of the device.
async fn watch(events: &mut Events) -> Seen {
    let mut seen = Seen::default();
    let watching = async {
        while let Some(event) = events.next().await {
            match event {
                Event::Refused { .. } | Event::SubscriptionRefused { .. } => {
                    seen.denied.get_or_insert_with(Instant::now);
                }
                Event::Disconnected { cause, .. } => {
                    let is_ours = matches!(
                        cause,
                        Cause::Closed {
                            reason: NOT_AUTHORIZED,
                            ..
                        }
                    );
                    seen.closed = is_ours.then(Instant::now);
                    return;
                }
                _ => {}
            }
        }
    };
    let _ = timeout(PATIENCE, watching).await;
    seen
}
