//! What detection knows about devices: their product, segment and labels, held in memory for those that
//! are heard of.

use std::{collections::HashMap, sync::Arc};

use palisade_bus::Change;
use palisade_core::{DeviceId, Labels, Lifecycle, ProductId, SegmentId};
use palisade_store::{Store, StoreError};

/// The most devices that are held; beyond, all are forgotten and read again as they are heard of.
const MAX_HELD: usize = 200_000;

/// What is known about a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Which.
    pub id: DeviceId,
    /// Its type.
    pub product: ProductId,
    /// Where it lives.
    pub segment: SegmentId,
    /// What its operator says about it.
    pub labels: Labels,
    /// Where it stands in its life.
    pub lifecycle: Lifecycle,
}

/// Known devices.
#[derive(Debug)]
pub(crate) struct Directory {
    store: Store,
    held: HashMap<DeviceId, Option<Arc<Known>>>,
}

impl Directory {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            held: HashMap::new(),
        }
    }

    /// Looks a device up.
    pub(crate) async fn find(&mut self, id: &DeviceId) -> Result<Option<Arc<Known>>, StoreError> {
        if let Some(held) = self.held.get(id) {
            return Ok(held.clone());
        }
        let found = self.store.devices().find(id).await?.map(|device| {
            Arc::new(Known {
                id: device.id,
                product: device.product,
                segment: device.posture.segment,
                labels: device.labels,
                lifecycle: device.posture.lifecycle,
            })
        });
        if self.held.len() >= MAX_HELD {
            self.held.clear();
        }
        self.held.insert(id.clone(), found.clone());
        Ok(found)
    }

    /// Forgets what a change made untrue.
    pub(crate) fn heed(&mut self, change: &Change) {
        match change {
            Change::Posture { device, .. } | Change::Labels(device) => {
                self.held.remove(device);
            }
            Change::Resync => self.held.clear(),
            Change::Policy | Change::Revocation | Change::Authority => {}
        }
    }

    /// Forgets that a device was not there: it may be by now.
    pub(crate) fn forget_absent(&mut self) {
        self.held.retain(|_, held| held.is_some());
    }
}
