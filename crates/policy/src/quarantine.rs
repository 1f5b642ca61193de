//! Quarantine as an action: a device is contained, and released by the same action alone.

use std::sync::Weak;

use palisade_core::{
    Impact, Lifecycle, Order, Target,
    port::{BoxFuture, EffectError, Effector, Parameters},
};
use serde_json::{Value, json};

use crate::{Pdp, PostureError};

/// Under this and the action's name it is noted where a device stood, before it is moved: after a crash
/// between the two, nobody else could tell.
const NOTE: &str = "quarantine/";

pub(crate) struct Quarantine(pub(crate) Weak<Pdp>);

impl Effector for Quarantine {
    fn name(&self) -> &'static str {
        "quarantine"
    }

    fn summary(&self) -> &'static str {
        "Contains a device: no door serves it until it is released."
    }

    fn impact(&self) -> Impact {
        Impact::Full
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        no_parameters(parameters)
    }

    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move { contain(&*pdp(&self.0)?, order).await })
    }

    fn undo<'a>(
        &'a self,
        order: &'a Order,
        memory: &'a Value,
    ) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async move { release(&*pdp(&self.0)?, order, memory).await })
    }
}

async fn contain(pdp: &Pdp, order: &Order) -> Result<Option<Value>, EffectError> {
    let Target::Device(device) = &order.target else {
        return Err(EffectError::NotApplicable("it is no device".to_owned()));
    };
    let note = format!("{NOTE}{}", order.id);
    let settings = pdp.store.settings();
    let Some(posture) = pdp.posture(device).await.map_err(failed)? else {
        return Err(EffectError::NotApplicable(format!(
            "there is no device {device}"
        )));
    };
    let before = match settings
        .get(&note)
        .await
        .map_err(|error| EffectError::Failed(error.into()))?
    {
        Some(noted) => Lifecycle::parse(&String::from_utf8_lossy(&noted)),
        None => None,
    };
    let before = match (before, posture.lifecycle) {
        (Some(before), _) => before,
        (None, found @ (Lifecycle::Registered | Lifecycle::Active)) => {
            let put = settings.put(&note, found.as_str().as_bytes()).await;
            put.map_err(|error| EffectError::Failed(error.into()))?;
            found
        }
        (None, Lifecycle::Quarantined) => {
            // Somebody else contained it, and somebody else releases it.
            return Ok(None);
        }
        (None, found @ (Lifecycle::Revoked | Lifecycle::Retired)) => {
            return Err(EffectError::NotApplicable(format!(
                "device {device} is {found}"
            )));
        }
    };
    match pdp
        .set_lifecycle(device, Lifecycle::Quarantined, &order.reason)
        .await
    {
        // It is contained and told to all; the journal is told again with the action itself.
        Ok(_) | Err(PostureError::Journal(_)) => Ok(Some(json!({ "before": before.as_str() }))),
        Err(error) => Err(failed(error)),
    }
}

async fn release(pdp: &Pdp, order: &Order, memory: &Value) -> Result<(), EffectError> {
    let Target::Device(device) = &order.target else {
        return Err(EffectError::NotApplicable("it is no device".to_owned()));
    };
    let before = memory.get("before").and_then(Value::as_str);
    let before = before
        .and_then(Lifecycle::parse)
        .unwrap_or(Lifecycle::Active);
    let Some(posture) = pdp.posture(device).await.map_err(failed)? else {
        return Err(EffectError::NotApplicable(format!(
            "there is no device {device}"
        )));
    };
    let note = format!("{NOTE}{}", order.id);
    if posture.lifecycle == Lifecycle::Quarantined {
        let reason = format!("the action {} is over", order.id);
        // Forgiven first: released with the trust that it has now, it could contain itself again at once.
        pdp.forgive(device, &reason).await.map_err(failed)?;
        match pdp.set_lifecycle(device, before, &reason).await {
            Ok(_) | Err(PostureError::Journal(_)) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let settings = pdp.store.settings();
    let taken = settings.take(&note, before.as_str().as_bytes()).await;
    taken
        .map(drop)
        .map_err(|error| EffectError::Failed(error.into()))
}

fn failed(error: PostureError) -> EffectError {
    match error {
        PostureError::Unknown | PostureError::Step(_) => {
            EffectError::NotApplicable(error.to_string())
        }
        error => EffectError::Failed(error.into()),
    }
}

/// The decision point, while the server runs.
pub(crate) fn pdp(pdp: &Weak<Pdp>) -> Result<std::sync::Arc<Pdp>, EffectError> {
    pdp.upgrade()
        .ok_or_else(|| EffectError::Failed("the server is shutting down".into()))
}

pub(crate) fn no_parameters(parameters: &Parameters) -> Result<(), EffectError> {
    match parameters.keys().next() {
        Some(name) => Err(EffectError::Parameter {
            name: name.clone(),
            why: "there is no such parameter; this action has none".to_owned(),
        }),
        None => Ok(()),
    }
}
