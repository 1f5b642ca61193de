//! Restricted devices: those whose grants count on a few topics only, as long as an action says so.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
};

use palisade_core::{
    DeviceId, Impact, Order, Posture, Target, TopicPattern,
    port::{BoxFuture, EffectError, Effector, Parameters},
};
use palisade_store::{Restriction, Store, StoreError};
use parking_lot::RwLock;
use serde_json::Value;

use crate::{Pdp, PostureError, posture::Next, quarantine::pdp};

/// Named sets of topics.
pub type GrantSets = BTreeMap<String, Vec<TopicPattern>>;

/// The restrictions in force.
#[derive(Debug, Default)]
pub(crate) struct InForceRestrictions(RwLock<HashMap<DeviceId, Arc<Restriction>>>);

impl InForceRestrictions {
    pub(crate) async fn read(store: &Store) -> Result<Self, StoreError> {
        let all = store.restrictions().all().await?;
        let by_device = all
            .into_iter()
            .map(|one| (one.device.clone(), Arc::new(one)));
        Ok(Self(RwLock::new(by_device.collect())))
    }

    /// What restricts a device.
    pub(crate) fn of(&self, device: &DeviceId) -> Option<Arc<Restriction>> {
        self.0.read().get(device).cloned()
    }

    fn put(&self, restriction: Restriction) {
        let device = restriction.device.clone();
        self.0.write().insert(device, Arc::new(restriction));
    }

    fn remove(&self, device: &DeviceId) {
        self.0.write().remove(device);
    }
}

impl Pdp {
    /// What restricts a device, if anything does.
    #[must_use]
    pub fn restriction(&self, device: &DeviceId) -> Option<Arc<Restriction>> {
        self.restrictions.of(device)
    }

    async fn restrict(&self, restriction: Restriction, reason: &str) -> Result<(), PostureError> {
        let device = restriction.device.clone();
        self.store.restrictions().put(&restriction).await?;
        // Before the epoch moves, so that whoever decides under the new one decides by this.
        self.restrictions.put(restriction);
        self.moved(&device, reason).await
    }

    async fn unrestrict(&self, order: &Order, device: &DeviceId) -> Result<(), PostureError> {
        self.store.restrictions().remove(device, order.id).await?;
        // Another action may have restricted it further meanwhile.
        if self
            .restrictions
            .of(device)
            .is_some_and(|held| held.action == order.id)
        {
            self.restrictions.remove(device);
        }
        self.moved(device, "its grants are restricted no longer")
            .await
    }

    /// Moves a device's epoch, so that its open sessions are decided anew.
    async fn moved(&self, device: &DeviceId, reason: &str) -> Result<(), PostureError> {
        let changed = self.change(device, |found| {
            Ok(Some(Next {
                posture: Posture::clone(&found.posture),
                reason: reason.to_owned(),
            }))
        });
        changed.await.map(drop)
    }
}

/// The action. Without sets (to check a playbook away from a server) any name is taken for one.
pub(crate) struct RestrictGrants {
    pub(crate) pdp: Weak<Pdp>,
    pub(crate) sets: Option<GrantSets>,
}

impl RestrictGrants {
    fn topics(&self, parameters: &Parameters) -> Result<&[TopicPattern], EffectError> {
        let wrong = |why: String| EffectError::Parameter {
            name: "set".to_owned(),
            why,
        };
        let name = parameters.get("set").and_then(Value::as_str);
        let name = name.ok_or_else(|| wrong("name a set of respond.grant_sets".to_owned()))?;
        let Some(sets) = &self.sets else {
            return Ok(&[]);
        };
        sets.get(name).map(Vec::as_slice).ok_or_else(|| {
            let names: Vec<&str> = sets.keys().map(String::as_str).collect();
            wrong(match names.is_empty() {
                true => "the configuration has no [respond.grant_sets]".to_owned(),
                false => format!("there is no such set; there is {}", names.join(", ")),
            })
        })
    }
}

impl Effector for RestrictGrants {
    fn name(&self) -> &'static str {
        "restrict-grants"
    }

    fn summary(&self) -> &'static str {
        "Lets a device's grants count on a named set of topics only."
    }

    fn impact(&self) -> Impact {
        Impact::Partial
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        if let Some(name) = parameters.keys().find(|name| *name != "set") {
            return Err(EffectError::Parameter {
                name: name.clone(),
                why: "there is no such parameter; there is set".to_owned(),
            });
        }
        self.topics(parameters).map(drop)
    }

    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            let Target::Device(device) = &order.target else {
                return Err(EffectError::NotApplicable("it is no device".to_owned()));
            };
            let restriction = Restriction {
                device: device.clone(),
                action: order.id,
                topics: self.topics(&order.parameters)?.to_vec(),
            };
            let restricted = pdp(&self.pdp)?.restrict(restriction, &order.reason).await;
            done(restricted).map(|()| Some(Value::Bool(true)))
        })
    }

    fn undo<'a>(
        &'a self,
        order: &'a Order,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async move {
            let Target::Device(device) = &order.target else {
                return Err(EffectError::NotApplicable("it is no device".to_owned()));
            };
            done(pdp(&self.pdp)?.unrestrict(order, device).await)
        })
    }
}

fn done(result: Result<(), PostureError>) -> Result<(), EffectError> {
    match result {
        // It is in force and told to all; the journal is told again with the action itself.
        Ok(()) | Err(PostureError::Journal(_)) => Ok(()),
        Err(error @ (PostureError::Unknown | PostureError::Step(_))) => {
            Err(EffectError::NotApplicable(error.to_string()))
        }
        Err(error) => Err(EffectError::Failed(error.into())),
    }
}
