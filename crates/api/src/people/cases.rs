//! Cases: what findings came to, and what people make of them.

use axum::{Json, extract::State};
use palisade_core::{ActionId, ActionState, CaseId, FindingId, Severity, Timestamp};
use palisade_respond::{CaseFile, DeskError, Happened, state_name};
use palisade_store::{ActionRecord, CaseFilter, CaseRecord, CaseState, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    findings::{SeverityDoc, VerdictDoc},
    page::{Cursor, Limit, Page},
    routes::Routes,
    schema,
    text::{Line, Name, Reason, Text},
};
use crate::problem::Problem;

/// Findings of a case that hear its verdict.
const JUDGED: u32 = 500;

pub(super) fn routes() -> Routes {
    let scope = Scope::RespondWrite;
    Routes::default()
        .read(Scope::RespondRead, "case.list", routes!(list_cases))
        .read(Scope::RespondRead, "case.read", routes!(get_case))
        .write(scope, "case.assign", routes!(assign_case))
        .write(scope, "case.note", routes!(note_case))
        .write(scope, "case.state", routes!(set_case_state))
        .write(scope, "case.judge", routes!(judge_case))
        .write(scope, "case.merge", routes!(merge_case))
        .write(scope, "case.split", routes!(split_case))
}

/// How far a case came.
#[derive(ToSchema)]
#[schema(as = CaseState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for the store's type")]
pub(crate) enum CaseStateDoc {
    /// Nobody has looked at it.
    Open,
    /// Somebody looks at it.
    Investigating,
    /// Its subject can do no more harm.
    Contained,
    /// It is over.
    Closed,
}

/// Which cases are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CaseQuery {
    /// In this state.
    #[param(inline, value_type = Option<CaseStateDoc>)]
    state: Option<CaseState>,
    /// Only those that are not closed.
    #[serde(default)]
    #[param(inline, value_type = Option<bool>)]
    open: bool,
    /// About this subject (`device/<id>`, `campaign/<detector>`).
    #[param(inline, value_type = Option<Line<1, 200>>)]
    subject: Option<Line<1, 200>>,
    /// At least this bad.
    #[param(inline, value_type = Option<SeverityDoc>)]
    severity: Option<Severity>,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// One case.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Case)]
pub(crate) struct CaseView {
    /// Its name.
    #[schema(value_type = schema::CaseId)]
    id: CaseId,
    /// About whom: as a finding's subject, or `campaign/<detector>`.
    subject: String,
    /// What it is called.
    title: String,
    /// The worst severity of its findings.
    #[schema(value_type = SeverityDoc)]
    severity: Severity,
    /// How far it came.
    #[schema(value_type = CaseStateDoc)]
    state: CaseState,
    /// Whose it is.
    owner: Option<String>,
    /// What a person made of it.
    #[schema(value_type = Option<VerdictDoc>)]
    verdict: Option<Verdict>,
    /// The case that took it up.
    #[schema(value_type = Option<schema::CaseId>)]
    merged_into: Option<CaseId>,
    /// The campaign that it belongs to.
    #[schema(value_type = Option<schema::CaseId>)]
    campaign: Option<CaseId>,
    /// When it was opened.
    #[schema(value_type = schema::Time)]
    opened_at: Timestamp,
    /// When anything last happened to it.
    #[schema(value_type = schema::Time)]
    updated_at: Timestamp,
    /// When it was closed.
    #[schema(value_type = Option<schema::Time>)]
    closed_at: Option<Timestamp>,
}

impl From<CaseRecord> for CaseView {
    fn from(case: CaseRecord) -> Self {
        Self {
            id: case.id,
            subject: case.subject,
            title: case.title,
            severity: case.severity,
            state: case.state,
            owner: case.owner,
            verdict: case.verdict,
            merged_into: case.merged_into,
            campaign: case.campaign,
            opened_at: case.opened_at,
            updated_at: case.updated_at,
            closed_at: case.closed_at,
        }
    }
}

/// Something that happened to a case.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaseEntry)]
pub(crate) struct EntryView {
    /// When.
    #[schema(value_type = schema::Time)]
    at: Timestamp,
    /// What kind: `finding`, `action`, `opened`, `note`, `state`, `owner`, `verdict`, `severity`, `merged`,
    /// `split`, `campaign`.
    kind: String,
    /// What, for people.
    text: String,
    /// Which person, if one did.
    by: Option<String>,
    /// The finding.
    #[schema(value_type = Option<schema::FindingId>)]
    finding: Option<FindingId>,
    /// The action.
    #[schema(value_type = Option<schema::ActionId>)]
    action: Option<ActionId>,
}

impl From<Happened> for EntryView {
    fn from(happened: Happened) -> Self {
        let at = happened.at();
        let plain = |kind: &str, text: String| Self {
            at,
            kind: kind.to_owned(),
            text,
            by: None,
            finding: None,
            action: None,
        };
        match happened {
            Happened::Entry(entry) => Self {
                by: entry.by,
                ..plain(&entry.kind, entry.text)
            },
            Happened::Finding(found) => {
                let finding = found.finding;
                let text = format!(
                    "{} ({}, {} times) about {}: {}",
                    finding.detector,
                    finding.severity,
                    finding.count,
                    found.subject,
                    finding.detail
                );
                Self {
                    finding: Some(finding.id),
                    ..plain("finding", text)
                }
            }
            Happened::Action(record) => Self {
                action: Some(record.order.id),
                by: record.ordered_by.clone().or(record.decided_by.clone()),
                ..plain("action", ordered(&record))
            },
            Happened::Undone(record) => Self {
                action: Some(record.order.id),
                by: record.decided_by.clone(),
                ..plain(
                    "undone",
                    format!(
                        "{} on {}: {}",
                        record.order.action, record.order.target, record.why
                    ),
                )
            },
        }
    }
}

/// An action at the moment of its order. Why it stands where it stands belongs there, unless it was done and taken back
/// since, which is a line of its own.
fn ordered(record: &ActionRecord) -> String {
    let by = record.playbook.as_deref().unwrap_or("by hand");
    let (action, target) = (&record.order.action, &record.order.target);
    match record.state {
        ActionState::Undone => format!("{action} on {target}: done ({by})"),
        state => {
            let name = state_name(state).replace('_', " ");
            format!("{action} on {target}: {name} ({by}; {})", record.why)
        }
    }
}

/// One case with what happened to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CaseWithTimeline {
    /// The case.
    #[serde(flatten)]
    case: CaseView,
    /// How many findings it has; the timeline shows the newest.
    #[schema(minimum = 0)]
    findings: u64,
    /// What happened, oldest first: the newest 500 of findings, of actions and of the rest.
    timeline: Vec<EntryView>,
}

impl From<CaseFile> for CaseWithTimeline {
    fn from(file: CaseFile) -> Self {
        Self {
            case: file.case.into(),
            findings: file.findings,
            timeline: file.timeline.into_iter().map(EntryView::from).collect(),
        }
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::NoCase(_) | DeskError::NoAction(_) | DeskError::NoPlaybook(_) => {
                Self::not_found(error)
            }
            DeskError::Case(_) | DeskError::Action(_) | DeskError::Refused(_) => {
                Self::conflict(error)
            }
            DeskError::Invalid(_) => Self::invalid(error),
            DeskError::Store(error) => error.into(),
            DeskError::Journal(error) => error.into(),
        }
    }
}

/// Lists cases.
#[utoipa::path(
    get,
    path = "/api/v1/cases",
    tag = "response",
    params(CaseQuery),
    responses((status = 200, description = "Cases, newest first.", body = Page<CaseView>))
)]
async fn list_cases(
    State(state): State<PeopleState>,
    Query(query): Query<CaseQuery>,
) -> Result<Json<Page<CaseView>>, Problem> {
    let states = match (query.state, query.open) {
        (Some(state), _) => vec![state],
        (None, true) => vec![
            CaseState::Open,
            CaseState::Investigating,
            CaseState::Contained,
        ],
        (None, false) => Vec::new(),
    };
    let filter = CaseFilter {
        states,
        subject: query.subject.map(|subject| subject.as_str().to_owned()),
        severity: query.severity,
    };
    let before = query.after.map(|after| after.ulid(CaseId::parse));
    let before = before
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let limit = query.limit.0;
    let found = state
        .store()
        .cases()
        .list(before, limit + 1, &filter)
        .await?;
    let items = found.into_iter().map(CaseView::from).collect();
    Ok(Json(cut(items, limit, |case: &CaseView| {
        case.id.to_string()
    })))
}

/// A page of what was read with one more than wanted.
pub(super) fn cut<T>(mut items: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Page<T> {
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let last = items.last().filter(|_| more);
    let next = last.map(|last| Cursor::after(key(last)));
    Page { items, next }
}

/// Shows a case and what happened to it.
#[utoipa::path(
    get,
    path = "/api/v1/cases/{id}",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case.")),
    responses((status = 200, description = "The case.", body = CaseWithTimeline))
)]
async fn get_case(
    State(state): State<PeopleState>,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<CaseWithTimeline>, Problem> {
    Ok(Json(state.parts().respond.case_file(id).await?.into()))
}

/// Whose a case is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "owner": "ann" }))]
pub(crate) struct AssignRequest {
    /// Whose; nobody's where it is null.
    #[schema(value_type = Option<Name>)]
    owner: Option<Name>,
}

/// Says whose a case is.
#[utoipa::path(
    post,
    path = "/api/v1/cases/{id}/assign",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case.")),
    request_body = AssignRequest,
    responses((status = 200, description = "The case as it is now.", body = CaseView))
)]
async fn assign_case(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<AssignRequest>,
) -> Result<Done<CaseView>, Problem> {
    let owner = request.owner.as_ref().map(Name::as_str);
    let case = state
        .parts()
        .respond
        .assign(id, owner, &caller.name)
        .await?;
    let target = format!("{id}: {}", owner.unwrap_or("nobody"));
    Ok(Done::changed(target, case.into()))
}

/// What there is to say about a case.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "text": "the installer confirms: it was not him" }))]
pub(crate) struct NoteRequest {
    /// The note.
    text: Text<1, 4000>,
}

/// Adds a note to a case.
#[utoipa::path(
    post,
    path = "/api/v1/cases/{id}/note",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case.")),
    request_body = NoteRequest,
    responses((status = 200, description = "The case as it is now.", body = CaseView))
)]
async fn note_case(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<NoteRequest>,
) -> Result<Done<CaseView>, Problem> {
    let respond = &state.parts().respond;
    let case = respond.note(id, &request.text.0, &caller.name).await?;
    Ok(Done::changed(id, case.into()))
}

/// How far a case is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "state": "closed", "reason": "the device was replaced" }))]
pub(crate) struct StateRequest {
    /// The state.
    #[schema(value_type = CaseStateDoc)]
    state: CaseState,
    /// Why; it is recorded.
    #[serde(default)]
    reason: Reason,
}

/// Takes a case to another state.
///
/// A case that is closed opens again when its subject is seen again, unless its verdict says that it is
/// nothing.
#[utoipa::path(
    post,
    path = "/api/v1/cases/{id}/state",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case.")),
    request_body = StateRequest,
    responses((status = 200, description = "The case as it is now.", body = CaseView))
)]
async fn set_case_state(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<StateRequest>,
) -> Result<Done<CaseView>, Problem> {
    let respond = &state.parts().respond;
    let reason = request.reason.as_str();
    let case = respond
        .set_case_state(id, request.state, reason, &caller.name)
        .await?;
    let target = format!("{id}: {}", request.state.as_str());
    Ok(Done::changed(target, case.into()).because(Some(reason).filter(|why| !why.is_empty())))
}

/// What a case came to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "verdict": "true_positive" }))]
pub(crate) struct CaseVerdictRequest {
    /// What it is.
    #[schema(value_type = VerdictDoc)]
    verdict: Verdict,
}

/// Judges a case, and with it its findings.
///
/// Playbooks answer no more findings of a case that is false or expected, its findings cost no trust from
/// now on, and their detectors hear of it. Actions in force stay until they are undone or end.
#[utoipa::path(
    post,
    path = "/api/v1/cases/{id}/verdict",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case.")),
    request_body = CaseVerdictRequest,
    responses((status = 200, description = "The case as it is now.", body = CaseView))
)]
async fn judge_case(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<CaseVerdictRequest>,
) -> Result<Done<CaseView>, Problem> {
    let (parts, verdict) = (state.parts(), request.verdict);
    let case = parts.respond.judge_case(id, verdict, &caller.name).await?;
    let note = format!("case {id}");
    for found in state.store().cases().findings(id, None, JUDGED).await? {
        let finding = found.finding.id;
        parts
            .detect
            .judge(finding, verdict, &caller.name, Some(&note))
            .await?;
    }
    let target = format!("{id}: {}", verdict.as_str());
    Ok(Done::changed(target, case.into()))
}

/// Into which case a case goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "into": "01JZX3R5W8Q2M4N6P7T9V0A1BC" }))]
pub(crate) struct MergeRequest {
    /// The case that takes it up.
    #[schema(value_type = schema::CaseId)]
    into: CaseId,
}

/// Puts all of a case into another, and closes it.
#[utoipa::path(
    post,
    path = "/api/v1/cases/{id}/merge",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case that goes.")),
    request_body = MergeRequest,
    responses((status = 200, description = "The case that took it up.", body = CaseView))
)]
async fn merge_case(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<MergeRequest>,
) -> Result<Done<CaseView>, Problem> {
    let respond = &state.parts().respond;
    let case = respond.merge(id, request.into, &caller.name).await?;
    let target = format!("{id} into {}", request.into);
    Ok(Done::changed(target, case.into()))
}

/// Which findings get a case of their own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "findings": ["01JZX3R5W8Q2M4N6P7T9V0A1BC"] }))]
pub(crate) struct SplitRequest {
    /// The findings, 1 to 500 of them.
    #[serde(deserialize_with = "some_findings")]
    #[schema(value_type = Vec<schema::FindingId>, min_items = 1, max_items = 500)]
    findings: Vec<FindingId>,
}

fn some_findings<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<FindingId>, D::Error> {
    let findings = Vec::deserialize(from)?;
    match findings.len() {
        1..=500 => Ok(findings),
        _ => Err(serde::de::Error::custom("name 1 to 500 findings")),
    }
}

/// Puts findings of a case into a case of their own.
#[utoipa::path(
    post,
    path = "/api/v1/cases/{id}/split",
    tag = "response",
    params(("id" = schema::CaseId, Path, description = "The case that they are of.")),
    request_body = SplitRequest,
    responses((status = 201, description = "Their own case.", body = CaseView))
)]
async fn split_case(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<CaseId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<SplitRequest>,
) -> Result<Done<CaseView>, Problem> {
    let respond = &state.parts().respond;
    let case = respond.split(id, &request.findings, &caller.name).await?;
    let target = format!("{id}: {} findings to {}", request.findings.len(), case.id);
    Ok(Done::created(target, case.into()))
}
