//! What an agent does now and then: renew the certificate, replace a key where the server asks for it, report version
//! and facts.

use std::{sync::Arc, time::Duration};

use palisade_core::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{Shared, Status};
use crate::{
    endpoint::Endpoint,
    est::{self, EnrolError},
    event::Event,
    identity::DeviceIdentity,
    report,
    state::StateError,
};

// The wall clock is looked at this often: it may be set while we sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
const SHORTEST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
const REPORT_INTERVAL: Duration = Duration::from_secs(24 * 3600);
const LONGEST_ROTATION_RETRY: Duration = Duration::from_secs(300);
const LATER: Duration = Duration::from_secs(600);

pub(super) struct Upkeep {
    shared: Arc<Shared>,
    identity: watch::Sender<DeviceIdentity>,
    status: watch::Receiver<Status>,
    events: mpsc::Sender<Event>,
    /// Held by whoever gets a certificate: two at once would be for two keys.
    at_work: tokio::sync::Mutex<()>,
}

/// Why there is no new certificate in force.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the new identity could not be kept: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Upkeep {
    pub(super) fn new(
        shared: Arc<Shared>,
        identity: watch::Sender<DeviceIdentity>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            status: shared.status.subscribe(),
            shared,
            identity,
            events,
            at_work: tokio::sync::Mutex::default(),
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(self) {
        let options = &self.shared.options;
        let devices = options.devices.as_ref();
        let renewing = async {
            match devices.filter(|_| options.renew) {
                Some(devices) => self.keep_renewing(devices).await,
                None => std::future::pending().await,
            }
        };
        let reporting = async {
            match devices.filter(|_| options.report) {
                Some(devices) => self.keep_reporting(devices).await,
                None => std::future::pending().await,
            }
        };
        let rotating = async {
            match devices.filter(|_| options.renew) {
                Some(devices) => self.keep_rotating(devices).await,
                None => std::future::pending().await,
            }
        };
        let ((), (), ()) = tokio::join!(renewing, rotating, reporting);
    }

    async fn keep_renewing(&self, devices: &Endpoint) {
        loop {
            let identity = self.identity.borrow().clone();
            sleep_until_due(&identity).await;
            let renewed = self.renew(devices, &identity).await;
            if let Err(error) = renewed {
                let wait = retry_after(&error, &identity);
                let retry_in_ms = wait.as_millis() as u64;
                tracing::warn!(%error, retry_in_ms, "the certificate cannot be renewed");
                let _ = self.events.try_send(Event::RenewalFailed {
                    why: error.to_string(),
                    not_after: identity.not_after(),
                });
                sleep(wait).await;
            } else {
                // A certificate may be so short that it is due when it comes.
                let left = left_of(&self.identity.borrow());
                sleep((left / 3).clamp(SHORTEST_RETRY, LONGEST_RETRY)).await;
            }
        }
    }

    /// Replaces the key for as long as the server asks for that.
    async fn keep_rotating(&self, devices: &Endpoint) {
        let mut asked = self.shared.asked.subscribe();
        loop {
            let identity = self.identity.borrow().clone();
            let is_asked = asked.borrow_and_update().is_about(identity.key_sha256());
            let wait = match is_asked {
                false => None,
                true => match self.renew(devices, &identity).await {
                    Ok(()) => continue,
                    Err(error) => {
                        let wait = retry_after(&error, &identity).min(LONGEST_ROTATION_RETRY);
                        let retry_in_ms = wait.as_millis() as u64;
                        tracing::warn!(%error, retry_in_ms, "the server asks for a new key, and there is no certificate for one");
                        Some(wait)
                    }
                },
            };
            let waiting = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = waiting => {}
                changed = asked.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    /// A new key and a certificate for it. On disk first: whatever happens after that, the agent starts with what the
    /// server knows. The key is kept until there is a certificate, so that a second attempt is with the same one.
    async fn renew(
        &self,
        devices: &Endpoint,
        identity: &DeviceIdentity,
    ) -> Result<(), RenewalError> {
        let _at_work = self.at_work.lock().await;
        if self.identity.borrow().key_sha256() != identity.key_sha256() {
            return Ok(());
        }
        let key = match self.shared.options.state.clone() {
            Some(state) => {
                let current = identity.key_sha256().to_owned();
                let asked = self.shared.asked.borrow().clone();
                let is_old = move |key: &str| key == current || asked.is_about(key);
                Some(tokio::task::spawn_blocking(move || state.next_key(is_old)).await??)
            }
            None => None,
        };
        let renewed = est::renew_with(devices, identity, key).await?;
        if let Some(state) = self.shared.options.state.clone() {
            let renewed = renewed.clone();
            tokio::task::spawn_blocking(move || state.save_identity(&renewed)).await??;
        }
        let not_after = renewed.not_after();
        tracing::info!(%not_after, "the certificate was renewed");
        self.shared
            .status
            .send_modify(|status| status.certificate_until = not_after);
        let _ = self.events.try_send(Event::Renewed { not_after });
        self.identity.send_replace(renewed);
        Ok(())
    }

    async fn keep_reporting(&self, devices: &Endpoint) {
        let mut status = self.status.clone();
        let mut due = Instant::now();
        loop {
            if status.wait_for(|status| status.connected).await.is_err() {
                return;
            }
            sleep_until(due).await;
            let identity = self.identity.borrow().clone();
            let sent = report::send(devices, &identity, &self.shared.options.version).await;
            due = Instant::now()
                + match sent {
                    Ok(()) => jittered(REPORT_INTERVAL),
                    Err(error) => {
                        tracing::warn!(%error, "the report cannot be sent");
                        jittered(LATER)
                    }
                };
            // The next one comes with the next connection, but not more often than it is retried.
            let soonest = Instant::now() + LATER;
            tokio::select! {
                () = sleep_until(due) => {}
                _ = status.wait_for(|status| !status.connected) => due = due.min(soonest),
            }
        }
    }
}

/// Waits until two thirds of the certificate's life, and a little longer by chance, so that devices which
/// enrolled together do not renew together.
async fn sleep_until_due(identity: &DeviceIdentity) {
    let spread = (identity.life() / 30).mul_f64(rand::random());
    let due = identity.renewal_due().checked_add(spread);
    let due = due.unwrap_or(identity.renewal_due());
    loop {
        let left = due.duration_since(Timestamp::now());
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => sleep(left.min(LONGEST_SLEEP)).await,
            _ => return,
        }
    }
}

fn retry_after(error: &RenewalError, identity: &DeviceIdentity) -> Duration {
    let asked = match error {
        RenewalError::Enrol(EnrolError::Later { seconds, .. }) => Duration::from_secs(*seconds),
        _ => Duration::ZERO,
    };
    let share = match left_of(identity) / 10 {
        // Only a hand can mend it, or a clock that is set right.
        Duration::ZERO => LATER,
        share => share,
    };
    jittered(share.max(asked).clamp(SHORTEST_RETRY, LONGEST_RETRY))
}

/// How long the certificate is still valid.
fn left_of(identity: &DeviceIdentity) -> Duration {
    let left = identity.not_after().duration_since(Timestamp::now());
    left.try_into().unwrap_or_default()
}

/// From three quarters of it to all of it.
fn jittered(whole: Duration) -> Duration {
    whole.mul_f64(0.75 + 0.25 * rand::random::<f64>())
}
