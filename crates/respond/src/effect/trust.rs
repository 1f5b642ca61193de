//! Lowering trust: points against a device, for as long as the action is in force.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
};

use palisade_core::{
    ActionId, ActionState, DeviceId, Impact, Order, Target, Timestamp, TrustReason,
    port::{BoxFuture, EffectError, Effector, EvidenceListener, EvidenceSource, Parameters},
};
use palisade_store::{ActionFilter, ActionRecord, Store, StoreError};
use parking_lot::RwLock;

use super::{only, wrong};

/// The name in playbooks.
const NAME: &str = "lower-trust";
/// Actions read at once when it is opened.
const PAGE: u32 = 1_000;

/// What playbooks hold against devices: evidence for their trust.
#[derive(Default)]
pub struct LoweredTrust {
    held: RwLock<HashMap<DeviceId, Vec<Held>>>,
    listener: OnceLock<Weak<dyn EvidenceListener>>,
}

#[derive(Debug, Clone)]
struct Held {
    action: ActionId,
    points: u8,
    detail: String,
    since: Timestamp,
}

impl LoweredTrust {
    /// Takes up what is in force.
    ///
    /// # Errors
    /// When the system of record fails.
    pub async fn open(store: &Store) -> Result<Arc<Self>, StoreError> {
        let lowered = Self::default();
        let filter = ActionFilter {
            states: vec![ActionState::Done, ActionState::Undoing],
            action: Some(NAME.to_owned()),
            ..ActionFilter::default()
        };
        let mut before = None;
        loop {
            let page = store.actions().list(before, PAGE, &filter).await?;
            for ActionRecord { order, .. } in &page {
                lowered.hold(order);
            }
            before = match page.last() {
                Some(last) if page.len() == PAGE as usize => Some(last.order.id),
                _ => return Ok(Arc::new(lowered)),
            };
        }
    }

    /// Tells somebody at once when what is held changes. The first one is told.
    pub fn set_listener(&self, listener: Weak<dyn EvidenceListener>) {
        let _ = self.listener.set(listener);
    }

    fn hold(&self, order: &Order) -> Option<DeviceId> {
        let (Target::Device(device), Ok(points)) = (&order.target, points(&order.parameters))
        else {
            return None;
        };
        let held = Held {
            action: order.id,
            points,
            detail: order.reason.chars().take(200).collect(),
            // An action is named by when it was ordered.
            since: made_at(order.id),
        };
        let mut all = self.held.write();
        let of_device = all.entry(device.clone()).or_default();
        of_device.retain(|one| one.action != held.action);
        of_device.push(held);
        Some(device.clone())
    }

    fn release(&self, order: &Order) -> Option<DeviceId> {
        let Target::Device(device) = &order.target else {
            return None;
        };
        let mut all = self.held.write();
        let of_device = all.get_mut(device)?;
        of_device.retain(|one| one.action != order.id);
        if of_device.is_empty() {
            all.remove(device);
        }
        Some(device.clone())
    }

    fn tell(&self, device: Option<DeviceId>) {
        let listener = self.listener.get().and_then(Weak::upgrade);
        if let (Some(listener), Some(device)) = (listener, device) {
            listener.evidence_changed(&device);
        }
    }
}

impl EvidenceSource for LoweredTrust {
    fn evidence(&self, device: &DeviceId, _: Timestamp) -> Vec<TrustReason> {
        let all = self.held.read();
        let of_device = all.get(device).into_iter().flatten();
        of_device
            .map(|held| TrustReason {
                evidence: format!("action {NAME}"),
                points: held.points,
                detail: held.detail.clone(),
                since: held.since,
            })
            .collect()
    }
}

impl std::fmt::Debug for LoweredTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoweredTrust({} devices)", self.held.read().len())
    }
}

/// The action.
pub(super) struct LowerTrust(pub(super) Arc<LoweredTrust>);

impl Effector for LowerTrust {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Takes points from a device's trust; policies decide what it may still do."
    }

    fn impact(&self) -> Impact {
        Impact::Partial
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        only(parameters, &["points"])?;
        points(parameters).map(drop)
    }

    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }

    fn apply<'a>(
        &'a self,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<Option<serde_json::Value>, EffectError>> {
        Box::pin(async move {
            let device = self.0.hold(order);
            self.0.tell(device);
            Ok(Some(serde_json::Value::Bool(true)))
        })
    }

    fn undo<'a>(
        &'a self,
        order: &'a Order,
        _: &'a serde_json::Value,
    ) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async move {
            let device = self.0.release(order);
            self.0.tell(device);
            Ok(())
        })
    }
}

fn points(parameters: &Parameters) -> Result<u8, EffectError> {
    let found = parameters.get("points").and_then(|points| points.as_u64());
    match found.map(u8::try_from) {
        Some(Ok(points @ 1..=100)) => Ok(points),
        _ => Err(wrong("points", "a whole number of 1 to 100")),
    }
}

fn made_at(action: ActionId) -> Timestamp {
    i64::try_from(action.millis())
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
