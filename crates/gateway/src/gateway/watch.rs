//! Who is woken when what decisions depend on is different.

use std::{collections::HashSet, sync::Arc, time::Duration};

use palisade_bus::{Change, ChangeReceiver};
use palisade_core::DeviceId;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;

/// Policy hears of changes as this door does, and may need a moment to read what they are: whoever was
/// woken is woken once more.
const ECHO: Duration = Duration::from_millis(250);

/// Those to be woken once more.
#[derive(Debug, Default)]
struct Echo {
    all: bool,
    devices: HashSet<DeviceId>,
    at: Option<Instant>,
}

/// Hears changes and wakes the sessions concerned until cancelled. A session that is woken compares its
/// epochs and decides anew; one that is woken in vain goes back to sleep.
pub(super) async fn watch(
    broker: Arc<Broker>,
    mut changes: ChangeReceiver,
    cancel: CancellationToken,
) {
    let mut echo = Echo::default();
    loop {
        let at = echo.at;
        let change = tokio::select! {
            change = changes.recv() => change,
            () = sleep_until(at.unwrap_or_else(Instant::now)), if at.is_some() => {
                std::mem::take(&mut echo).wake(&broker);
                continue;
            }
            () = cancel.cancelled() => return,
        };
        match change {
            Some(Change::Posture { device, .. } | Change::Labels(device)) => {
                wake(&broker, &device);
                echo.devices.insert(device);
            }
            Some(Change::Policy) => {
                broker.wake_all_sessions();
                echo.all = true;
            }
            Some(Change::Revocation | Change::Resync) => {
                broker.note_revocation();
                broker.wake_all_sessions();
                echo.all = true;
            }
            // Our own certificates and those of makers: no session depends on them.
            Some(Change::Authority) => continue,
            None => {
                tracing::warn!("changes are not heard of any more");
                return cancel.cancelled().await;
            }
        }
        echo.at.get_or_insert_with(|| Instant::now() + ECHO);
    }
}

impl Echo {
    fn wake(self, broker: &Broker) {
        if self.all {
            broker.note_revocation();
            broker.wake_all_sessions();
        } else {
            self.devices.iter().for_each(|device| wake(broker, device));
        }
    }
}

fn wake(broker: &Broker, device: &DeviceId) {
    broker.wake_sessions_of(&device.clone().into());
}
