//! Revoking, and the CRL (RFC 5280, section 5).
//!
//! A revocation is in force in memory, and on disk, before [`Identity::revoke`] returns. The CRL is for
//! others. While it is small it is made anew with each revocation, before that returns. A large one takes
//! a while, and ten thousand revocations must not make it ten thousand times: then those that came while
//! one was being made share the next, and [`Identity::run`] makes it after a pause nine times as long as
//! the making took. Serial numbers are random and 20 bytes long, so that the CRLs of all issuers list the
//! same ones.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use palisade_bus::Change;
use palisade_core::{DeviceId, Door, Event, EventKind, Principal, Serial, ServiceId, Timestamp};
use palisade_store::Revocation;
use parking_lot::Mutex;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use tokio::sync::Notify;

use crate::{
    Identity, IdentityError, RevocationReason,
    authority::{Authority, IssuingCa, later, moment},
    revocation::Revoked,
};

const CRL_COUNTER: &str = "crl_number";
/// A CRL that is made faster than this is made at once.
const SWIFT: Duration = Duration::from_millis(5);
/// Of the time, at most one part in this many goes to making CRLs.
const PAUSE: u32 = 9;
/// What a failed attempt counts as, so that the next waits a while.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A CRL of more entries is made off the runtime's threads.
const LARGE: usize = 2_000;

/// What is published, and how far it is behind.
#[derive(Default)]
pub(crate) struct Publisher {
    lists: ArcSwap<HashMap<String, Arc<Vec<u8>>>>,
    // Revocations that happened, and how many of them the published lists know.
    wanted: AtomicU64,
    published: AtomicU64,
    // One maker at a time, so that numbers and contents go up together. It is waited for, never polled.
    turn: tokio::sync::Mutex<()>,
    pace: Mutex<Option<Pace>>,
    due_at: AtomicI64,
    ends_at: AtomicI64,
    pub(crate) wake: Notify,
}

#[derive(Clone, Copy)]
struct Pace {
    ended: Instant,
    took: Duration,
}

impl Publisher {
    /// How long to wait before the next CRL may be made.
    pub(crate) fn pause(&self) -> Duration {
        match *self.pace.lock() {
            Some(pace) if pace.took > SWIFT => {
                (pace.took * PAUSE).saturating_sub(pace.ended.elapsed())
            }
            _ => Duration::ZERO,
        }
    }

    /// Whether there are revocations that the published lists do not know.
    pub(crate) fn is_behind(&self) -> bool {
        self.published.load(Ordering::SeqCst) < self.wanted.load(Ordering::SeqCst)
    }

    /// Whether the schedule asks for new lists.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now.as_second() >= self.due_at.load(Ordering::SeqCst)
    }
}

impl Identity {
    /// Revokes every certificate of a principal; returns those that were not revoked before.
    ///
    /// # Errors
    /// When the database or the journal fails, or the CRL cannot be made. What was revoked before the
    /// failure is revoked.
    pub async fn revoke_all_of(
        &self,
        principal: &Principal,
        reason: RevocationReason,
    ) -> Result<Vec<Serial>, IdentityError> {
        let revocation = self.revocation(reason);
        let certificates = self.store.certificates();
        let serials = certificates
            .revoke_all_of(&principal.to_string(), &revocation)
            .await?;
        let about = Some(principal.clone());
        self.note_revoked(&serials, about, revocation.at, reason)
            .await?;
        Ok(serials)
    }

    /// Revokes all certificates of a principal but some.
    pub(crate) async fn revoke_all_but(
        &self,
        principal: &Principal,
        keep: &[Serial],
        reason: RevocationReason,
    ) -> Result<Vec<Serial>, IdentityError> {
        let revocation = self.revocation(reason);
        let rotations = self.store.rotations();
        let serials = rotations
            .revoke_all_but(&principal.to_string(), keep, &revocation)
            .await?;
        let about = Some(principal.clone());
        self.note_revoked(&serials, about, revocation.at, reason)
            .await?;
        Ok(serials)
    }

    /// Revokes one certificate; `false` where it is not ours or is revoked already.
    ///
    /// # Errors
    /// When the database or the journal fails, or the CRL cannot be made. What was revoked before the
    /// failure is revoked.
    pub async fn revoke(
        &self,
        serial: &Serial,
        reason: RevocationReason,
    ) -> Result<bool, IdentityError> {
        let revocation = self.revocation(reason);
        let certificates = self.store.certificates();
        if !certificates.revoke(serial, &revocation).await? {
            return Ok(false);
        }
        let record = certificates.find(serial).await?;
        let about = record.and_then(|record| principal_of(&record.principal));
        self.note_revoked(&[*serial], about, revocation.at, reason)
            .await?;
        Ok(true)
    }

    fn revocation(&self, reason: RevocationReason) -> Revocation {
        Revocation {
            at: self.clock.now(),
            reason: reason.as_str().to_owned(),
        }
    }

    // It is on disk by now. In memory and at the doors first: those are what stops a device.
    async fn note_revoked(
        &self,
        serials: &[Serial],
        about: Option<Principal>,
        at: Timestamp,
        reason: RevocationReason,
    ) -> Result<(), IdentityError> {
        if serials.is_empty() {
            return Ok(());
        }
        self.revoked.add(serials, at, reason);
        let ticket = self.publisher.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        self.announce(Change::Revocation);
        let event = |serial: &Serial| {
            let kind = EventKind::CertificateRevoked {
                serial: *serial,
                reason: reason.as_str().to_owned(),
            };
            let mut event = Event::new(at, Door::Internal, kind);
            event.principal = about.clone();
            event
        };
        let journaled = self
            .journal
            .record(serials.iter().map(event).collect())
            .await;
        // Fail safe: the CRL goes out even where the ledger does not take the entry.
        let published = match self.publisher.pause() {
            Duration::ZERO => self.publish(ticket).await,
            _ => {
                self.publisher.wake.notify_one();
                Ok(())
            }
        };
        journaled?;
        published
    }

    /// The newest CRL of the current issuer, in DER.
    #[must_use]
    pub fn crl(&self) -> Option<Arc<Vec<u8>>> {
        self.crl_of(&self.issuer_id())
    }

    /// The newest CRL of an issuer (`/crl/<issuer>.crl`), in DER; those of earlier issuers are kept up
    /// until they end.
    #[must_use]
    pub fn crl_of(&self, issuer: &str) -> Option<Arc<Vec<u8>>> {
        self.publisher.lists.load().get(issuer).cloned()
    }

    /// Until when the newest CRL is valid; `None` where none was made.
    #[must_use]
    pub fn crl_valid_until(&self) -> Option<Timestamp> {
        match self.publisher.ends_at.load(Ordering::SeqCst) {
            0 => None,
            seconds => Timestamp::from_second(seconds).ok(),
        }
    }

    /// Makes new CRLs, whatever the schedule says.
    ///
    /// # Errors
    /// When the database or the journal fails, or a CRL cannot be signed.
    pub async fn refresh_crl(&self) -> Result<(), IdentityError> {
        let ticket = self.publisher.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        self.publish(ticket).await
    }

    // Makes new CRLs unless somebody else did, after the revocation that holds this ticket.
    async fn publish(&self, ticket: u64) -> Result<(), IdentityError> {
        let _turn = self.publisher.turn.lock().await;
        if self.publisher.published.load(Ordering::SeqCst) >= ticket {
            return Ok(());
        }
        let published = self.publish_now().await;
        if published.is_err() {
            *self.publisher.pace.lock() = Some(Pace {
                ended: Instant::now(),
                took: AFTER_FAILURE,
            });
        }
        published
    }

    async fn publish_now(&self) -> Result<(), IdentityError> {
        let publisher = &self.publisher;
        let covers = publisher.wanted.load(Ordering::SeqCst);
        let number = self.store.settings().next(CRL_COUNTER).await?;
        let started = Instant::now();
        let now = self.clock.now();
        let validity = self.config.crl_validity;
        let authority = self.authority.load_full();
        let revoked = self.revoked.list();
        let entries = revoked.len() as u64;
        let make = move || make_all(&authority, &revoked, number, now, validity);
        let lists = match entries as usize > LARGE {
            true => tokio::task::spawn_blocking(make)
                .await
                .map_err(|_| IdentityError::Stopped)??,
            false => make()?,
        };
        publisher.lists.store(Arc::new(lists));
        publisher.published.store(covers, Ordering::SeqCst);
        let due_at = now
            .as_second()
            .saturating_add((validity / 4).as_secs() as i64);
        publisher.due_at.store(due_at, Ordering::SeqCst);
        let ends_at = now.as_second().saturating_add(validity.as_secs() as i64);
        publisher.ends_at.store(ends_at, Ordering::SeqCst);
        *publisher.pace.lock() = Some(Pace {
            ended: Instant::now(),
            took: started.elapsed(),
        });
        let kind = EventKind::CrlIssued { number, entries };
        let event = Event::new(now, Door::Internal, kind);
        self.journal.record(vec![event]).await?;
        Ok(())
    }
}

fn make_all(
    authority: &Authority,
    revoked: &[Revoked],
    number: u64,
    now: Timestamp,
    validity: Duration,
) -> Result<HashMap<String, Arc<Vec<u8>>>, IdentityError> {
    let mut lists = HashMap::new();
    for issuer in authority.issuers() {
        // An earlier issuer whose key is gone has no CRL any more; the current one always signs.
        if issuer.signer.is_some() || issuer.id == authority.current.id {
            let list = make(issuer, revoked, number, now, validity)?;
            lists.insert(issuer.id.clone(), Arc::new(list));
        }
    }
    Ok(lists)
}

fn make(
    issuer: &IssuingCa,
    revoked: &[Revoked],
    number: u64,
    now: Timestamp,
    validity: Duration,
) -> Result<Vec<u8>, IdentityError> {
    let validity = time::Duration::try_from(validity).unwrap_or(time::Duration::DAY);
    let entry = |revoked: &Revoked| RevokedCertParams {
        serial_number: SerialNumber::from_slice(revoked.serial.as_bytes()),
        revocation_time: moment(revoked.at),
        reason_code: Some(revoked.reason.code()),
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: moment(now),
        next_update: later(moment(now), validity.max(time::Duration::MINUTE)),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::PreSpecified(issuer.key_id.clone()),
    };
    Ok(params.signed_by(issuer.signer()?)?.der().to_vec())
}

/// Reads `device/<id>` or `service/<id>`; the certificates of our own doors name neither.
fn principal_of(text: &str) -> Option<Principal> {
    match text.split_once('/')? {
        ("device", id) => DeviceId::parse(id).ok().map(Principal::from),
        ("service", id) => ServiceId::parse(id).ok().map(Principal::from),
        _ => None,
    }
}
