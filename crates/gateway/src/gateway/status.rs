//! The server's own topics: counters below `$palisade/status/`, for whoever is granted them.

use std::{sync::Arc, time::Duration};

use palisade_core::Topic;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Broker, GatewayStats},
    message::{Manner, Message},
};

/// Publishes the counters every so often until cancelled, each as a retained message.
pub(super) async fn publish(broker: Arc<Broker>, every: Duration, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = cancel.cancelled() => return,
        }
        for message in messages(&broker.stats()) {
            broker.retain_in_memory(&message);
            broker.publish(&message);
        }
    }
}

/// One message for each counter, by its name in JSON.
fn messages(stats: &GatewayStats) -> Vec<Arc<Message>> {
    let Ok(serde_json::Value::Object(counters)) = serde_json::to_value(stats) else {
        return Vec::new();
    };
    let message = |(name, value): (String, serde_json::Value)| {
        let topic = format!("$palisade/status/{name}");
        let text = match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        let manner = Manner {
            retain: true,
            ..Manner::default()
        };
        let topic = Topic::parse(&topic).ok()?.to_owned();
        Some(Message::new(topic, manner, &[], text.as_bytes()))
    };
    counters.into_iter().filter_map(message).collect()
}
