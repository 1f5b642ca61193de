//! One run of checks: each is looked at, written down, and told to detection.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use palisade_core::{AuditRunId, Confidence, Detector};
use palisade_store::{AuditResource, AuditResult, AuditState};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::{
    AuditError, AuditSource, Auditor, Check, access, activity, certificates,
    look::{Look, LookError, Noted},
    people, server, tokens,
};
use crate::{Alarm, Signal, Subject};

/// Findings of one check; what is beyond is one finding about the fleet.
const MAX_FINDINGS: usize = 1_000;
/// Runs that are kept.
const KEPT_RUNS: u32 = 50;
const PAGE: u32 = 500;

/// A run that has begun and waits to be done.
#[must_use = "a run that is not finished is one that was interrupted"]
pub struct Audit {
    pub(super) auditor: Arc<Auditor>,
    pub(super) source: Arc<dyn AuditSource>,
    pub(super) id: AuditRunId,
    pub(super) checks: BTreeSet<Check>,
    /// One run at a time.
    pub(super) _turn: OwnedMutexGuard<()>,
}

impl Audit {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> AuditRunId {
        self.id
    }

    /// Does it. Ends early where `cancel` says so; the run is then one that was interrupted.
    ///
    /// # Errors
    /// When what was found cannot be written down. A check that fails is a result and no error.
    pub async fn finish(self, cancel: &CancellationToken) -> Result<(), AuditError> {
        let parts = &self.auditor.parts;
        self.auditor.gathered.write(&parts.store).await?;
        for check in &self.checks {
            if cancel.is_cancelled() {
                return Ok(());
            }
            self.check(*check, cancel).await?;
        }
        let audits = parts.store.audits();
        audits.end(self.id, parts.clock.now()).await?;
        audits.keep_newest(KEPT_RUNS).await?;
        Ok(())
    }

    async fn check(&self, check: Check, cancel: &CancellationToken) -> Result<(), AuditError> {
        let parts = &self.auditor.parts;
        let look = Look {
            store: &parts.store,
            source: self.source.as_ref(),
            config: &parts.config.audit,
            now: parts.clock.now(),
            cancel,
        };
        let mut noted = Noted::default();
        let looked = look_at(check, &look, &mut noted).await;
        let (state, note) = match &looked {
            Err(LookError::Cancelled) => return Ok(()),
            Err(error) => {
                tracing::warn!(%check, %error, "an audit check could not look");
                (AuditState::Failed, Some(error.to_string()))
            }
            Ok(()) if noted.count == 0 => (AuditState::Compliant, None),
            Ok(()) => (AuditState::NonCompliant, None),
        };
        let result = AuditResult {
            run: self.id,
            check: check.as_str().to_owned(),
            state,
            looked_at: noted.looked_at,
            non_compliant: noted.count,
            listed: noted.listed.len() as u64,
            note,
            ended_at: parts.clock.now(),
        };
        let audits = parts.store.audits();
        audits.put(&result, &noted.listed).await?;
        if looked.is_ok() {
            self.raise(check, &noted).await;
            if noted.is_complete() {
                self.auditor.clear_mended(self.id, check).await?;
            }
        }
        Ok(())
    }

    /// Tells detection what is not as it should be, one finding a subject.
    async fn raise(&self, check: Check, noted: &Noted) {
        let mut by_subject: BTreeMap<&str, Vec<&AuditResource>> = BTreeMap::new();
        for resource in &noted.listed {
            by_subject
                .entry(&resource.subject)
                .or_default()
                .push(resource);
        }
        let surplus = noted.count - noted.listed.len() as u64;
        let beyond = by_subject.values().skip(MAX_FINDINGS).map(Vec::len);
        let unsaid = beyond.sum::<usize>() as u64 + surplus;
        for (subject, resources) in by_subject.into_iter().take(MAX_FINDINGS) {
            let Some(subject) = Subject::parse(subject) else {
                continue;
            };
            let detail = match resources.as_slice() {
                [] => continue,
                [one] => one.detail.clone(),
                [first, rest @ ..] => format!("{}; and {} more", first.detail, rest.len()),
            };
            self.auditor
                .submit(self.alarm(check, subject, detail))
                .await;
        }
        if unsaid > 0 {
            let detail = format!(
                "{unsaid} more than are told one by one; audit run {} counts them",
                self.id
            );
            self.auditor
                .submit(self.alarm(check, Subject::Fleet, detail))
                .await;
        }
    }

    fn alarm(&self, check: Check, subject: Subject, detail: String) -> Signal {
        let about = check.about();
        Signal::Raise(Alarm {
            detector: Detector::Audit(check.as_str().to_owned()),
            title: about.title.to_owned(),
            severity: about.severity,
            confidence: Confidence::new(about.confidence),
            detail,
            techniques: Vec::new(),
            subject,
            source: None,
            evidence: Vec::new(),
            at: self.auditor.parts.clock.now(),
        })
    }
}

async fn look_at(check: Check, look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    match check {
        Check::CertificateExpiring => certificates::expiring(look, noted).await,
        Check::DeadCertificateUsed => certificates::dead_used(look, noted).await,
        Check::SharedKey => certificates::shared_keys(look, noted).await,
        Check::WeakKey => certificates::weak_keys(look, noted).await,
        Check::AuthorityExpiring => certificates::authority(look, noted).await,
        Check::CrlStale => {
            certificates::crl(look, noted);
            Ok(())
        }
        Check::ConflictingClient => activity::conflicting(look, noted).await,
        Check::ContainedDeviceActive => activity::contained(look, noted).await,
        Check::StaleFirmware => activity::stale_firmware(look, noted).await,
        Check::DormantDevice => activity::dormant(look, noted).await,
        Check::PermissiveGrant => access::grants(look, noted).await,
        Check::UnusedGrant => access::unused_grants(look, noted).await,
        Check::PermissivePolicy => access::policies(look, noted).await,
        Check::BroadApiToken => tokens::api(look, noted).await,
        Check::BroadEnrolmentToken => tokens::enrolment(look, noted).await,
        Check::LoggingOff => server::logging(look, noted).await,
        Check::AccessFirstUse
        | Check::AccessUnusualHour
        | Check::AccessUnusualVolume
        | Check::AccessUnusualPlace => people::unusual(check, look, noted).await,
        Check::AccessReviewOverdue => people::review(look, noted).await,
    }
}

impl Auditor {
    /// Clears what a run did not find again.
    pub(super) async fn clear_mended(
        &self,
        run: AuditRunId,
        check: Check,
    ) -> Result<(), AuditError> {
        let mut after = String::new();
        loop {
            let audits = self.parts.store.audits();
            let part = audits.mended(run, check.as_str(), &after, PAGE).await?;
            let Some((last, _)) = part.last() else {
                return Ok(());
            };
            after.clone_from(last);
            for (_, subject) in &part {
                let Some(subject) = Subject::parse(subject) else {
                    continue;
                };
                self.submit(Signal::Clear {
                    detector: Detector::Audit(check.as_str().to_owned()),
                    subject,
                    at: self.parts.clock.now(),
                })
                .await;
            }
        }
    }
}
