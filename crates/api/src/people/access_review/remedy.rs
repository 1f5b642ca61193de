//! How a suggestion is followed: the one request to this door that does it. Who sends it needs the right to; a review
//! only says what it would be.

use palisade_store::{Account, RoleAssignment};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{ReviewedToken, Suggestion};
use crate::people::access::EVERYTHING;

/// The most scopes that a token may be narrowed to by name.
const MAX_SCOPES: usize = 32;

/// A request that follows a suggestion. After one was sent, the review is read again: others may have changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Remedy {
    /// `PUT`, `PATCH` or `DELETE`.
    method: &'static str,
    /// Where to.
    path: String,
    /// With what, if with something.
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
    /// What it does, in words.
    does: String,
}

/// What follows a suggestion about an account.
pub(super) fn of_account(
    suggestion: &Suggestion,
    account: &Account,
    own: &[RoleAssignment],
) -> Option<Remedy> {
    let name = &account.name;
    match suggestion.kind {
        "dormant" | "never_signed_in" => Some(Remedy {
            method: "PATCH",
            path: format!("/api/v1/accounts/{name}"),
            body: Some(json!({ "disabled": true })),
            does: format!("disables {name}; its sessions end"),
        }),
        "unused_role" => {
            let role = suggestion.about.as_deref()?;
            // What a team gives is taken from the team, of which others are members too; and of a role that one has in
            // several bounds it is not known which of them was used.
            let mut of_it = own.iter().filter(|one| one.role == role);
            of_it.next().filter(|_| of_it.next().is_none())?;
            Some(Remedy {
                method: "DELETE",
                path: format!("/api/v1/accounts/{name}/roles/{role}"),
                body: None,
                does: format!("takes the role {role} from {name}; its sessions end"),
            })
        }
        _ => None,
    }
}

/// What follows a suggestion about a token.
pub(super) fn of_token(suggestion: &Suggestion, token: &ReviewedToken) -> Option<Remedy> {
    let path = format!("/api/v1/api-tokens/{}", token.id);
    match suggestion.kind {
        "token_unused" | "token_of_disabled" => Some(Remedy {
            method: "DELETE",
            path,
            body: None,
            does: format!("revokes the token {}", token.name),
        }),
        "token_unused_scopes" => {
            let is_used = |scope: &&String| !token.unused.contains(&scope.as_str());
            let used: Vec<&String> = token.scopes.iter().filter(is_used).collect();
            let may = (1..=MAX_SCOPES).contains(&used.len()) && !token.is_for_everything();
            may.then(|| Remedy {
                method: "PATCH",
                path,
                body: Some(json!({ "scopes": used })),
                does: format!(
                    "leaves the token {} with {} of its {} scopes",
                    token.name,
                    used.len(),
                    token.scopes.len()
                ),
            })
        }
        _ => None,
    }
}

impl ReviewedToken {
    fn is_for_everything(&self) -> bool {
        self.scopes.iter().any(|scope| scope == EVERYTHING)
    }
}
