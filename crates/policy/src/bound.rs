//! What policies and grants come to for one principal under one policy epoch and one posture epoch:
//! made at the first question after either moved, and shared by all sessions of the principal.

use std::sync::{Arc, OnceLock};

use palisade_core::{Action, Decision, DenyReason, Epoch, Principal, Request};

use crate::{
    cell::{Cell, Standing},
    engine::{Asker, Circumstances, actions_of},
    grants::BoundGrants,
    in_force::InForce,
    reads::Reads,
    restrict::InForceRestrictions,
};

/// Grants and attributes of one principal, and what was decided from them alone.
#[derive(Debug)]
pub(crate) struct Bound {
    policy: Epoch,
    posture: Epoch,
    grants: BoundGrants,
    asker: Result<Asker, Arc<str>>,
    // Where no policy of an action reads anything of the request, one verdict holds for them all.
    verdicts: [OnceLock<Decision>; Action::ALL.len()],
}

impl Bound {
    /// What is bound for a cell, remade if an epoch moved; `None` where the principal is not known.
    pub(crate) fn of(
        cell: &Cell,
        standing: &Standing,
        in_force: &InForce,
        restrictions: &InForceRestrictions,
    ) -> Option<Arc<Self>> {
        if matches!(standing, Standing::Unread | Standing::Gone) {
            return None;
        }
        let (policy, posture) = (in_force.epoch, standing.epoch());
        let made = cell.bound();
        if let Some(bound) = &*made
            && (bound.policy, bound.posture) == (policy, posture)
        {
            return Some(bound.clone());
        }
        let (grants, asker) = match (cell.principal(), standing) {
            (Principal::Device(id), Standing::Device(known)) => (
                match restrictions.of(id) {
                    None => in_force.grants.bind_device(id, known),
                    Some(held) => in_force.grants.bind_restricted(id, known, &held.topics),
                },
                Asker::device(id.as_str(), &known.product, &known.posture),
            ),
            (Principal::Service(id), Standing::Service) => (
                in_force.grants.bind_service(id),
                Asker::service(id.as_str()),
            ),
            _ => return None,
        };
        let verdicts = [const { OnceLock::new() }; Action::ALL.len()];
        let asker = asker.map_err(Arc::from);
        let bound = Arc::new(Self {
            policy,
            posture,
            grants,
            asker,
            verdicts,
        });
        cell.set_bound(&bound);
        Some(bound)
    }

    pub(crate) fn grants(&self) -> &BoundGrants {
        &self.grants
    }

    /// Who asks, or why policies could not be asked.
    pub(crate) fn asker(&self) -> Result<&Asker, DenyReason> {
        let failed = |detail: &Arc<str>| DenyReason::EvaluationFailed {
            detail: detail.clone(),
        };
        self.asker.as_ref().map_err(failed)
    }

    /// What the policies say; grants are asked before.
    pub(crate) fn ask(
        &self,
        in_force: &InForce,
        request: &Request<'_>,
        around: impl Fn() -> Circumstances,
    ) -> Decision {
        let (first, second) = actions_of(request);
        let decision = self.ask_action(in_force, request, first, &around);
        match second.filter(|_| decision.is_allow()) {
            Some(second) => self.ask_action(in_force, request, second, &around),
            None => decision,
        }
    }

    fn ask_action(
        &self,
        in_force: &InForce,
        request: &Request<'_>,
        action: Action,
        around: &impl Fn() -> Circumstances,
    ) -> Decision {
        let ask = || match self.asker() {
            Ok(asker) => {
                in_force
                    .engine
                    .decide_action(asker, request, action, around())
                    .decision
            }
            Err(reason) => Decision::Deny(reason),
        };
        match self.verdicts.get(action as usize) {
            Some(verdict) if in_force.engine.reads(action) == Reads::default() => {
                verdict.get_or_init(ask).clone()
            }
            _ => ask(),
        }
    }
}
