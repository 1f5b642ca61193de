//! What can be done about a device here: its certificates revoked, its key replaced.

mod rotate;

use std::sync::{Arc, Weak};

use palisade_core::{
    Impact, Order, Principal, Target,
    port::{BoxFuture, EffectError, Effector, Objection, Parameters},
};
use serde_json::Value;

use crate::{Identity, RevocationReason};
use rotate::RotateCredential;

/// What can be done about a device here: `revoke-certificate` and `rotate-credential`.
#[must_use]
pub fn effectors(identity: &Weak<Identity>) -> Vec<Arc<dyn Effector>> {
    vec![
        Arc::new(RevokeCertificate(identity.clone())),
        Arc::new(RotateCredential(identity.clone())),
    ]
}

struct RevokeCertificate(Weak<Identity>);

impl Effector for RevokeCertificate {
    fn name(&self) -> &'static str {
        "revoke-certificate"
    }

    fn summary(&self) -> &'static str {
        "Revokes all certificates of a device: it has to enrol again. This cannot be undone."
    }

    fn impact(&self) -> Impact {
        Impact::Permanent
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        if let Some(name) = parameters.keys().find(|name| *name != "reason") {
            return Err(EffectError::Parameter {
                name: name.clone(),
                why: "there is no such parameter; there is reason".to_owned(),
            });
        }
        reason(parameters).map(drop)
    }

    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }

    fn objection<'a>(
        &'a self,
        target: &'a Target,
        _: &'a Parameters,
    ) -> BoxFuture<'a, Option<Objection>> {
        Box::pin(async move {
            let (Target::Device(device), Some(identity)) = (target, self.0.upgrade()) else {
                return None;
            };
            let held = identity.in_force_of(device).await.ok()?;
            let why = || format!("device {device} has no certificate that could be revoked");
            held.is_empty().then(|| Objection::Needless(why()))
        })
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            let Target::Device(device) = &order.target else {
                return Err(EffectError::NotApplicable("it is no device".to_owned()));
            };
            let Some(identity) = self.0.upgrade() else {
                return Err(EffectError::Failed("the server is shutting down".into()));
            };
            let principal = Principal::from(device.clone());
            // Those that are revoked already stay as they are: done twice it is done once.
            let revoked = identity
                .revoke_all_of(&principal, reason(&order.parameters)?)
                .await
                .map_err(|error| EffectError::Failed(Box::new(error)))?;
            tracing::debug!(%device, certificates = revoked.len(), "certificates were revoked by an action");
            Ok(None)
        })
    }

    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async {
            let why = "a revoked certificate stays revoked".to_owned();
            Err(EffectError::NotApplicable(why))
        })
    }
}

fn reason(parameters: &Parameters) -> Result<RevocationReason, EffectError> {
    let Some(found) = parameters.get("reason") else {
        return Ok(RevocationReason::PrivilegeWithdrawn);
    };
    let known = found.as_str().and_then(RevocationReason::parse);
    known.ok_or_else(|| EffectError::Parameter {
        name: "reason".to_owned(),
        why: RevocationReason::ALL
            .map(RevocationReason::as_str)
            .join(", "),
    })
}
