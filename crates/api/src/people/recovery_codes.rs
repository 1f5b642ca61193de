//! The caller's own recovery codes.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    acts::Done,
    auth::Caller,
    extract::{NoParameters, Query},
    own_account::{knows_the_password_alone, own},
    routes::Routes,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .token("own.count_recovery_codes", routes!(count_recovery_codes))
        .own_write(
            "account.renew_recovery_codes",
            routes!(renew_recovery_codes),
        )
}

/// How many recovery codes there are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecoveryCodesLeft {
    /// How many were not used.
    #[schema(minimum = 0)]
    left: u64,
    /// How many there were.
    #[schema(minimum = 0)]
    made: u64,
}

/// Says how many recovery codes the caller's account has left. A token has none.
#[utoipa::path(
    get,
    path = "/api/v1/account/recovery-codes",
    tag = "people",
    responses((status = 200, description = "How many, never which.", body = RecoveryCodesLeft))
)]
async fn count_recovery_codes(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<RecoveryCodesLeft>, Problem> {
    if caller.person.is_none() {
        return Ok(Json(RecoveryCodesLeft { left: 0, made: 0 }));
    }
    let account = own(&state, &caller).await?;
    let codes = state.parts().people.recovery_codes(&account).await?;
    Ok(Json(RecoveryCodesLeft {
        left: codes.left,
        made: codes.made,
    }))
}

/// New recovery codes.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewRecoveryCodes {
    /// Codes that stand in for the second factor, each once. They are shown now and never again.
    recovery_codes: Vec<String>,
}

/// Makes new recovery codes for the caller's account; those from before count no longer. The session is at most an
/// hour old, and the account has a second factor.
#[utoipa::path(
    post,
    path = "/api/v1/account/recovery-codes",
    tag = "people",
    responses((status = 201, description = "The codes.", body = NewRecoveryCodes))
)]
async fn renew_recovery_codes(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<NewRecoveryCodes>, Problem> {
    let account = own(&state, &caller).await?;
    knows_the_password_alone(&caller)?;
    let people = &state.parts().people;
    let recovery_codes = people
        .new_recovery_codes(&account, caller.expires_at)
        .await?;
    Ok(Done::created(
        account.name,
        NewRecoveryCodes { recovery_codes },
    ))
}
