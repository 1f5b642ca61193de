//! Four eyes: acts that cannot be undone wait for a second person. The first request is written down and
//! answered with the name of an approval; once another person who may do the act approved it, the same request
//! with that name is done, once. In force where at least two people could approve: an installation with one
//! owner would lock itself out.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use palisade_core::{Timestamp, TokenId};
use palisade_people::{Reach, Role, Roles};
use palisade_store::{Account, Approval, Decision};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    acts::Done,
    auth::Caller,
    extract::{NoParameters, Path, Query, read_body},
    page::{Page, PageQuery},
    policy,
    routes::Routes as Table,
    schema,
};
use crate::problem::{Problem, ProblemKind};

/// The header that names an approval.
pub(super) const HEADER: &str = "palisade-approval";
/// How long an approval can be given and used.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// How much of a body people can read.
const MAX_COPY: usize = 64 * 1024;
/// How many of a caller's acts may wait.
const MAX_WAITING: u32 = 20;

pub(super) fn routes() -> Table {
    Table::default()
        .token("approval.list", routes!(list_approvals))
        .own_write("approval.approve", routes!(approve_act))
        .own_write("approval.reject", routes!(reject_act))
}

/// An act that waits, or waited, for a second person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Approval)]
pub(crate) struct ApprovalView {
    /// Its name.
    #[schema(value_type = schema::TokenId)]
    id: String,
    /// The act.
    act: String,
    /// On which path.
    path: String,
    /// Its body, as far as people can read it: its first 64 KiB.
    body: String,
    /// Who asks: `account:<name>` or `token:<id>`.
    asker: String,
    /// `waiting`, `approved`, `rejected` or `used`.
    state: String,
    /// When it was asked for.
    #[schema(value_type = schema::Time)]
    asked_at: Timestamp,
    /// Until when it can be approved and used.
    #[schema(value_type = schema::Time)]
    expires_at: Timestamp,
    /// Who decided.
    decided_by: Option<String>,
    /// When.
    #[schema(value_type = Option<schema::Time>)]
    decided_at: Option<Timestamp>,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        Self {
            id: approval.id.to_string(),
            act: approval.act,
            path: approval.path,
            body: approval.body,
            asker: approval.asker,
            state: approval.state,
            asked_at: approval.asked_at,
            expires_at: approval.expires_at,
            decided_by: approval.decided_by,
            decided_at: approval.decided_at,
        }
    }
}

fn asker(caller: &Caller) -> String {
    match caller.person {
        Some(_) => format!("account:{}", caller.name),
        None => format!("token:{}", caller.token),
    }
}

/// Whether an account could approve an act: it is in use, and may do it everywhere itself.
fn could_approve(account: &Account, roles: &Roles, act: &str, now: Timestamp) -> bool {
    let index = roles.catalogue().index_of(act);
    !account.disabled
        && !account.must_change
        && index.is_some_and(|index| roles.standing(account, now).reach(index) == Reach::Everywhere)
}

/// Whether a request is one that waits for a second person.
async fn is_concerned(
    state: &PeopleState,
    act: &'static str,
    path: &str,
    body: &[u8],
) -> Result<bool, Problem> {
    let people = &state.parts().people;
    let four_eyes = people.four_eyes();
    if !four_eyes.iter().any(|one| one == act) {
        return Ok(false);
    }
    let roles = people.roles().await?;
    let now = state.parts().clock.now();
    let accounts = state.store().accounts().list().await?;
    let could = |account: &&Account| could_approve(account, &roles, act, now);
    if accounts.iter().filter(could).take(2).count() < 2 {
        return Ok(false);
    }
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    // To stop everything must not wait for anybody; to let it go on may.
    if act == "response.switch" {
        return Ok(body.get("stopped") != Some(&true.into()));
    }
    let is_about_people = ["account.", "team."]
        .iter()
        .any(|noun| act.starts_with(noun));
    if !is_about_people {
        return Ok(true);
    }
    // What is about people waits where it is about somebody, or a role, that could approve.
    let is_great = |role: &Role| {
        let view = roles.get(role);
        view.is_some_and(|view| {
            view.actions
                .iter()
                .any(|one| four_eyes.iter().any(|act| act == one))
        })
    };
    let mut words = Vec::new();
    collect(&body, &mut words);
    let named = path.split('/').nth(4).unwrap_or_default();
    let of_path = accounts
        .iter()
        .find(|account| account.name.eq_ignore_ascii_case(named));
    let mut held = of_path
        .into_iter()
        .flat_map(|account| roles.directory().held_by(account, now));
    Ok(words
        .iter()
        .filter_map(|word| Role::parse(word))
        .any(|role| is_great(&role))
        || held.any(|held| is_great(&held.role)))
}

/// The texts in a body; it was read with bounded depth.
fn collect<'a>(value: &'a serde_json::Value, words: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => words.push(text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        serde_json::Value::Object(map) => map.values().for_each(|item| collect(item, words)),
        _ => {}
    }
}

/// Lets a request on that needs no second person or has its approval; the error is the answer to give.
pub(super) async fn pass(
    state: &PeopleState,
    caller: &Caller,
    act: &'static str,
    request: Request,
) -> Result<Request, Box<Response>> {
    if !state
        .parts()
        .people
        .four_eyes()
        .iter()
        .any(|one| one == act)
    {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let refused = |problem: Problem| Box::new(problem.into_response());
    let bytes = read_body(body, policy::MAX_BODY).await.map_err(refused)?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let concerned = is_concerned(state, act, parts.uri.path(), &bytes).await;
    if concerned.map_err(refused)? {
        let whole = [
            parts.method.as_str().as_bytes(),
            b" ",
            path.as_bytes(),
            b"\n",
            &bytes,
        ]
        .concat();
        let whole = digest(&SHA256, &whole);
        let what = (act, path, whole.as_ref(), bytes.as_ref());
        seen_by_two(state, caller, &parts.headers, what)
            .await
            .map_err(refused)?;
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

async fn seen_by_two(
    state: &PeopleState,
    caller: &Caller,
    headers: &HeaderMap,
    (act, path, digest, body): (&str, &str, &[u8], &[u8]),
) -> Result<(), Problem> {
    let approvals = state.store().approvals();
    let now = state.parts().clock.now();
    let forbidden = |why: &str| Problem::new(ProblemKind::Forbidden, why);
    if let Some(value) = headers.get(HEADER) {
        let id = value
            .to_str()
            .ok()
            .and_then(|text| TokenId::parse(text).ok());
        let id = id.ok_or_else(|| forbidden("Palisade-Approval: this is no approval's name"))?;
        return match approvals.take(id, digest, &asker(caller), now).await? {
            true => Ok(()),
            false => Err(forbidden(
                "this approval is none for this very request of yours: it waits, was rejected, used or \
                 is over, or the request is another one",
            )),
        };
    }
    let copy = body.get(..body.len().min(MAX_COPY)).unwrap_or_default();
    let approval = Approval {
        id: TokenId::generate(),
        act: act.to_owned(),
        path: path.chars().take(500).collect(),
        digest: digest.to_vec(),
        body: readable(copy),
        asker: asker(caller),
        state: "waiting".to_owned(),
        asked_at: now,
        expires_at: now.checked_add(LIFE).unwrap_or(Timestamp::MAX),
        decided_by: None,
        decided_at: None,
    };
    match approvals.ask(&approval, MAX_WAITING).await? {
        true => Err(Problem::new(
            ProblemKind::ApprovalNeeded,
            format!(
                "{act} waits for a second person: when somebody else who may do it has approved {0}, send the \
                 same request again within the hour with `Palisade-Approval: {0}`",
                approval.id
            ),
        )
        .waiting_for(approval.id.to_string())),
        false => Err(forbidden("20 acts of yours wait for a second person: see to those first")),
    }
}

/// A body as people may read it: without what is secret in it.
fn readable(body: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    hide(&mut value);
    value.to_string()
}

fn hide(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                match ["password", "passphrase", "secret", "current", "code"]
                    .contains(&name.as_str())
                {
                    true => *value = "(hidden)".into(),
                    false => hide(value),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// Lists acts that wait, or waited, for a second person: those that the caller may do, and their own.
#[utoipa::path(
    get,
    path = "/api/v1/approvals",
    tag = "people",
    params(PageQuery),
    responses((status = 200, description = "Approvals, the newest first.", body = Page<ApprovalView>))
)]
async fn list_approvals(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ApprovalView>>, Problem> {
    let roles = state.parts().people.roles().await?;
    let own = asker(&caller);
    let mut found = state.store().approvals().list().await?;
    found.retain(|one| one.asker == own || caller.may_everywhere(&one.act, roles.catalogue()));
    let views = found.into_iter().map(ApprovalView::from);
    Ok(Json(Page::cut_newest(views, &query, |one| one.id.clone())))
}

/// Approves an act that somebody else asked for. Only a person can, who may do it themselves.
#[utoipa::path(
    post,
    path = "/api/v1/approvals/{id}/approve",
    tag = "people",
    params(("id" = schema::TokenId, Path, description = "The approval.")),
    responses((status = 200, description = "The approval.", body = ApprovalView))
)]
async fn approve_act(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<ApprovalView>, Problem> {
    decide(&state, &caller, id, "approved").await
}

/// Rejects an act that somebody else asked for.
#[utoipa::path(
    post,
    path = "/api/v1/approvals/{id}/reject",
    tag = "people",
    params(("id" = schema::TokenId, Path, description = "The approval.")),
    responses((status = 200, description = "The approval.", body = ApprovalView))
)]
async fn reject_act(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<ApprovalView>, Problem> {
    decide(&state, &caller, id, "rejected").await
}

async fn decide(
    state: &PeopleState,
    caller: &Caller,
    id: TokenId,
    decided: &'static str,
) -> Result<Done<ApprovalView>, Problem> {
    let approvals = state.store().approvals();
    let unknown = || Problem::not_found(format_args!("approval {id}"));
    let approval = approvals.find(id).await?.ok_or_else(unknown)?;
    let roles = state.parts().people.roles().await?;
    if !caller.may_everywhere(&approval.act, roles.catalogue()) {
        return Err(unknown());
    }
    another_person(state, caller, &approval.asker).await?;
    let now = state.parts().clock.now();
    let decision = Decision {
        state: decided,
        by: &caller.name,
        now,
    };
    if !approvals.decide(id, decision).await? {
        return Err(Problem::conflict(
            "it does not wait any more: it was decided, or its hour is over",
        ));
    }
    let approval = approvals.find(id).await?.ok_or_else(unknown)?;
    let target = format!(
        "{id}: {} {} of {}",
        approval.act, approval.path, approval.asker
    );
    Ok(Done::changed(target, approval.into()))
}

/// Refuses whoever is no person, or is the asker: themselves, or by a token that came of their doing.
pub(super) async fn another_person(
    state: &PeopleState,
    caller: &Caller,
    asker: &str,
) -> Result<(), Problem> {
    let forbidden = |why: &str| Err(Problem::new(ProblemKind::Forbidden, why));
    if caller.person.is_none() {
        return forbidden("only a person who logged in decides this, no token");
    }
    let of_token = asker
        .strip_prefix("token:")
        .and_then(|id| TokenId::parse(id).ok());
    let person = match of_token {
        Some(token) => state.store().approvals().maker(token).await?,
        None => asker.strip_prefix("account:").map(str::to_owned),
    };
    match person.as_deref() == Some(caller.name.as_str()) {
        true => forbidden("nobody decides what they asked for themselves, or by a token of theirs"),
        false => Ok(()),
    }
}

/// Notes by whose doing a token came to be: the caller's, or that of who made the caller's token.
pub(super) async fn note_maker(
    state: &PeopleState,
    caller: &Caller,
    token: TokenId,
) -> Result<(), Problem> {
    let approvals = state.store().approvals();
    let person = match &caller.person {
        Some(_) => Some(caller.name.clone()),
        None => approvals.maker(caller.token).await?,
    };
    if let Some(person) = person {
        approvals.note_maker(token, &person).await?;
    }
    Ok(())
}
