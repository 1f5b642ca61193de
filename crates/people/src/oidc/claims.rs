//! What a provider says of a person.

use std::collections::HashMap;

use openidconnect::{AdditionalClaims, IdTokenClaims, core::CoreGenderClaim};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::OidcConfig;

/// Values of the claim that are looked at, and how long each may be.
const MAX_GROUPS: usize = 1_000;
const MAX_VALUE: usize = 256;

/// All claims of an id token that the standard does not name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Others(HashMap<String, Value>);

impl AdditionalClaims for Others {}

/// What is used of a person's id token.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) subject: String,
    pub(super) name: Option<String>,
    pub(super) groups: Vec<String>,
}

impl Known {
    pub(super) fn of(claims: &IdTokenClaims<Others, CoreGenderClaim>, config: &OidcConfig) -> Self {
        // Those that the standard names are found beside the others once all are JSON again.
        let all = serde_json::to_value(claims).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let groups = match &all[config.roles_claim.as_str()] {
            Value::Array(values) => values.iter().take(MAX_GROUPS).filter_map(text).collect(),
            value => text(value).into_iter().collect::<Vec<String>>(),
        };
        let groups = groups.into_iter().filter(|group| group.len() <= MAX_VALUE);
        Self {
            subject: claims.subject().to_string(),
            name: text(&all[config.name_claim.as_str()]),
            groups: groups.collect(),
        }
    }
}
