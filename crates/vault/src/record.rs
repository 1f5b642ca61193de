//! A message as the vault keeps it.

use palisade_core::{Timestamp, port::Telemetry};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use crate::Wiped;

/// A message of a device, as it stands in the log. Texts were parsed at the door; what is read back was sealed
/// by this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// When it came, in nanoseconds since 1970.
    pub at: i64,
    /// Of which device.
    pub device: &'a str,
    /// What the device was an example of then.
    pub product: &'a str,
    /// The segment that it was in then.
    pub segment: &'a str,
    /// Where it was published to.
    pub topic: &'a str,
    /// How many days it is to be kept.
    pub days: u32,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the device asked to retain it.
    pub retain: bool,
    /// The properties of MQTT 5 that travel with it, as the wire has them.
    #[serde(with = "serde_bytes")]
    pub properties: &'a [u8],
    /// What it says.
    #[serde(with = "serde_bytes")]
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record of a message.
    #[must_use]
    pub fn of(message: &Telemetry<'a>) -> Self {
        Self {
            at: nanos(message.at),
            device: message.device.as_str(),
            product: message.product.as_str(),
            segment: message.segment.as_str(),
            topic: message.topic.as_str(),
            days: message.days,
            qos: message.qos,
            retain: message.retain,
            properties: message.properties,
            payload: message.payload,
        }
    }

    /// How many bytes it has at the most.
    pub(crate) fn most(&self) -> usize {
        let texts = [self.device, self.product, self.segment, self.topic];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        BESIDE + texts + self.properties.len() + self.payload.len()
    }

    /// Appends its bytes.
    pub(crate) fn put(&self, out: &mut Wiped) -> Result<(), postcard::Error> {
        postcard::serialize_with_flavor(self, Behind(out))
    }

    /// Reads one from the front of `bytes`, and gives what is left of them.
    pub(crate) fn take(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), postcard::Error> {
        postcard::take_from_bytes(bytes)
    }
}

/// What stands in a record beside its texts and bytes: a time, six lengths, and three small numbers.
const BESIDE: usize = 10 + 6 * 10 + 5 + 1 + 1;

/// Puts what is serialised behind what is there.
struct Behind<'a>(&'a mut Wiped);

impl Flavor for Behind<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> Result<(), postcard::Error> {
        self.0.put(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> Result<(), postcard::Error> {
        self.0.put(&[data]);
        Ok(())
    }

    fn finalize(self) -> Result<(), postcard::Error> {
        Ok(())
    }
}

/// Nanoseconds since 1970; the years that they cannot count are no times of messages.
fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}
