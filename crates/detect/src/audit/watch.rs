//! What audits gather from the stream of events, bounded in memory and written down now and then.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use palisade_core::{
    DeviceId, Event, EventKind, Lifecycle, SessionEnd, Timestamp, port::BoxFuture,
};
use palisade_store::{DeviceVersion, Mark, Store, StoreError};
use parking_lot::Mutex;

use super::Check;
use crate::{DetectError, Feedback, Seen, Signal, Watcher};

/// Devices whose version waits to be written down. What is beyond is left out; it comes with the next
/// report, a day later.
const MAX_VERSIONS: usize = 20_000;
/// Marks that wait to be written down.
const MAX_MARKS: usize = 10_000;
/// Sessions of which it is remembered from where they came, or were taken over.
const MAX_RECENT: usize = 4_096;
/// Devices of which it is remembered that they are contained.
const MAX_CONTAINED: usize = 20_000;
/// The longest version, in characters.
const MAX_VERSION: usize = 64;

/// What waits to be written down.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    versions: Mutex<HashMap<DeviceId, DeviceVersion>>,
    marks: Mutex<HashMap<(Check, DeviceId), Mark>>,
}

impl Gathered {
    fn mark(&self, check: Check, device: &DeviceId, detail: String, at: Timestamp) {
        let mut marks = self.marks.lock();
        let key = (check, device.clone());
        if let Some(mark) = marks.get_mut(&key) {
            mark.seen += 1;
            (mark.detail, mark.last_at) = (detail, at);
        } else if marks.len() < MAX_MARKS {
            let mark = Mark {
                check: check.as_str().to_owned(),
                device: device.clone(),
                detail,
                seen: 1,
                last_at: at,
            };
            marks.insert(key, mark);
        }
    }

    fn version(&self, version: DeviceVersion) {
        let mut versions = self.versions.lock();
        if versions.len() < MAX_VERSIONS || versions.contains_key(&version.device) {
            versions.insert(version.device.clone(), version);
        }
    }

    /// Writes down what waits. What could not be written is lost and comes again.
    pub(crate) async fn write(&self, store: &Store) -> Result<(), StoreError> {
        let versions: Vec<DeviceVersion> = std::mem::take(&mut *self.versions.lock())
            .into_values()
            .collect();
        if !versions.is_empty() {
            store.compliance().put_versions(&versions).await?;
        }
        let marks: Vec<Mark> = std::mem::take(&mut *self.marks.lock())
            .into_values()
            .collect();
        if !marks.is_empty() {
            store.compliance().add_marks(&marks).await?;
        }
        Ok(())
    }
}

/// A map that forgets what came first.
struct Recent<V> {
    held: HashMap<String, V>,
    order: VecDeque<String>,
}

impl<V> Recent<V> {
    fn new() -> Self {
        Self {
            held: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn put(&mut self, key: String, value: V) {
        if self.held.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MAX_RECENT {
            if let Some(oldest) = self.order.pop_front() {
                self.held.remove(&oldest);
            }
        }
    }

    fn take(&mut self, key: &str) -> Option<V> {
        // Its place in the order stays until its turn comes; that it is not there then does no harm.
        self.held.remove(key)
    }
}

/// Gathers from the stream what audits speak of.
pub(crate) struct AuditWatch {
    gathered: Arc<Gathered>,
    store: Store,
    /// From where sessions were opened lately.
    opened: Recent<IpAddr>,
    /// From where sessions came that were taken over by one that was not seen yet.
    taken: Recent<IpAddr>,
    contained: HashMap<DeviceId, (Lifecycle, Timestamp)>,
}

impl AuditWatch {
    pub(crate) fn new(gathered: Arc<Gathered>, store: Store) -> Self {
        Self {
            gathered,
            store,
            opened: Recent::new(),
            taken: Recent::new(),
            contained: HashMap::new(),
        }
    }

    fn admitted(&mut self, event: &Event, device: &DeviceId, client_id: &str) {
        if let Some((lifecycle, since)) = self.contained.get(device)
            && event.time > *since
        {
            let detail = format!("it is {lifecycle} and was let in at {}", event.time);
            let check = Check::ContainedDeviceActive;
            self.gathered.mark(check, device, detail, event.time);
        }
        let Some(source) = event.source else {
            return;
        };
        if let Some(before) = self.taken.take(client_id) {
            self.conflict(device, event.time, before, source);
        }
        self.opened.put(client_id.to_owned(), source);
    }

    /// A session was taken over; by whom stands on the stream before or after this.
    fn taken_over(&mut self, event: &Event, device: &DeviceId, client_id: &str) {
        let Some(before) = event.source else {
            return;
        };
        match self.opened.held.get(client_id) {
            Some(now) if *now != before => {
                let now = *now;
                self.conflict(device, event.time, before, now);
            }
            _ => self.taken.put(client_id.to_owned(), before),
        }
    }

    fn conflict(&self, device: &DeviceId, at: Timestamp, before: IpAddr, now: IpAddr) {
        if before != now {
            let detail = format!("its session went from {before} to {now}");
            self.gathered
                .mark(Check::ConflictingClient, device, detail, at);
        }
    }

    fn stands(&mut self, device: &DeviceId, lifecycle: Lifecycle, at: Timestamp) {
        match lifecycle {
            Lifecycle::Registered | Lifecycle::Active => {
                self.contained.remove(device);
            }
            Lifecycle::Quarantined | Lifecycle::Revoked | Lifecycle::Retired => {
                if self.contained.len() < MAX_CONTAINED {
                    self.contained.insert(device.clone(), (lifecycle, at));
                }
            }
        }
    }
}

impl Watcher for AuditWatch {
    fn name(&self) -> &'static str {
        "audits"
    }

    fn observe(&mut self, seen: &Seen<'_>, _: &mut Vec<Signal>) {
        let Some(known) = seen.device else {
            return;
        };
        match &seen.event.kind {
            EventKind::Admitted { client_id, .. } => {
                self.admitted(seen.event, &known.id, client_id);
            }
            EventKind::Disconnected {
                client_id,
                end: SessionEnd::TakenOver,
                ..
            } => self.taken_over(seen.event, &known.id, client_id),
            EventKind::PostureChanged { lifecycle, .. } => {
                self.stands(&known.id, *lifecycle, seen.event.time);
            }
            EventKind::AgentReport { version, facts } => {
                let firmware = ["firmware", "version"]
                    .into_iter()
                    .find_map(|name| facts.get(name)?.as_str());
                let said = match firmware {
                    Some(firmware) => format!("firmware {firmware}"),
                    None => format!("agent {version}"),
                };
                self.gathered.version(DeviceVersion {
                    device: known.id.clone(),
                    product: known.product.clone(),
                    // No database takes every control character, and nobody wants one in a list.
                    version: said
                        .chars()
                        .filter(|c| !c.is_control())
                        .take(MAX_VERSION)
                        .collect(),
                    at: seen.event.time,
                });
            }
            _ => {}
        }
    }

    fn tick(&mut self, _: Timestamp, _: &mut Vec<Signal>) {}

    fn feedback(&mut self, _: &Feedback) {}

    fn save(&mut self) -> BoxFuture<'_, Result<(), DetectError>> {
        Box::pin(async { Ok(self.gathered.write(&self.store).await?) })
    }
}
