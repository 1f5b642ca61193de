//! Whoever asks for more than one answer holds: what is left to send is asked for anew before each part.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use palisade_core::DeviceId;

use super::{
    PeopleState,
    access::Scope,
    auth::Caller,
    gate::Source,
    target::{Hidden, may_still},
};
use crate::problem::Problem;

/// Who asks, and with what they showed who they are.
pub(crate) struct Asker {
    pub(crate) caller: Caller,
    pub(crate) source: Source,
    pub(crate) headers: HeaderMap,
    /// What they do not see of payloads.
    pub(crate) hidden: Hidden,
}

impl FromRequestParts<PeopleState> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &PeopleState) -> Result<Self, Problem> {
        let source = parts.extensions.get::<Source>().copied();
        // Every gate says what is hidden: where none did, nothing is shown.
        let hidden = parts.extensions.get::<Hidden>().cloned();
        let hidden = hidden.ok_or_else(|| Problem::internal(&"nobody said what is hidden here"))?;
        Ok(Self {
            caller: Caller::from_request_parts(parts, state).await?,
            source: source.unwrap_or(Source(None)),
            headers: parts.headers.clone(),
            hidden,
        })
    }
}

impl Asker {
    /// Whether they may still do to a device what they began to do. From now on they do not see what they may not see now.
    pub(crate) async fn may_still(
        &mut self,
        state: &PeopleState,
        right: (&'static str, Scope),
        device: &DeviceId,
    ) -> bool {
        let authenticator = state.authenticator();
        let found = authenticator
            .authenticate(&self.headers, self.source.0)
            .await;
        let permitted = match found {
            Ok(caller) => may_still(state.store(), &caller, right, device).await,
            Err(_) => None,
        };
        let may = permitted.is_some();
        self.hidden = permitted.unwrap_or_default();
        may
    }
}
