//! Whoever asks for more than one answer holds: what is left to send is asked for anew before each part.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use palisade_core::DeviceId;

use super::{PeopleState, access::Scope, auth::Caller, gate::Source, target::may_still};
use crate::problem::Problem;

/// Who asks, and with what they showed who they are.
pub(crate) struct Asker {
    pub(crate) caller: Caller,
    pub(crate) source: Source,
    pub(crate) headers: HeaderMap,
}

impl FromRequestParts<PeopleState> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &PeopleState) -> Result<Self, Problem> {
        let source = parts.extensions.get::<Source>().copied();
        Ok(Self {
            caller: Caller::from_request_parts(parts, state).await?,
            source: source.unwrap_or(Source(None)),
            headers: parts.headers.clone(),
        })
    }
}

impl Asker {
    /// Whether they may still do to a device what they began to do.
    pub(crate) async fn may_still(
        &self,
        state: &PeopleState,
        right: (&'static str, Scope),
        device: &DeviceId,
    ) -> bool {
        let authenticator = state.authenticator();
        let found = authenticator
            .authenticate(&self.headers, self.source.0)
            .await;
        match found {
            Ok(caller) => may_still(state.store(), &caller, right, device).await,
            Err(_) => false,
        }
    }
}
