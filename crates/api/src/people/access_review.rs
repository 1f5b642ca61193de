//! Reviews of access: who may what, whether they use it, and what could be taken away; and that somebody looked.

mod build;
mod plan;
mod remedy;
mod suggest;

use axum::{Json, extract::State};
use palisade_core::{EventId, ServiceId, Timestamp};
use palisade_store::AccessReview;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    accounts::NameOf,
    acts::Done,
    api_tokens::ScopeName,
    assignments::AssignmentBounds,
    auth::Caller,
    extract::{JsonBody, NoParameters, Query},
    page::{Cursor, Limit, Page, PageQuery},
    routes::Routes,
    schema,
    text::{Description, Text},
    whole::Whole,
};
use crate::problem::{Problem, ProblemKind};
use build::Gathered;
use remedy::Remedy;

/// Over how many days it is looked for uses, where nothing is said.
const DAYS: u32 = 90;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::AccessRead,
            "access.review",
            routes!(get_access_review),
        )
        .write(
            Scope::AccessReview,
            "access.sign_off",
            routes!(sign_access_review),
        )
        .read(
            Scope::AccessRead,
            "access.list_reviews",
            routes!(list_access_reviews),
        )
        .and(plan::routes())
}

/// What could be better about an account, a role or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Suggestion {
    /// What it is: `dormant`, `never_signed_in`, `no_second_factor`, `unused_role`, `wide_role`, `token_unused`,
    /// `token_unused_scopes`, `token_without_end`, `token_for_everything` or `token_of_disabled`.
    kind: &'static str,
    /// About which role or token, if not about the account.
    about: Option<String>,
    /// What is seen, and what to do.
    detail: String,
    /// The request that does it, where one does.
    remedy: Option<Remedy>,
}

/// Something that was done, or tried, in the time that is looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct UsedAction {
    /// What.
    action: String,
    /// When last.
    #[schema(value_type = schema::Time)]
    last_at: Timestamp,
}

/// A role that somebody has, and what they make of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ReviewedRole {
    /// Which.
    #[schema(value_type = schema::RoleName)]
    role: String,
    /// On which devices; on all if nothing is said.
    bounds: Option<AssignmentBounds>,
    /// Until when; for good if nothing is said.
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// The team that gives it.
    team: Option<String>,
    /// The elevation that gives it.
    #[schema(value_type = Option<schema::TokenId>)]
    elevation: Option<String>,
    /// How many actions it may permit.
    #[schema(minimum = 0)]
    permits: u64,
    /// The actions among them that its holder did not do in the time that is looked at.
    unused: Vec<&'static str>,
}

/// An API token, as a review sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ReviewedToken {
    /// Its name for programs.
    #[schema(value_type = schema::TokenId)]
    id: String,
    /// Its name for people.
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>)]
    scopes: Vec<String>,
    /// The service that it publishes for, if it is one's.
    #[schema(value_type = Option<schema::ServiceId>)]
    service: Option<ServiceId>,
    /// The scopes of which it did nothing in the time that is looked at; of a token for everything, of all there are.
    unused: Vec<&'static str>,
    /// What it did.
    used: Vec<UsedAction>,
    /// When it ends, if it does.
    #[schema(value_type = Option<schema::Time>)]
    expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<schema::Time>)]
    last_used_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// What could be better.
    suggestions: Vec<Suggestion>,
}

/// An account, as a review sees it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ReviewedAccount {
    /// Its name.
    #[schema(value_type = schema::AccountName)]
    name: String,
    /// Whether it is disabled.
    disabled: bool,
    /// Whether nobody signed in to it in the time that is looked at.
    dormant: bool,
    /// When it was made.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// When somebody last logged in.
    #[schema(value_type = Option<schema::Time>)]
    last_login_at: Option<Timestamp>,
    /// Whether it has an authenticator app.
    totp: bool,
    /// How many passkeys it has.
    #[schema(minimum = 0)]
    passkeys: u64,
    /// How many log-in sessions it has now.
    #[schema(minimum = 0)]
    sessions: u64,
    /// The teams that it is in.
    teams: Vec<String>,
    /// What it is.
    roles: Vec<ReviewedRole>,
    /// What it did.
    used: Vec<UsedAction>,
    /// What it tried, and was refused.
    refused: Vec<UsedAction>,
    /// The API tokens that came of its doing and are in force.
    tokens: Vec<ReviewedToken>,
    /// What could be better.
    suggestions: Vec<Suggestion>,
}

/// Who may what, and whether they use it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessReview)]
pub(crate) struct ReviewView {
    /// The accounts of this part, by name.
    items: Vec<ReviewedAccount>,
    /// Where the list goes on: `after` of the next request. Null where this was the end.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor>,
    /// The API tokens in force of which it is not known by whose doing they came to be.
    tokens: Vec<ReviewedToken>,
    /// Over how many days it is looked for uses.
    #[schema(minimum = 1)]
    days: u32,
    /// From when on.
    #[schema(value_type = schema::Time)]
    since: Timestamp,
    /// The oldest use that is known of anybody: before that nobody looked. Null where nothing was noted yet.
    #[schema(value_type = Option<schema::Time>)]
    observed_since: Option<Timestamp>,
    /// How many accounts there are.
    #[schema(minimum = 0)]
    accounts: u64,
    /// How many suggestions there are in all.
    #[schema(minimum = 0)]
    suggestions: u64,
    /// The digest of who may what, over all accounts: roles, bounds, teams, second factors, tokens. It does not move
    /// with uses.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
}

/// Which part of a review is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReviewQuery {
    /// Over how many days it is looked for uses; 90 where nothing is said.
    #[param(inline, value_type = Option<Whole<1, 3650>>)]
    days: Option<Days>,
    /// Only this account.
    #[param(value_type = Option<schema::AccountName>)]
    account: Option<NameOf>,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most accounts wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// A number of days in a query, which is text.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Days(u32);

impl TryFrom<u32> for Days {
    type Error = &'static str;

    fn try_from(days: u32) -> Result<Self, Self::Error> {
        match days {
            1..=3_650 => Ok(Self(days)),
            _ => Err("days are 1 to 3650"),
        }
    }
}

/// That somebody looked at who may what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "days": 90,
    "note": "third quarter; bert leaves the operators"
}))]
pub(crate) struct SignOff {
    /// The digest of the review that was looked at.
    #[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
    digest: Text<64, 64>,
    /// Over how many days it was looked for uses.
    #[serde(default = "default_days")]
    #[schema(default = 90)]
    days: Whole<1, 3650>,
    /// What the reviewer says.
    #[serde(default)]
    note: Description,
}

const fn default_days() -> Whole<1, 3650> {
    Whole::of(DAYS)
}

/// A review that somebody signed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignedReview)]
pub(crate) struct SignedView {
    /// Its name.
    #[schema(value_type = schema::EventId)]
    id: String,
    /// Who looked.
    reviewer: String,
    /// When.
    #[schema(value_type = schema::Time)]
    reviewed_at: Timestamp,
    /// The digest of what was seen.
    digest: String,
    /// Over how many days it was looked for uses.
    #[schema(minimum = 1)]
    days: u64,
    /// How many accounts were seen.
    #[schema(minimum = 0)]
    accounts: u64,
    /// How many suggestions were seen.
    #[schema(minimum = 0)]
    suggestions: u64,
    /// What the reviewer says.
    note: String,
}

impl From<AccessReview> for SignedView {
    fn from(review: AccessReview) -> Self {
        Self {
            id: review.id.to_string(),
            reviewer: review.reviewer,
            reviewed_at: review.reviewed_at,
            digest: review.digest,
            days: review.days,
            accounts: review.accounts,
            suggestions: review.suggestions,
            note: review.note,
        }
    }
}

/// Shows who may what, whether they use it, and what could be taken away.
///
/// Suggestions about disuse are made only of accounts that are older than the time that is looked at, and only where
/// the log of access goes back as far.
#[utoipa::path(
    get,
    path = "/api/v1/access/review",
    tag = "people",
    params(ReviewQuery),
    responses((status = 200, description = "The review; accounts by name.", body = ReviewView))
)]
async fn get_access_review(
    State(state): State<PeopleState>,
    Query(query): Query<ReviewQuery>,
) -> Result<Json<ReviewView>, Problem> {
    let days = query.days.map_or(DAYS, |Days(days)| days);
    let gathered = Gathered::of(&state, days).await?;
    let wanted = query.account.map(|NameOf(name)| name);
    let all = gathered.accounts();
    let suggestions = gathered.count_suggestions(&all);
    let chosen = all.into_iter().filter(|account| {
        let is_wanted = |name: &palisade_people::AccountName| name.as_str() == account.name;
        wanted.as_ref().is_none_or(is_wanted)
    });
    let page = PageQuery {
        after: query.after,
        limit: query.limit,
    };
    let Page { items, next } = Page::cut(chosen, &page, |account| account.name.clone());
    Ok(Json(ReviewView {
        items,
        next,
        tokens: gathered.tokens_of_nobody(),
        days,
        since: gathered.since,
        observed_since: gathered.observed_since,
        accounts: gathered.count(),
        suggestions,
        digest: gathered.digest()?,
    }))
}

/// Signs that who may what was looked at. Only a person does, and only what is still so.
#[utoipa::path(
    post,
    path = "/api/v1/access/review",
    tag = "people",
    request_body = SignOff,
    responses((status = 201, description = "It is on record.", body = SignedView))
)]
async fn sign_access_review(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<SignOff>,
) -> Result<Done<SignedView>, Problem> {
    if caller.person.is_none() {
        let why = "a review is signed by a person who logged in, not by a token";
        return Err(Problem::new(ProblemKind::Forbidden, why));
    }
    let gathered = Gathered::of(&state, request.days.value()).await?;
    let digest = gathered.digest()?;
    if request.digest.0 != digest {
        return Err(Problem::conflict(
            "who may what has changed since you looked: look again (GET /api/v1/access/review)",
        ));
    }
    let all = gathered.accounts();
    let review = AccessReview {
        id: EventId::generate(),
        reviewer: caller.name,
        reviewed_at: gathered.now,
        digest,
        days: request.days.value().into(),
        accounts: gathered.count(),
        suggestions: gathered.count_suggestions(&all),
        note: request.note.to_string(),
    };
    // A plan is kept by its owner; what others sign besides is on record all the same.
    let reviews = state.store().access_reviews();
    let plan = reviews.plan().await?;
    let next_due = plan
        .filter(|plan| plan.owner == review.reviewer)
        .map(|plan| plan::days_after(gathered.now, plan.every_days));
    reviews.add(&review, next_due).await?;
    let target = format!(
        "{}: {} accounts, {} suggestions, digest {}",
        review.id, review.accounts, review.suggestions, review.digest
    );
    let note = Some(review.note.clone()).filter(|note| !note.is_empty());
    Ok(Done::created(target, SignedView::from(review)).because(note))
}

/// Lists reviews that somebody signed.
#[utoipa::path(
    get,
    path = "/api/v1/access/reviews",
    tag = "people",
    params(PageQuery),
    responses((status = 200, description = "Reviews, the newest first.", body = Page<SignedView>))
)]
async fn list_access_reviews(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SignedView>>, Problem> {
    let before = query.after.as_ref();
    let before = before
        .map(|after| after.ulid(EventId::parse))
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let limit = query.limit.0;
    let reviews = state.store().access_reviews();
    let found = reviews.list(before, limit + 1).await?;
    let views = found.into_iter().map(SignedView::from);
    Ok(Json(Page::begin(views.collect(), limit, |review| {
        review.id.clone()
    })))
}
