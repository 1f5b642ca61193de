//! A device as a row: registering and importing write the same columns.

use palisade_core::Device;

use crate::{StoreError, query_builder::Separated, row};

/// The columns that [`DeviceRow::bind`] gives, in its order.
pub(crate) const COLUMNS: &str =
    "id, product, labels, lifecycle, segment, trust, reasons, epoch, registered_at";

/// A device with what of it is JSON in the database.
pub(crate) struct DeviceRow<'a> {
    device: &'a Device,
    labels: String,
    reasons: String,
}

impl<'a> DeviceRow<'a> {
    pub(crate) fn all(devices: &'a [Device]) -> Result<Vec<Self>, StoreError> {
        let of = |device: &'a Device| {
            Ok(Self {
                device,
                labels: row::to_json(&device.labels, "labels")?,
                reasons: row::to_json(&device.posture.reasons, "reasons")?,
            })
        };
        devices.iter().map(of).collect()
    }

    pub(crate) fn bind(self, values: &mut Separated<'_>) {
        let (device, posture) = (self.device, &self.device.posture);
        values
            .push_bind(device.id.to_string())
            .push_bind(device.product.to_string())
            .push_bind(self.labels)
            .push_bind(posture.lifecycle.as_str())
            .push_bind(posture.segment.to_string())
            .push_bind(i64::from(posture.trust.value()))
            .push_bind(self.reasons)
            .push_bind(posture.epoch.0 as i64)
            .push_bind(row::nanos(device.registered_at));
    }
}
