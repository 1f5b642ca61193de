//! `rotate-credential`: the device gets a new certificate with a new key, and the old one ends.

use std::sync::{Arc, Weak};

use palisade_core::{
    DeviceId, Impact, Order, Target,
    port::{BoxFuture, EffectError, Effector, Parameters, Progress},
};
use serde_json::{Value, json};

use crate::{Identity, LONGEST_ROTATION_S, ROTATION_S, rotation::Asking};

/// What may be ordered about a device that does not follow.
const LATE: [(&str, Option<&str>); 3] = [
    ("ask", None),
    ("quarantine", Some("quarantine")),
    ("revoke-certificate", Some("revoke-certificate")),
];

pub(super) struct RotateCredential(pub(super) Weak<Identity>);

impl RotateCredential {
    fn open(&self) -> Result<Arc<Identity>, EffectError> {
        self.0
            .upgrade()
            .ok_or_else(|| EffectError::Failed("the server is shutting down".into()))
    }
}

impl Effector for RotateCredential {
    fn name(&self) -> &'static str {
        "rotate-credential"
    }

    fn summary(&self) -> &'static str {
        "Asks a device for a new key; its old certificates end when the new one is used. Can be cancelled until then."
    }

    fn impact(&self) -> Impact {
        Impact::Partial
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        let known = ["within_s", "keep_old_s", "if_late"];
        if let Some(name) = parameters
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(EffectError::Parameter {
                name: name.clone(),
                why: "there is no such parameter; there are within_s, keep_old_s and if_late"
                    .to_owned(),
            });
        }
        within(parameters)?;
        keep_old(parameters)?;
        if_late(parameters).map(drop)
    }

    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            let asking = Asking {
                action: order.id,
                device: device(order)?.clone(),
                within_s: within(&order.parameters)?,
                keep_old_s: keep_old(&order.parameters)?,
            };
            self.open()?.ask_for_new_key(&asking).await?;
            Ok(Some(json!({ "rotation": order.id })))
        })
    }

    fn look<'a>(
        &'a self,
        order: &'a Order,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<Progress, EffectError>> {
        Box::pin(async move {
            let then = if_late(&order.parameters)?;
            let progress = self.open()?.rotation_progress(order.id, then).await;
            progress.map_err(|error| EffectError::Failed(Box::new(error)))
        })
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn undo<'a>(
        &'a self,
        order: &'a Order,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async move { self.open()?.cancel_rotation(order.id).await })
    }
}

fn device(order: &Order) -> Result<&DeviceId, EffectError> {
    match &order.target {
        Target::Device(device) => Ok(device),
        _ => Err(EffectError::NotApplicable("it is no device".to_owned())),
    }
}

fn within(parameters: &Parameters) -> Result<u64, EffectError> {
    seconds(parameters, "within_s", 1, ROTATION_S)
}

fn keep_old(parameters: &Parameters) -> Result<u64, EffectError> {
    seconds(parameters, "keep_old_s", 0, ROTATION_S)
}

fn seconds(
    parameters: &Parameters,
    name: &str,
    least: u64,
    default: u64,
) -> Result<u64, EffectError> {
    let Some(found) = parameters.get(name) else {
        return Ok(default);
    };
    let number = found.as_u64();
    number
        .filter(|number| (least..=LONGEST_ROTATION_S).contains(number))
        .ok_or_else(|| EffectError::Parameter {
            name: name.to_owned(),
            why: format!("a whole number of seconds from {least} to {LONGEST_ROTATION_S}"),
        })
}

fn if_late(parameters: &Parameters) -> Result<Option<&'static str>, EffectError> {
    let Some(found) = parameters.get("if_late") else {
        return Ok(None);
    };
    let known = LATE.iter().find(|(name, _)| found.as_str() == Some(*name));
    known
        .map(|(_, then)| *then)
        .ok_or_else(|| EffectError::Parameter {
            name: "if_late".to_owned(),
            why: LATE.map(|(name, _)| name).join(", "),
        })
}
