//! The decision point: opened over the system of record, answering from memory.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use palisade_bus::{ChangeReceiver, SharedBus};
use palisade_core::{
    Clock, Decision, DenyReason, Epoch, Lifecycle, Request, Stamp,
    port::{EvidenceSource, Journal},
};
use palisade_store::{PolicyVersion, Store, StoreError};
use parking_lot::Mutex;

use crate::{
    DEFAULT_POLICIES, DEFAULT_TESTS, PdpStats, PolicyError, PolicyInfo, Subject,
    bound::Bound,
    cell::{Cell, Live, Standing},
    engine::Circumstances,
    in_force::{InForce, Stored, compile},
    restrict::InForceRestrictions,
    stats::Counters,
    told::Told,
    trust::Denials,
    uses::Uses,
};

/// The policy decision point.
pub struct Pdp {
    pub(crate) store: Store,
    pub(crate) bus: SharedBus,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) evidence: Vec<Arc<dyn EvidenceSource>>,
    pub(crate) in_force: ArcSwap<InForce>,
    /// Held while what is in force is replaced, never across an await.
    pub(crate) replacing: Mutex<()>,
    pub(crate) live: Arc<Live>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) denials: Denials,
    pub(crate) told: Told,
    pub(crate) restrictions: InForceRestrictions,
    pub(crate) uses: Uses,
    /// Listens from the moment of opening, so that `run` misses nothing.
    pub(crate) changes: Mutex<Option<ChangeReceiver>>,
}

/// A decision, and what it is valid for.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    pub(crate) stamp: Stamp,
}

impl Pdp {
    /// Opens the decision point over a store. Where no policies were ever applied, the shipped ones are
    /// put in force as version 1.
    ///
    /// # Errors
    /// When the store cannot be read or written, or its policies are not valid for this program.
    pub async fn open(
        store: Store,
        bus: SharedBus,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        evidence: Vec<Arc<dyn EvidenceSource>>,
    ) -> Result<Arc<Self>, PolicyError> {
        let changes = bus.changes();
        let restrictions = InForceRestrictions::read(&store).await?;
        let uses = Uses::default();
        let mut stored = Stored::read(&store, &uses).await?;
        if stored.version.is_none() {
            install_shipped(&store, &*clock).await?;
            stored = Stored::read(&store, &uses).await?;
        }
        let Some(version) = stored.version else {
            return Err(StoreError::NotFound("policy version 1".to_owned()).into());
        };
        let engine = compile(&version).await?;
        let in_force = InForce::first(stored.epoch, version, engine, stored.grants);
        let live = Arc::new(Live::default());
        live.set_policy_epoch(in_force.epoch);
        Ok(Arc::new(Self {
            store,
            bus,
            journal,
            clock,
            evidence,
            in_force: ArcSwap::from_pointee(in_force),
            replacing: Mutex::new(()),
            live,
            counters: Arc::default(),
            denials: Denials::default(),
            told: Told::default(),
            restrictions,
            uses,
            changes: Mutex::new(Some(changes)),
        }))
    }

    /// Decides a request, from memory.
    #[must_use]
    pub fn decide(&self, subject: &Subject, request: &Request<'_>) -> Decision {
        self.decide_stamped(subject, request).decision
    }

    pub(crate) fn decide_stamped(&self, subject: &Subject, request: &Request<'_>) -> Decided {
        let in_force = self.in_force.load();
        let standing = subject.cell.standing();
        let around = || Circumstances::new(subject.source(), self.clock.now());
        let decision = self.weigh(&subject.cell, &in_force, &standing, request, around);
        self.counters.decided(decision.is_allow());
        let stamp = Stamp {
            policy: in_force.epoch,
            posture: standing.epoch(),
        };
        Decided { decision, stamp }
    }

    /// The order of the questions: is the principal known, does its lifecycle end the question, does a
    /// grant cover the request, and do the policies permit it.
    fn weigh(
        &self,
        cell: &Cell,
        in_force: &InForce,
        standing: &Standing,
        request: &Request<'_>,
        around: impl Fn() -> Circumstances,
    ) -> Decision {
        if let Some(reason) = denied_before_policy(standing) {
            return Decision::Deny(reason);
        }
        let Some(bound) = Bound::of(cell, standing, in_force, &self.restrictions) else {
            return Decision::Deny(DenyReason::Unknown);
        };
        if !bound.grants().cover(request) {
            return Decision::Deny(DenyReason::NoGrant);
        }
        let decision = bound.ask(in_force, request, &around);
        if decision.is_allow() {
            bound.grants().mark(request);
        }
        if let (Some(shadow), Ok(asker)) = (&in_force.shadow, bound.asker()) {
            shadow.compare(
                (cell.principal(), standing),
                asker,
                request,
                &decision,
                around(),
            );
        }
        decision
    }

    /// Whether the device could open a session now. Counts nothing and shadows nothing.
    pub(crate) fn may_connect(&self, cell: &Cell) -> bool {
        let (in_force, standing) = (self.in_force.load(), cell.standing());
        if denied_before_policy(&standing).is_some() {
            return false;
        }
        let around = || Circumstances::new(cell.last_source(), self.clock.now());
        Bound::of(cell, &standing, &in_force, &self.restrictions)
            .is_some_and(|bound| bound.ask(&in_force, &Request::Connect, around).is_allow())
    }

    /// The version of the policies that is in force.
    #[must_use]
    pub fn policies(&self) -> Arc<PolicyVersion> {
        self.in_force.load().version.clone()
    }

    /// The policies in force, by id.
    #[must_use]
    pub fn policy_infos(&self) -> Vec<PolicyInfo> {
        self.in_force.load().engine.infos().to_vec()
    }

    /// The epoch of the policies and grants in force, as decisions are stamped with it.
    #[must_use]
    pub fn policy_epoch(&self) -> Epoch {
        self.in_force.load().epoch
    }

    /// What was decided since the decision point was opened.
    #[must_use]
    pub fn stats(&self) -> PdpStats {
        self.counters.snapshot(self.live.count() as u64)
    }

    /// Puts something else in force. `replace` is given what is in force and says what is to be, or
    /// `None` to leave it.
    pub(crate) fn replace(&self, replace: impl FnOnce(&InForce) -> Option<InForce>) {
        let _replacing = self.replacing.lock();
        if let Some(next) = replace(&self.in_force.load()) {
            let epoch = next.epoch;
            self.in_force.store(Arc::new(next));
            // INVARIANT: after `in_force`, so that whoever reads the new epoch decides by the new.
            self.live.set_policy_epoch(epoch);
        }
    }
}

/// What ends the question before grants and policies are asked.
pub(crate) fn denied_before_policy(standing: &Standing) -> Option<DenyReason> {
    match standing {
        Standing::Unread | Standing::Gone => Some(DenyReason::Unknown),
        Standing::Service => None,
        Standing::Device(known) => match known.posture.lifecycle {
            Lifecycle::Registered | Lifecycle::Active => None,
            lifecycle @ (Lifecycle::Quarantined | Lifecycle::Revoked | Lifecycle::Retired) => {
                Some(DenyReason::Lifecycle { lifecycle })
            }
        },
    }
}

async fn install_shipped(store: &Store, clock: &dyn Clock) -> Result<(), PolicyError> {
    let version = PolicyVersion {
        version: 1,
        text: DEFAULT_POLICIES.to_owned(),
        tests: DEFAULT_TESTS.to_owned(),
        author: "palisade".to_owned(),
        reason: "the policies that Palisade ships".to_owned(),
        applied_at: clock.now(),
    };
    match store.policies().add(&version).await {
        // Another process was faster.
        Err(StoreError::Conflict(_)) => Ok(()),
        result => Ok(result?),
    }
}

impl fmt::Debug for Pdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pdp")
            .field("policy_epoch", &self.policy_epoch())
            .finish_non_exhaustive()
    }
}
