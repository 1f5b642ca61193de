//! Persons who are to be forgotten: what entries of the ledger say of them is destroyed, and the tree stays whole.

use axum::extract::State;
use palisade_core::{AdministrativeAct, Door, Event, EventKind, Outcome};
use palisade_ledger::Erased;
use palisade_people::AccountName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    accounts::{NameOf, target},
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Query},
    gate::Source,
    routes::Routes,
    schema,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default().write(Scope::Admin, "account.erase", routes!(erase_account))
}

/// Whom to erase. The name is in no path, which the log of access would keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErasureRequest {
    /// The account.
    #[schema(value_type = schema::AccountName)]
    account: NameOf,
}

/// What was destroyed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Erasure {
    /// How many names, addresses and texts of entries of the ledger.
    #[schema(minimum = 0)]
    values: u64,
    /// Of how many entries.
    #[schema(minimum = 0)]
    entries: u64,
    /// Whether an account was removed with it.
    account_removed: bool,
    /// Whether the database was written anew, so that no old copy of a page is in its free room. A large one is not: run
    /// `VACUUM` on it while the server is stopped.
    compacted: bool,
}

/// Erases a person: removes the account, which is disabled and in no team, and destroys what entries of the ledger say of it.
///
/// The ledger's tree stays as it was, and proofs go on to verify. Entries that were written by a version that did not keep
/// persons apart keep what they say. It can be done again, also where there is no such account any more.
#[utoipa::path(
    post,
    path = "/api/v1/erasures",
    tag = "people",
    request_body = ErasureRequest,
    responses((status = 200, description = "What was destroyed.", body = Erasure))
)]
async fn erase_account(
    State(state): State<PeopleState>,
    caller: Caller,
    axum::Extension(Source(source)): axum::Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ErasureRequest>,
) -> Result<Done<Erasure>, Problem> {
    let NameOf(name) = request.account;
    let (parts, accounts) = (state.parts(), state.store().accounts());
    let found = accounts.find(name.as_str()).await?;
    if found.is_some() {
        may_go(&state, &caller, &name).await?;
    }
    let name = name.as_str();
    let event = |values: u64, entries: u64| {
        let act = AdministrativeAct {
            actor: caller.actor(),
            act: "account.erase".to_owned(),
            target: format!("{values} values of {entries} entries"),
            reason: None,
            outcome: Outcome::Done,
        };
        let kind = EventKind::Administrative(act);
        let mut event = Event::new(parts.clock.now(), Door::Rest, kind);
        event.source = source;
        event
    };
    // What requests are still to be written into the log of access is written first, and removed with the rest.
    state.access_log().flush().await;
    let account_removed = found.is_some() && accounts.erase(name).await?;
    let Erased {
        values,
        entries,
        is_compacted,
    } = parts.ledger.erase(name, event).await?;
    Ok(Done::nothing(Erasure {
        values,
        entries,
        account_removed,
        compacted: is_compacted,
    }))
}

/// Whether an account may be removed.
async fn may_go(state: &PeopleState, caller: &Caller, name: &AccountName) -> Result<(), Problem> {
    let account = target(state, caller, name).await?;
    let name = &account.name;
    if !account.disabled {
        let why = format!("disable it first: `palisade account disable {name}`");
        return Err(Problem::conflict(why));
    }
    let teams = state.store().teams().list().await?;
    match teams.iter().find(|team| team.members.contains(name)) {
        Some(team) => Err(Problem::conflict(format!(
            "{name} is in the team {}: take it out first",
            team.name
        ))),
        None => Ok(()),
    }
}
