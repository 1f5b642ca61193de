//! What the server itself tells one device: under `$palisade/devices/<id>/`, where no client publishes.

use std::sync::Arc;

use palisade_core::{DeviceId, Topic, port::DeviceLine};

use crate::{
    Gateway,
    message::{Manner, Message},
};

impl DeviceLine for Gateway {
    fn tell(&self, device: &DeviceId, about: &'static str, payload: &[u8], again: bool) {
        let kept = message(device, about, payload, 1);
        let Some(kept) = kept else {
            return;
        };
        // The part that asks is what remembers: it tells again after a restart.
        self.broker.retain_in_memory(&kept);
        let sent = match again {
            false => Some(kept),
            true => message(device, about, payload, 0),
        };
        if let Some(sent) = sent {
            self.broker.publish(&sent);
        }
    }

    fn withdraw(&self, device: &DeviceId, about: &'static str) {
        if let Some(nothing) = message(device, about, &[], 0) {
            self.broker.retain(&nothing);
            self.broker.publish(&nothing);
        }
    }
}

fn message(device: &DeviceId, about: &str, payload: &[u8], qos: u8) -> Option<Arc<Message>> {
    let topic = format!("$palisade/devices/{device}/{about}");
    let topic = Topic::parse(&topic).ok()?.to_owned();
    let manner = Manner {
        qos,
        retain: true,
        ..Manner::default()
    };
    Some(Message::new(topic, manner, &[], payload))
}
