//! Acts on the record. A handler that changed something answers with a [`Done`]: what was done, on what
//! and why. The route's gate writes that down before the answer leaves; a handler has no other way to
//! say that it succeeded.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use palisade_core::Principal;
use serde::Serialize;

/// What the ledger says of an act, besides who and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// An entry.
    Act {
        /// On what.
        target: String,
        /// Why, as the caller says.
        reason: Option<String>,
        /// About whom, if about a principal.
        about: Option<Principal>,
    },
    /// Nothing was changed, so there is nothing to write down.
    Nothing,
}

/// The answer to an act that was done.
pub(crate) struct Done<T> {
    status: StatusCode,
    body: Option<T>,
    recorded: Recorded,
}

impl<T: Serialize> Done<T> {
    /// Something was changed; this is how it is now.
    pub(crate) fn changed(target: impl ToString, body: T) -> Self {
        Self::with(StatusCode::OK, target, Some(body))
    }

    /// Something was made.
    pub(crate) fn created(target: impl ToString, body: T) -> Self {
        Self::with(StatusCode::CREATED, target, Some(body))
    }

    /// Something was taken and is under way.
    pub(crate) fn accepted(target: impl ToString, body: T) -> Self {
        Self::with(StatusCode::ACCEPTED, target, Some(body))
    }

    /// Nothing was changed, as was asked.
    pub(crate) fn nothing(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            body: Some(body),
            recorded: Recorded::Nothing,
        }
    }

    fn with(status: StatusCode, target: impl ToString, body: Option<T>) -> Self {
        Self {
            status,
            body,
            recorded: Recorded::Act {
                target: target.to_string(),
                reason: None,
                about: None,
            },
        }
    }

    /// The same, with the caller's reason.
    pub(crate) fn because(mut self, why: Option<impl ToString>) -> Self {
        if let (Recorded::Act { reason, .. }, Some(why)) = (&mut self.recorded, why) {
            *reason = Some(why.to_string());
        }
        self
    }

    /// The same, about a principal.
    pub(crate) fn about(mut self, principal: impl Into<Principal>) -> Self {
        if let Recorded::Act { about, .. } = &mut self.recorded {
            *about = Some(principal.into());
        }
        self
    }
}

impl Done<()> {
    /// Something was changed, and there is no more to say.
    pub(crate) fn silently(target: impl ToString) -> Self {
        Self::with(StatusCode::NO_CONTENT, target, None)
    }

    /// Something was done, and this is the answer, which is no JSON.
    pub(crate) fn answered(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self.recorded);
        response
    }
}

impl<T: Serialize> IntoResponse for Done<T> {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => (self.status, Json(body)).into_response(),
            None => self.status.into_response(),
        };
        response.extensions_mut().insert(self.recorded);
        response
    }
}
