//! A fleet of devices whose every interval is played.

use std::net::IpAddr;

use palisade_core::{
    DeviceId, Door, Event, EventKind, Labels, Lifecycle, ProductId, SegmentId, SessionEnd,
    Timestamp,
};
use serde_json::json;

use crate::{
    Alarm, Known, Seen, Signal,
    baseline::{
        fleet::Fleet,
        metric::Metric,
        settings::{BaselineConfig, ProductSettings},
    },
};

pub(super) const INTERVAL_MS: i64 = 300_000;

pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) now: i64,
    pub(super) signals: Vec<Signal>,
    noise: u64,
}

impl World {
    pub(super) fn new(config: BaselineConfig) -> Self {
        Self {
            fleet: Fleet::new(config),
            // A Monday in 2026, at midnight.
            now: 1_767_571_200_000,
            signals: Vec::new(),
            noise: 88_172_645_463_325_252,
        }
    }

    pub(super) fn quick() -> Self {
        Self::new(BaselineConfig {
            learn_datapoints: 20,
            ..BaselineConfig::default()
        })
    }

    /// A number from 0 to 1, the same in each run.
    pub(super) fn chance(&mut self) -> f64 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        (self.noise >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About `mean`, as a sum of twelve chances is about its middle.
    pub(super) fn about(&mut self, mean: f64, spread: f64) -> u64 {
        let sum: f64 = (0..12).map(|_| self.chance()).sum();
        (mean + (sum - 6.0) * spread).max(0.0).round() as u64
    }

    pub(super) fn tell(&mut self, device: &str, kind: EventKind) {
        self.tell_at(device, self.now, kind);
    }

    pub(super) fn tell_at(&mut self, device: &str, at: i64, kind: EventKind) {
        self.tell_from(device, at, [10, 0, 0, 7].into(), kind);
    }

    pub(super) fn tell_from(&mut self, device: &str, at: i64, source: IpAddr, kind: EventKind) {
        let known = known(device);
        let time = Timestamp::from_millisecond(at).expect("a time");
        let event = Event::new(time, Door::Mqtt, kind)
            .about(known.id.clone())
            .from_source(source);
        let seen = Seen {
            position: 1,
            event: &event,
            device: Some(&known),
        };
        self.fleet.observe(&seen, &mut self.signals);
    }

    /// Lets time pass, tick by tick.
    pub(super) fn pass(&mut self, millis: i64) {
        let until = self.now + millis;
        while self.now < until {
            self.now = (self.now + 1_000).min(until);
            let now = Timestamp::from_millisecond(self.now).expect("a time");
            self.fleet.tick(now, &mut self.signals);
        }
    }

    /// One interval in which these devices publish so many messages of 100 bytes.
    pub(super) fn interval(&mut self, published: &[(&str, u64)]) {
        for (device, messages) in published {
            self.tell(device, statistics(*messages, 100));
        }
        self.pass(INTERVAL_MS);
    }

    /// Connects a device and lets it publish as it always does.
    pub(super) fn usual(&mut self, device: &str, intervals: u32) {
        self.tell(device, admitted());
        for _ in 0..intervals {
            let messages = self.about(60.0, 4.0);
            self.interval(&[(device, messages)]);
        }
    }

    pub(super) fn alarms(&mut self, metric: Metric) -> Vec<Alarm> {
        let is_of = |alarm: &Alarm| alarm.detector.id() == metric.as_str();
        self.signals
            .drain(..)
            .filter_map(|signal| match signal {
                Signal::Raise(alarm) if is_of(&alarm) => Some(alarm),
                _ => None,
            })
            .collect()
    }

    pub(super) fn set(&mut self, settings: ProductSettings) {
        settings.check().expect("settings");
        let product = ProductId::parse("cam").expect("valid");
        self.fleet.set_product(&product, settings);
    }

    pub(super) fn place(&self, device: &str) -> usize {
        self.fleet.index[&DeviceId::parse(device).expect("valid")]
    }
}

pub(super) fn known(device: &str) -> Known {
    Known {
        id: DeviceId::parse(device).expect("valid"),
        product: ProductId::parse("cam").expect("valid"),
        segment: SegmentId::parse("edge").expect("valid"),
        labels: Labels::default(),
        lifecycle: Lifecycle::Active,
    }
}

pub(super) fn statistics(messages: u64, size: u64) -> EventKind {
    EventKind::PublishStatistics {
        window_ms: 60_000,
        messages,
        bytes: messages * size,
        largest: size,
        messages_out: 2,
        bytes_out: 40,
        packets_in: messages + 5,
        packets_out: messages + 5,
    }
}

pub(super) fn admitted() -> EventKind {
    EventKind::Admitted {
        client_id: "c".into(),
        protocol: "mqtt 5".into(),
        serial: None,
        key_exchange: None,
    }
}

pub(super) fn disconnected(end: SessionEnd) -> EventKind {
    EventKind::Disconnected {
        client_id: "c".into(),
        end,
        duration_ms: 1,
        messages_in: 1,
        messages_out: 1,
    }
}

pub(super) fn report(ports: &[u16], destinations: &[&str]) -> EventKind {
    let facts = json!({
        "network.listening_ports": ports,
        "network.established": destinations.len(),
        "network.destinations": destinations,
    });
    let serde_json::Value::Object(facts) = facts else {
        panic!("an object");
    };
    EventKind::AgentReport {
        version: "1".into(),
        facts,
    }
}
