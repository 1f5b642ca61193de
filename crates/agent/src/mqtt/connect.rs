//! The CONNECT packet.

use std::{num::NonZeroU32, time::Duration};

use palisade_core::DeviceId;
use rmqtt_codec::{
    types::QoS,
    v5::{Connect, LastWill},
};

use crate::{
    message::Qos,
    options::{AgentOptions, Will},
};

pub(crate) fn connect(device: &DeviceId, options: &AgentOptions) -> Connect {
    let client_id = match &options.client_suffix {
        Some(suffix) => format!("{device}:{suffix}"),
        None => device.to_string(),
    };
    let session_expiry = seconds(options.session_expiry);
    Connect {
        clean_start: session_expiry == 0,
        keep_alive: u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX),
        session_expiry_interval_secs: session_expiry,
        max_packet_size: NonZeroU32::new(options.max_packet),
        last_will: options.will.as_ref().map(last_will),
        ..Connect::default()
    }
    .client_id(client_id)
    .receive_max(options.window)
}

fn last_will(will: &Will) -> LastWill {
    let delay = seconds(will.delay);
    LastWill {
        qos: match will.qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
        },
        retain: will.retain,
        topic: will.topic.as_str().into(),
        message: will.payload.clone(),
        will_delay_interval_sec: (delay > 0).then_some(delay),
        correlation_data: None,
        message_expiry_interval: None,
        content_type: None,
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
