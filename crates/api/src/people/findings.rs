//! What detection found, and what people make of it.

use std::net::IpAddr;

use axum::{Json, extract::State};
use palisade_core::{Confidence, Detector, DeviceId, EventId, FindingId, Severity, Timestamp};
use palisade_detect::Subject;
use palisade_store::{FindingFilter, FindingRecord, FindingState, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    events::EventView,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Cursor, Limit, Page},
    routes::Routes,
    schema,
    text::Reason,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::DetectRead, "finding.list", routes!(list_findings))
        .read(Scope::DetectRead, "finding.read", routes!(get_finding))
        .write(Scope::DetectWrite, "finding.judge", routes!(judge_finding))
}

/// How bad a finding would be if it is true.
#[derive(ToSchema)]
#[schema(as = Severity, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) enum SeverityDoc {
    /// Worth knowing, asks for nothing.
    Informational,
    /// A notable event, seldom an incident.
    Low,
    /// Should be looked at by hand.
    Medium,
    /// Should be looked at soon.
    High,
    /// An incident.
    Critical,
}

/// Whether a finding still holds.
#[derive(ToSchema)]
#[schema(as = FindingState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for the store's type")]
pub(crate) enum StateDoc {
    /// It holds.
    Open,
    /// What was seen has ended.
    Cleared,
}

/// What a person made of a finding.
#[derive(ToSchema)]
#[schema(as = Verdict, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for the store's type")]
pub(crate) enum VerdictDoc {
    /// It is what the detector says.
    TruePositive,
    /// It is not.
    FalsePositive,
    /// It is, and it is meant to be.
    BenignExpected,
}

/// The name of a detector: `rule/<id>`, `baseline/<metric>` or `audit/<check>`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DetectorName(pub(super) String);

impl TryFrom<String> for DetectorName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let part = |text: &str| {
            let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inner)
        };
        let is_valid = name.len() <= 128
            && matches!(name.split_once('/'), Some(("rule" | "baseline" | "audit", id)) if part(id));
        match is_valid {
            true => Ok(Self(name)),
            false => Err("a detector is written rule/<id>, baseline/<metric> or audit/<check>"),
        }
    }
}

/// About whom a finding is, as text.
#[derive(Debug, Clone)]
struct SubjectName(String);

impl TryFrom<String> for SubjectName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.len() <= 128 && Subject::parse(&name).is_some() {
            true => Ok(Self(name)),
            false => Err(
                "a subject is written device/<id>, service/<id>, address/<ip>, \
                          api_token/<name>, account/<name> or fleet",
            ),
        }
    }
}

/// Which findings are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FindingQuery {
    /// Of this detector.
    #[param(value_type = Option<schema::DetectorName>)]
    detector: Option<DetectorName>,
    /// About this device.
    #[param(value_type = Option<schema::DeviceId>)]
    device: Option<DeviceId>,
    /// About this subject.
    #[param(value_type = Option<schema::SubjectName>)]
    subject: Option<String>,
    /// At least this bad.
    #[param(inline, value_type = Option<SeverityDoc>)]
    severity: Option<Severity>,
    /// In this state.
    #[param(inline, value_type = Option<StateDoc>)]
    state: Option<FindingState>,
    /// Only those that nobody judged yet.
    #[serde(default)]
    #[param(inline, value_type = Option<bool>)]
    unjudged: bool,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// One finding.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingView {
    /// Its name. The same finding seen again keeps it.
    #[schema(value_type = schema::FindingId)]
    id: FindingId,
    /// What found it.
    #[schema(value_type = schema::DetectorName)]
    detector: String,
    /// What it is called.
    title: String,
    /// How bad it would be.
    #[schema(value_type = SeverityDoc)]
    severity: Severity,
    /// How sure the detector is, 0 to 100.
    #[schema(value_type = u8, maximum = 100)]
    confidence: Confidence,
    /// What was seen, in one sentence.
    detail: String,
    /// ATT&CK techniques, as Sigma tags.
    techniques: Vec<String>,
    /// About whom.
    #[schema(value_type = schema::SubjectName)]
    subject: String,
    /// The device that it is about, if it is about one.
    #[schema(value_type = Option<schema::DeviceId>)]
    device: Option<DeviceId>,
    /// From which address it came, if known.
    #[schema(value_type = Option<schema::Address>)]
    source: Option<IpAddr>,
    /// Whether it still holds.
    #[schema(value_type = StateDoc)]
    state: FindingState,
    /// How often it was seen.
    #[schema(minimum = 1)]
    count: u64,
    /// When it was first seen.
    #[schema(value_type = schema::Time)]
    first_seen: Timestamp,
    /// When it was last seen.
    #[schema(value_type = schema::Time)]
    last_seen: Timestamp,
    /// The events that show it, the newest ones.
    #[schema(value_type = Vec<schema::EventId>)]
    evidence: Vec<EventId>,
    /// What a person made of it.
    #[schema(value_type = Option<VerdictDoc>)]
    verdict: Option<Verdict>,
    /// Who.
    verdict_by: Option<String>,
    /// What they say about it.
    verdict_note: Option<String>,
}

impl From<FindingRecord> for FindingView {
    fn from(record: FindingRecord) -> Self {
        let finding = record.finding;
        Self {
            id: finding.id,
            detector: Detector::to_string(&finding.detector),
            title: finding.title,
            severity: finding.severity,
            confidence: finding.confidence,
            detail: finding.detail,
            techniques: finding.techniques,
            subject: record.subject,
            device: record.device,
            source: record.source,
            state: record.state,
            count: finding.count,
            first_seen: finding.first_seen,
            last_seen: finding.last_seen,
            evidence: finding.evidence,
            verdict: record.verdict,
            verdict_by: record.verdict_by,
            verdict_note: record.verdict_note,
        }
    }
}

/// One finding with the events that show it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingWithEvents {
    /// The finding.
    #[serde(flatten)]
    finding: FindingView,
    /// Those of its events that are still on the stream, oldest first.
    events: Vec<EventView>,
}

/// Lists findings.
#[utoipa::path(
    get,
    path = "/api/v1/findings",
    tag = "detection",
    params(FindingQuery),
    responses((status = 200, description = "Findings, newest first.", body = Page<FindingView>))
)]
async fn list_findings(
    State(state): State<PeopleState>,
    Query(query): Query<FindingQuery>,
) -> Result<Json<Page<FindingView>>, Problem> {
    // The document's pattern cannot say which addresses there are: what has the form and is none is
    // not valid, rather than unreadable.
    let subject = query.subject.map(SubjectName::try_from).transpose();
    let subject = subject.map_err(|why| Problem::invalid(format!("subject: {why}")))?;
    let filter = FindingFilter {
        detector: query.detector.map(|name| name.0),
        subject: subject.map(|name| name.0),
        device: query.device,
        state: query.state,
        severity: query.severity,
        unjudged: query.unjudged,
    };
    let before = query.after.map(|after| after.ulid(FindingId::parse));
    let before = before
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let limit = query.limit.0;
    let findings = state.store().findings();
    let mut found = findings.list(before, limit + 1, &filter).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let items: Vec<FindingView> = found.into_iter().map(FindingView::from).collect();
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| Cursor::after(last.id.to_string()));
    Ok(Json(Page { items, next }))
}

/// Shows a finding and its evidence.
#[utoipa::path(
    get,
    path = "/api/v1/findings/{id}",
    tag = "detection",
    params(("id" = schema::FindingId, Path, description = "The finding.")),
    responses((status = 200, description = "The finding.", body = FindingWithEvents))
)]
async fn get_finding(
    State(state): State<PeopleState>,
    Path(id): Path<FindingId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<FindingWithEvents>, Problem> {
    let found = state.store().findings().find(id).await?;
    let record = found.ok_or_else(|| Problem::not_found(format_args!("finding {id}")))?;
    let journal = state.store().journal();
    let events = journal.events_named(&record.finding.evidence).await?;
    let events = events.iter().map(EventView::of).collect::<Result<_, _>>()?;
    Ok(Json(FindingWithEvents {
        finding: record.into(),
        events,
    }))
}

/// What a person makes of a finding.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "verdict": "false_positive", "note": "the installer tests every valve" }))]
pub(crate) struct VerdictRequest {
    /// What it is.
    #[schema(value_type = VerdictDoc)]
    verdict: Verdict,
    /// What there is to say about it.
    #[serde(default)]
    note: Reason,
}

/// Judges a finding.
///
/// A finding that is declared false or expected costs its device no trust from now on, and its detector
/// hears of it. A verdict can be changed by another one.
#[utoipa::path(
    post,
    path = "/api/v1/findings/{id}/verdict",
    tag = "detection",
    params(("id" = schema::FindingId, Path, description = "The finding.")),
    request_body = VerdictRequest,
    responses((status = 200, description = "The finding as it is now.", body = FindingView))
)]
async fn judge_finding(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<FindingId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<VerdictRequest>,
) -> Result<Done<FindingView>, Problem> {
    let note = Some(request.note.as_str()).filter(|note| !note.is_empty());
    let detect = &state.parts().detect;
    let judged = detect
        .judge(id, request.verdict, &caller.name, note)
        .await?;
    let record = judged.ok_or_else(|| Problem::not_found(format_args!("finding {id}")))?;
    let target = format!(
        "{id}: {} about {} is {}",
        record.finding.detector,
        record.subject,
        request.verdict.as_str()
    );
    let (about, note) = (record.device.clone(), note.map(str::to_owned));
    let done = Done::changed(target, record.into()).because(note);
    Ok(match about {
        Some(device) => done.about(device),
        None => done,
    })
}
