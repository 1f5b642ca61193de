//! The log of access, read: who did, tried and read what.

use axum::{Json, extract::State};
use palisade_core::{EventId, Timestamp};
use palisade_store::{AccessEntry, AccessFilter, AccessKind, AccessOutcome};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::Query,
    page::{Cursor, Limit, Page},
    routes::Routes,
    schema,
    text::Line,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default().read(Scope::AccessRead, "access.list", routes!(list_access))
}

/// What came of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccessOutcome)]
pub(crate) enum OutcomeName {
    /// They were let through.
    Allowed,
    /// They were refused.
    Denied,
    /// The server failed at them.
    Failed,
}

impl From<AccessOutcome> for OutcomeName {
    fn from(outcome: AccessOutcome) -> Self {
        match outcome {
            AccessOutcome::Allowed => Self::Allowed,
            AccessOutcome::Denied => Self::Denied,
            AccessOutcome::Failed => Self::Failed,
        }
    }
}

impl From<OutcomeName> for AccessOutcome {
    fn from(outcome: OutcomeName) -> Self {
        match outcome {
            OutcomeName::Allowed => Self::Allowed,
            OutcomeName::Denied => Self::Denied,
            OutcomeName::Failed => Self::Failed,
        }
    }
}

/// Who came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccessKind)]
pub(crate) enum KindName {
    /// Somebody who logged in.
    Account,
    /// The bearer of an API token.
    Token,
    /// Nobody who was recognised.
    Nobody,
}

impl From<AccessKind> for KindName {
    fn from(kind: AccessKind) -> Self {
        match kind {
            AccessKind::Account => Self::Account,
            AccessKind::Token => Self::Token,
            AccessKind::Nobody => Self::Nobody,
        }
    }
}

/// Requests of one subject that are alike within an hour, or one act.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessEntry)]
pub(crate) struct EntryView {
    /// Its name.
    #[schema(value_type = schema::EventId)]
    id: String,
    /// Who came.
    kind: KindName,
    /// The account's name, or the token's id; empty where nobody was recognised.
    subject: String,
    /// The name that acts are recorded under.
    name: String,
    /// The log-in session of the last request.
    #[schema(value_type = Option<schema::TokenId>)]
    session: Option<String>,
    /// What was asked for.
    action: String,
    /// What came of it.
    outcome: OutcomeName,
    /// The entry of the ledger, where it is an act that was done.
    #[schema(value_type = Option<schema::EventId>)]
    event: Option<String>,
    /// How many requests.
    #[schema(minimum = 1)]
    times: u64,
    /// When the first came.
    #[schema(value_type = schema::Time)]
    first_at: Timestamp,
    /// When the last came.
    #[schema(value_type = schema::Time)]
    last_at: Timestamp,
    /// On which path, of the last.
    resource: String,
    /// From which address, of the last.
    source: Option<String>,
    /// The status of the last answer; null where the client left before it.
    #[schema(minimum = 100, maximum = 599)]
    status: Option<u16>,
    /// Why the last was refused.
    reason: Option<String>,
}

impl From<AccessEntry> for EntryView {
    fn from(entry: AccessEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            kind: entry.kind.into(),
            subject: entry.subject,
            name: entry.name,
            session: entry.session,
            action: entry.action,
            outcome: entry.outcome.into(),
            event: entry.event.map(|event| event.to_string()),
            times: entry.times,
            first_at: entry.first_at,
            last_at: entry.last_at,
            resource: entry.resource,
            source: entry.source,
            status: entry.status,
            reason: entry.reason,
        }
    }
}

/// Which entries are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccessQuery {
    /// Only those of the account or token of this name, or of the token of this id.
    #[param(inline, value_type = Option<Line<1, 64>>)]
    subject: Option<Line<1, 64>>,
    /// Only those of this action.
    #[param(inline, value_type = Option<Line<1, 64>>)]
    action: Option<Line<1, 64>>,
    /// Only those of this outcome.
    #[param(inline, value_type = Option<OutcomeName>)]
    outcome: Option<OutcomeName>,
    /// Only those with a request at this moment or later.
    #[param(inline, value_type = Option<schema::Time>)]
    since: Option<Timestamp>,
    /// Only those with a request before this moment.
    #[param(inline, value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// Lists what accounts and programs did, tried and read here.
///
/// What one subject does again and again within an hour is one entry; an act that is in the ledger has one of its
/// own.
#[utoipa::path(
    get,
    path = "/api/v1/access",
    tag = "people",
    params(AccessQuery),
    responses((status = 200, description = "Entries, those that began last first.", body = Page<EntryView>))
)]
async fn list_access(
    State(state): State<PeopleState>,
    Query(query): Query<AccessQuery>,
) -> Result<Json<Page<EntryView>>, Problem> {
    state.access_log().flush().await;
    let before = query.after.as_ref();
    let before = before
        .map(|after| after.ulid(EventId::parse))
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let filter = AccessFilter {
        subject: query.subject.map(|subject| subject.to_string()),
        action: query.action.map(|action| action.to_string()),
        outcome: query.outcome.map(AccessOutcome::from),
        since: query.since,
        until: query.until,
    };
    let limit = query.limit.0;
    let access = state.store().access();
    let found = access.list(&filter, before, limit + 1).await?;
    let views = found.into_iter().map(EntryView::from);
    Ok(Json(Page::begin(views.collect(), limit, |entry| {
        entry.id.clone()
    })))
}
