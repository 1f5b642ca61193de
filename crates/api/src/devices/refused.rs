//! Refusals, from where they arise to the client and to the auditor.

use std::{net::IpAddr, sync::atomic::Ordering, time::Instant};

use palisade_core::{Action, DenyReason, Principal};

use super::{
    Devices,
    answer::Refusal,
    notices::{About, What},
};
use crate::serve::source_key;

/// Why a request is refused: what the client is told, and what auditors read.
#[derive(Debug)]
pub(crate) struct Refused {
    answer: Refusal,
    what: Option<What>,
    principal: Option<Principal>,
}

impl Refused {
    /// Refused before policy was asked; `reason` is for auditors.
    pub(crate) fn new(answer: Refusal, reason: impl Into<String>) -> Self {
        Self {
            answer,
            what: Some(What::Refused(reason.into())),
            principal: None,
        }
    }

    /// Refused, and the client may read what auditors do.
    pub(crate) fn forbidden(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::new(Refusal::Forbidden(reason.clone()), reason)
    }

    /// What was sent cannot be read or signed.
    pub(crate) fn bad_request(error: &dyn std::error::Error) -> Self {
        let reason = error.to_string();
        Self::new(Refusal::BadRequest(reason.clone()), reason)
    }

    /// Policy said no.
    pub(crate) fn denied(action: Action, reason: DenyReason) -> Self {
        Self {
            answer: Refusal::Forbidden(reason.to_string()),
            what: Some(What::Denied(action, reason)),
            principal: None,
        }
    }

    /// A limit was exceeded.
    pub(crate) fn too_often(limit: &'static str, wait: std::time::Duration) -> Self {
        Self {
            answer: Refusal::TooOften(wait),
            what: Some(What::Exceeded(limit)),
            principal: None,
        }
    }

    /// Something of ours failed: that is the log's, and no act of the client's.
    pub(crate) fn ours(error: impl std::fmt::Display) -> Self {
        Self::unrecorded(Refusal::ours(error))
    }

    /// A refusal that is part of how clients begin, as the challenge for credentials.
    pub(crate) fn unrecorded(answer: Refusal) -> Self {
        Self {
            answer,
            what: None,
            principal: None,
        }
    }

    pub(crate) fn about(mut self, principal: &Principal) -> Self {
        self.principal.get_or_insert_with(|| principal.clone());
        self
    }
}

impl Devices {
    /// Writes a refusal down, durable before the client is answered.
    pub(crate) async fn settle(&self, source: IpAddr, refused: Refused) -> Refusal {
        let Some(what) = refused.what else {
            return refused.answer;
        };
        self.refused.fetch_add(1, Ordering::Relaxed);
        let about = About {
            source,
            principal: refused.principal,
        };
        match self.notices.note(about, what).await {
            Ok(()) => refused.answer,
            Err(error) => Refusal::ours(error),
        }
    }

    /// The same for who is known by nothing but an address, which has only so many.
    pub(crate) async fn settle_stranger(&self, source: IpAddr, refused: Refused) -> Refusal {
        if matches!(refused.what, Some(What::Refused(_) | What::Denied(..))) {
            self.failures.count(&source_key(source), Instant::now());
        }
        self.settle(source, refused).await
    }
}
