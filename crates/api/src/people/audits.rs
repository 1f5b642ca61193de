//! Audits: what is checked, when it was, what was found, and the step that mends it.

use axum::{Json, extract::State};
use palisade_core::{AuditRunId, Severity, Timestamp};
use palisade_detect::audit::{AuditError, Check, Mitigation};
use palisade_store::{AuditResource, AuditResult, AuditRun, AuditState};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    findings::SeverityDoc,
    page::{Cursor, Limit, Page, PageQuery},
    routes::Routes,
    schema,
};
use crate::problem::Problem;

/// The most checks that a request names; there are fewer.
const MOST_CHECKS: usize = 64;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::DetectRead, "audit.list", routes!(list_audits))
        .write(Scope::DetectWrite, "audit.run", routes!(run_audit))
        .read(
            Scope::DetectRead,
            "audit.list_runs",
            routes!(list_audit_runs),
        )
        .read(Scope::DetectRead, "audit.read_run", routes!(get_audit_run))
        .read(
            Scope::DetectRead,
            "audit.list_resources",
            routes!(list_audit_resources),
        )
}

/// The name of a check, in the document.
pub(super) struct CheckDoc;

impl PartialSchema for CheckDoc {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("An audit check."))
            .enum_values(Some(Check::ALL.map(Check::as_str)))
            .into()
    }
}

impl ToSchema for CheckDoc {
    fn name() -> std::borrow::Cow<'static, str> {
        "AuditCheckName".into()
    }
}

/// What came of a check.
#[derive(ToSchema)]
#[schema(as = AuditState, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for the store's type")]
pub(crate) enum AuditStateDoc {
    /// All is as it should be.
    Compliant,
    /// Something is not.
    NonCompliant,
    /// It could not be looked at.
    Failed,
}

/// The one step that mends what a check found.
#[derive(ToSchema)]
#[schema(as = Mitigation, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum MitigationDoc {
    /// Revoke the certificate.
    RevokeCertificate,
    /// Remove the grant.
    RemoveGrant,
    /// Quarantine the device.
    QuarantineDevice,
    /// Retire the device.
    RetireDevice,
    /// Close the device's sessions.
    DisconnectDevice,
    /// Make a new issuer.
    RenewIssuer,
    /// Make a new list of revoked certificates.
    RefreshCrl,
    /// Verify the ledger.
    VerifyLedger,
    /// Revoke the API token.
    RevokeApiToken,
    /// Revoke the enrolment token.
    RevokeEnrolmentToken,
    /// A person has to do it.
    ByHand,
}

/// What a check found within a run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditResult)]
pub(crate) struct ResultView {
    /// Which run.
    #[schema(value_type = schema::AuditRunId)]
    run: AuditRunId,
    /// Which check.
    #[schema(value_type = CheckDoc)]
    check: String,
    /// What came of it.
    #[schema(value_type = AuditStateDoc)]
    state: AuditState,
    /// How many things were looked at.
    #[schema(minimum = 0)]
    looked_at: u64,
    /// How many of them are not as they should be.
    #[schema(minimum = 0)]
    non_compliant: u64,
    /// How many of those are listed.
    #[schema(minimum = 0)]
    listed: u64,
    /// Why it failed.
    note: Option<String>,
    /// When it ended.
    #[schema(value_type = schema::Time)]
    ended_at: Timestamp,
}

impl From<AuditResult> for ResultView {
    fn from(result: AuditResult) -> Self {
        Self {
            run: result.run,
            check: result.check,
            state: result.state,
            looked_at: result.looked_at,
            non_compliant: result.non_compliant,
            listed: result.listed,
            note: result.note,
            ended_at: result.ended_at,
        }
    }
}

/// One check, and what it found last.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditCheck)]
pub(crate) struct CheckView {
    /// Its name.
    #[schema(value_type = CheckDoc)]
    check: Check,
    /// What its finding is called.
    title: &'static str,
    /// How bad that is.
    #[schema(value_type = SeverityDoc)]
    severity: Severity,
    /// Why it matters.
    meaning: &'static str,
    /// The one step that mends it.
    #[schema(value_type = MitigationDoc)]
    mitigation: Mitigation,
    /// That step on the command line.
    command: &'static str,
    /// Whether it runs at all.
    enabled: bool,
    /// What it found when it ran last.
    last: Option<ResultView>,
}

/// The checks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditChecks {
    /// All there are.
    items: Vec<CheckView>,
}

/// Lists the checks, and what each found when it ran last.
#[utoipa::path(
    get,
    path = "/api/v1/audits",
    tag = "audits",
    responses((status = 200, description = "The checks.", body = AuditChecks))
)]
async fn list_audits(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<AuditChecks>, Problem> {
    let auditor = state.parts().detect.auditor();
    let mut items = Vec::new();
    for check in Check::ALL {
        let about = check.about();
        let last = state.store().audits().last_of(check.as_str()).await?;
        items.push(CheckView {
            check,
            title: about.title,
            severity: about.severity,
            meaning: about.meaning,
            mitigation: about.mitigation,
            command: about.command,
            enabled: auditor.is_on(check),
            last: last.map(ResultView::from),
        });
    }
    Ok(Json(AuditChecks { items }))
}

/// What is to be checked.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "checks": ["permissive-grant"] }))]
pub(crate) struct RunRequest {
    /// Which checks; all that are not off where none is named.
    #[serde(default)]
    #[schema(value_type = Vec<CheckDoc>, max_items = 64)]
    checks: Vec<Check>,
}

/// A run of checks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditRun)]
pub(crate) struct RunView {
    /// Its name.
    #[schema(value_type = schema::AuditRunId)]
    id: AuditRunId,
    /// Who asked for it; `schedule` where nobody did.
    started_by: String,
    /// When it began.
    #[schema(value_type = schema::Time)]
    started_at: Timestamp,
    /// When it ended. Null while it runs.
    #[schema(value_type = Option<schema::Time>)]
    ended_at: Option<Timestamp>,
    /// Whether the server ended before it did.
    interrupted: bool,
}

impl From<AuditRun> for RunView {
    fn from(run: AuditRun) -> Self {
        Self {
            id: run.id,
            started_by: run.started_by,
            started_at: run.started_at,
            ended_at: run.ended_at,
            interrupted: run.interrupted,
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Busy => Self::conflict(error),
            AuditError::NothingToDo => Self::invalid(error),
            AuditError::NotReady => Self::unavailable(&error, &error),
            AuditError::Store(error) => error.into(),
        }
    }
}

/// Runs checks now. The answer comes when they begin; the run says when they have ended.
#[utoipa::path(
    post,
    path = "/api/v1/audits/run",
    tag = "audits",
    request_body = RunRequest,
    responses((status = 202, description = "The run has begun.", body = RunView))
)]
async fn run_audit(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<RunRequest>,
) -> Result<Done<RunView>, Problem> {
    let auditor = state.parts().detect.auditor();
    if request.checks.len() > MOST_CHECKS {
        let detail = format!("checks: at most {MOST_CHECKS} are named");
        return Err(Problem::invalid(detail));
    }
    let audit = auditor.begin(&caller.name, &request.checks).await?;
    let id = audit.id();
    let closing = state.closing().clone();
    drop(state.spawn(async move {
        if let Err(error) = audit.finish(&closing).await {
            tracing::error!(run = %id, %error, "an audit did not come to its end");
        }
    }));
    let run = known_run(&state, id).await?;
    let names: Vec<&str> = request.checks.iter().map(|check| check.as_str()).collect();
    let target = match names.as_slice() {
        [] => format!("{id}: all checks"),
        names => format!("{id}: {}", names.join(", ")),
    };
    Ok(Done::accepted(target, run.into()))
}

pub(super) async fn known_run(state: &PeopleState, id: AuditRunId) -> Result<AuditRun, Problem> {
    let found = state.store().audits().find(id).await?;
    found.ok_or_else(|| Problem::not_found(format_args!("audit run {id}")))
}

/// Lists runs.
#[utoipa::path(
    get,
    path = "/api/v1/audits/runs",
    tag = "audits",
    params(PageQuery),
    responses((status = 200, description = "Runs, newest first.", body = Page<RunView>))
)]
async fn list_audit_runs(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<RunView>>, Problem> {
    let before = query.after.map(|after| after.ulid(AuditRunId::parse));
    let before = before
        .transpose()
        .map_err(|error| Problem::internal(&error))?;
    let limit = query.limit.0;
    let mut found = state.store().audits().runs(before, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| Cursor::after(last.id.to_string()));
    let items = found.into_iter().map(RunView::from).collect();
    Ok(Json(Page { items, next }))
}

/// A run, and what each check found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditReport {
    /// The run.
    #[serde(flatten)]
    run: RunView,
    /// How many checks found something that is not as it should be.
    #[schema(minimum = 0)]
    non_compliant_checks: usize,
    /// What each check found.
    results: Vec<ResultView>,
}

/// Shows a run, and what each check found.
#[utoipa::path(
    get,
    path = "/api/v1/audits/runs/{id}",
    tag = "audits",
    params(("id" = schema::AuditRunId, Path, description = "The run.")),
    responses((status = 200, description = "The report.", body = AuditReport))
)]
async fn get_audit_run(
    State(state): State<PeopleState>,
    Path(id): Path<AuditRunId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<AuditReport>, Problem> {
    // The run first: where it has ended, its results are whole.
    let run = known_run(&state, id).await?;
    let results = state.store().audits().results(id).await?;
    let is_bad = |result: &&AuditResult| result.state == AuditState::NonCompliant;
    Ok(Json(AuditReport {
        run: run.into(),
        non_compliant_checks: results.iter().filter(is_bad).count(),
        results: results.into_iter().map(ResultView::from).collect(),
    }))
}

/// Which of what a run found is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResourceQuery {
    /// Of this check.
    #[param(inline, value_type = CheckDoc)]
    check: Check,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// Something that is not as it should be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditResource)]
pub(crate) struct ResourceView {
    /// What.
    #[schema(example = "grant/01JZX3R5W8Q2M4N6P7T9V0A1BC")]
    resource: String,
    /// About whom the finding is.
    #[schema(value_type = schema::SubjectName)]
    subject: String,
    /// What is wrong, in one sentence.
    detail: String,
    /// When it was mended by a step of the audit, if it was.
    #[schema(value_type = Option<schema::Time>)]
    mitigated_at: Option<Timestamp>,
    /// By whom.
    mitigated_by: Option<String>,
}

impl From<AuditResource> for ResourceView {
    fn from(resource: AuditResource) -> Self {
        Self {
            resource: resource.resource,
            subject: resource.subject,
            detail: resource.detail,
            mitigated_at: resource.mitigated_at,
            mitigated_by: resource.mitigated_by,
        }
    }
}

/// Lists what a check found within a run.
#[utoipa::path(
    get,
    path = "/api/v1/audits/runs/{id}/resources",
    tag = "audits",
    params(("id" = schema::AuditRunId, Path, description = "The run."), ResourceQuery),
    responses((status = 200, description = "What is not as it should be, by name.",
        body = Page<ResourceView>))
)]
async fn list_audit_resources(
    State(state): State<PeopleState>,
    Path(id): Path<AuditRunId>,
    Query(query): Query<ResourceQuery>,
) -> Result<Json<Page<ResourceView>>, Problem> {
    known_run(&state, id).await?;
    let after = query.after.as_ref().map_or("", Cursor::key);
    let (check, limit) = (query.check.as_str(), query.limit.0);
    let audits = state.store().audits();
    let mut found = audits.resources(id, check, after, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| Cursor::after(last.resource.clone()));
    let items = found.into_iter().map(ResourceView::from).collect();
    Ok(Json(Page { items, next }))
}
