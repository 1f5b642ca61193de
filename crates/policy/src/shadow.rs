//! A shadow: candidate policies that are asked beside those in force and enforce nothing. What they
//! would change is counted and shown.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use palisade_core::{Action, Decision, DenyReason, PolicyId, Principal, Request, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    ApplyError, Pdp, PolicyProblem,
    cell::Standing,
    engine::{Asker, Circumstances, Engine},
};

/// The most kinds of difference that are told apart.
const MAX_DIFFERENCES: usize = 500;

/// What candidate policies would change.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowReport {
    /// The candidate text.
    pub text: String,
    /// Since when it is asked.
    pub since: Timestamp,
    /// Decisions compared. A decision that a session remembers was compared when it was made.
    pub compared: u64,
    /// Those of them that would be others.
    pub differing: u64,
    /// The kinds of difference, most frequent first.
    pub differences: Vec<ShadowDifference>,
    /// Differences counted in `differing` alone, because there were too many kinds.
    pub not_listed: u64,
}

/// One kind of difference: an action of a product or service that would be decided otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShadowDifference {
    /// The action.
    pub action: Action,
    /// `product <id>` or `service <id>`.
    pub who: String,
    /// The decision in force, `allow` or why not.
    pub from: String,
    /// The decision of the candidate.
    pub to: String,
    /// Whether the candidate would allow.
    pub would_allow: bool,
    /// How often.
    pub count: u64,
    /// The first principal that it happened to.
    pub example: Principal,
    /// The first topic or filter that it happened on; empty where there is none.
    pub topic: String,
    /// The candidate's policies behind it.
    pub policies: Vec<PolicyId>,
    /// When it was first seen.
    pub first_at: Timestamp,
}

/// A candidate being asked.
#[derive(Debug)]
pub(crate) struct Shadow {
    text: String,
    engine: Engine,
    since: Timestamp,
    compared: AtomicU64,
    differing: AtomicU64,
    not_listed: AtomicU64,
    differences: Mutex<HashMap<Kind, ShadowDifference>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    action: Action,
    who: String,
    // Why it is denied; `None` where it is allowed.
    from: Option<DenyReason>,
    to: Option<DenyReason>,
}

impl Shadow {
    pub(crate) fn new(text: &str, since: Timestamp) -> Result<Self, Vec<PolicyProblem>> {
        Ok(Self {
            text: text.to_owned(),
            engine: Engine::new(text)?,
            since,
            compared: AtomicU64::new(0),
            differing: AtomicU64::new(0),
            not_listed: AtomicU64::new(0),
            differences: Mutex::default(),
        })
    }

    /// Asks the candidate what was just decided by the policies in force.
    pub(crate) fn compare(
        &self,
        who: (&Principal, &Standing),
        asker: &Asker,
        request: &Request<'_>,
        decision: &Decision,
        around: Circumstances,
    ) {
        let candidate = self.engine.decide(asker, request, around);
        self.compared.fetch_add(1, Ordering::Relaxed);
        // Two denials for different reasons are no difference to the one who asked.
        if candidate.decision.is_allow() == decision.is_allow() {
            return;
        }
        self.differing.fetch_add(1, Ordering::Relaxed);
        let (principal, standing) = who;
        let kind = Kind {
            action: request.action(),
            who: group(principal, standing),
            from: reason(decision),
            to: reason(&candidate.decision),
        };
        let mut differences = self.differences.lock();
        if let Some(difference) = differences.get_mut(&kind) {
            difference.count += 1;
        } else if differences.len() < MAX_DIFFERENCES {
            let difference = ShadowDifference {
                action: kind.action,
                who: kind.who.clone(),
                from: describe(kind.from.as_ref()),
                to: describe(kind.to.as_ref()),
                would_allow: kind.to.is_none(),
                count: 1,
                example: principal.clone(),
                topic: request.resource().to_owned(),
                policies: candidate.policies,
                first_at: around.now,
            };
            differences.insert(kind, difference);
        } else {
            self.not_listed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn report(&self) -> ShadowReport {
        let mut differences: Vec<_> = self.differences.lock().values().cloned().collect();
        differences.sort_by(|a, b| b.count.cmp(&a.count).then(a.first_at.cmp(&b.first_at)));
        ShadowReport {
            text: self.text.clone(),
            since: self.since,
            compared: self.compared.load(Ordering::Relaxed),
            differing: self.differing.load(Ordering::Relaxed),
            differences,
            not_listed: self.not_listed.load(Ordering::Relaxed),
        }
    }
}

impl Pdp {
    /// Asks candidate policies beside those in force from now on, in place of a candidate before. They
    /// enforce nothing. The policy epoch moves in this process, so that what sessions remember is asked
    /// anew and seen by the candidate.
    ///
    /// # Errors
    /// When the text is not valid.
    pub fn start_shadow(&self, text: &str) -> Result<(), ApplyError> {
        let shadow = Shadow::new(text, self.clock.now()).map_err(ApplyError::Problems)?;
        self.replace(|in_force| Some(in_force.with_shadow(Some(Arc::new(shadow)))));
        Ok(())
    }

    /// What the candidate would change so far; `None` where none is asked.
    #[must_use]
    pub fn shadow_report(&self) -> Option<ShadowReport> {
        self.in_force
            .load()
            .shadow
            .as_ref()
            .map(|shadow| shadow.report())
    }

    /// Stops asking the candidate and returns the last report; `None` where none was asked.
    pub fn stop_shadow(&self) -> Option<ShadowReport> {
        let mut stopped = None;
        self.replace(|in_force| {
            stopped = in_force.shadow.clone();
            stopped.is_some().then(|| in_force.with_shadow(None))
        });
        stopped.map(|shadow| shadow.report())
    }
}

fn group(principal: &Principal, standing: &Standing) -> String {
    match standing {
        Standing::Device(known) => format!("product {}", known.product),
        Standing::Unread | Standing::Service | Standing::Gone => {
            format!("{} {}", principal.kind(), principal.id())
        }
    }
}

fn reason(decision: &Decision) -> Option<DenyReason> {
    match decision {
        Decision::Allow => None,
        Decision::Deny(reason) => Some(reason.clone()),
    }
}

fn describe(reason: Option<&DenyReason>) -> String {
    reason.map_or_else(|| "allow".to_owned(), |reason| format!("deny: {reason}"))
}
