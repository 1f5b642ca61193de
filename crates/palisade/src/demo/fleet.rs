//! The devices of the demo.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use palisade_agent::{
    Agent, AgentOptions, Cause, DeviceIdentity, Endpoint, Event, Events, Qos, enroll_in_memory,
};
use palisade_core::DeviceId;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    operator::Operator,
    picture::{Cell, Picture},
    server::Server,
};
use crate::failure::{Context, Failure};

/// Enrolments under way at once.
const AT_ONCE: usize = 8;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two readings of one device.
const BETWEEN_READINGS: Duration = Duration::from_millis(250);

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) identity: DeviceIdentity,
    pub(super) agent: Agent,
    events: Mutex<Option<Events>>,
}

/// All devices.
#[derive(Debug)]
pub(super) struct Fleet {
    devices: Vec<Device>,
    gateway: Endpoint,
    speaking: JoinSet<()>,
    stop: CancellationToken,
}

impl Device {
    /// Its own certificate, as DER.
    pub(super) fn certificate(&self) -> Result<&[u8], Failure> {
        let chain = self.identity.chain();
        let own = chain.first().map(|certificate| certificate.as_ref());
        own.ok_or_else(|| Failure::new(format!("{} has no certificate", self.id)))
    }

    /// What the device hears; of one listener.
    pub(super) fn take_events(&self) -> Result<Events, Failure> {
        let taken = self
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        taken.ok_or_else(|| Failure::new(format!("{} is listened to already", self.id)))
    }
}

impl Fleet {
    /// Makes the devices: each makes its key, enrols and connects.
    pub(super) async fn enrol(
        server: &Server,
        operator: &Operator,
        picture: &Arc<Picture>,
        count: u16,
    ) -> Result<Self, Failure> {
        let token = operator.enrolment_token(count).await?;
        let gateway: Endpoint = server.mqtt().parse()?;
        let devices_door = Endpoint::parse_url(&server.devices_url(), Endpoint::DEVICES_PORT)?;
        let mut fleet = Self {
            devices: Vec::new(),
            gateway: gateway.clone(),
            speaking: JoinSet::new(),
            stop: CancellationToken::new(),
        };
        let mut enrolling = JoinSet::new();
        let mut next = 0;
        while next < count || !enrolling.is_empty() {
            while next < count && enrolling.len() < AT_ONCE {
                let (url, root, token) = (
                    server.devices_url(),
                    server.root_pem().to_owned(),
                    token.clone(),
                );
                let id = DeviceId::parse(&format!("thermostat-{next:02}"))?;
                let index = usize::from(next);
                enrolling.spawn(async move {
                    let identity = enroll_in_memory(&url, &root, &id, &token).await;
                    (index, id, identity)
                });
                next += 1;
            }
            if let Some(enrolled) = enrolling.join_next().await {
                let (index, id, identity) = enrolled?;
                let identity = identity.context(&id)?;
                picture.set(index, Cell::Enrolled);
                let mut options = AgentOptions::new(gateway.clone());
                options.devices = Some(devices_door.clone());
                let (agent, events) = Agent::connect(identity.clone(), options)?;
                let events = Mutex::new(Some(events));
                fleet.devices.push(Device {
                    id,
                    identity,
                    agent,
                    events,
                });
            }
        }
        fleet.devices.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(fleet)
    }

    /// Waits until all are in session, and lets them speak.
    pub(super) async fn wait_connected(&mut self, picture: &Picture) -> Result<(), Failure> {
        for (index, device) in self.devices.iter().enumerate() {
            let connected = timeout(PATIENCE, device.agent.connected()).await;
            if !matches!(connected, Ok(true)) {
                return Err(Failure::new(format!("{} did not connect", device.id)));
            }
            picture.set(index, Cell::Connected);
            let commands = format!("devices/{}/commands/#", device.id);
            device.agent.subscribe(&commands, Qos::AtLeastOnce).await?;
            let (agent, topic) = (
                device.agent.clone(),
                format!("devices/{}/telemetry/temperature", device.id),
            );
            let until = self.stop.clone();
            self.speaking.spawn(async move {
                until.run_until_cancelled(speak(agent, topic, index)).await;
            });
        }
        Ok(())
    }

    /// Which device will turn bad, and one that it will speak for.
    pub(super) fn bad_one(&self) -> (usize, &Device, &Device) {
        let index = self.devices.len() / 3;
        (
            index,
            &self.devices[index],
            &self.devices[self.devices.len() - 1],
        )
    }

    /// Shows which device will turn bad.
    pub(super) fn mark_bad_one(&self, picture: &Picture) {
        picture.set(self.bad_one().0, Cell::Bad);
    }

    /// Connects once more with the device's certificate; when the server refused it by name.
    pub(super) async fn reconnect(&self, device: &Device) -> Result<Option<Instant>, Failure> {
        Ok(self
            .refusal(device)
            .await?
            .and_then(|(at, cause)| matches!(cause, Cause::Refused { .. }).then_some(at)))
    }

    /// The same once its certificate is revoked: then TLS itself ends.
    pub(super) async fn handshake_refused(
        &self,
        device: &Device,
    ) -> Result<Option<Instant>, Failure> {
        Ok(self.refusal(device).await?.and_then(|(at, cause)| {
            let is_shut_out = matches!(cause, Cause::Tls(_) | Cause::Network(_));
            is_shut_out.then_some(at)
        }))
    }

    async fn refusal(&self, device: &Device) -> Result<Option<(Instant, Cause)>, Failure> {
        let mut options = AgentOptions::new(self.gateway.clone());
        options.report = false;
        let (agent, mut events) = Agent::connect(device.identity.clone(), options)?;
        let refused = async {
            loop {
                match events.next().await? {
                    Event::Disconnected { cause, .. } => return Some((Instant::now(), cause)),
                    Event::Connected { .. } => return None,
                    _ => {}
                }
            }
        };
        let refused = timeout(PATIENCE, refused).await.unwrap_or(None);
        agent.close().await;
        Ok(refused)
    }

    /// Ends all sessions in good order.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.speaking.join_next().await.is_some() {}
        for device in self.devices {
            let _ = timeout(Duration::from_secs(1), device.agent.close()).await;
        }
    }
}

/// Publishes a temperature now and then.
async fn speak(agent: Agent, topic: String, index: usize) {
    // Not all at the same moment.
    sleep(BETWEEN_READINGS.mul_f64((index % 10) as f64 / 10.0)).await;
    for round in 0u32.. {
        let celsius = 20.0 + f64::from(round % 30) / 10.0 + index as f64 / 100.0;
        if agent
            .publish(&topic, format!("{celsius:.2}"), Qos::AtLeastOnce)
            .await
            .is_err()
        {
            return;
        }
        sleep(BETWEEN_READINGS).await;
    }
}
