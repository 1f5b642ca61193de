//! The Cedar policies: read, checked, tested, applied, taken back.

use axum::{Json, extract::State};
use palisade_core::Timestamp;
use palisade_policy::{Pdp, PolicyInfo, PolicyProblem, TestOutcome};
use palisade_store::PolicyVersion;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Query},
    page::{Limit, Position},
    routes::Routes,
    schema,
    text::{Line, Text},
    whole::Whole,
};
use crate::problem::{Problem, ProblemBody};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::PolicyRead, "policy.read", routes!(get_policy))
        .read(
            Scope::PolicyRead,
            "policy.list_versions",
            routes!(list_policy_versions),
        )
        .read(Scope::PolicyRead, "policy.check", routes!(check_policy))
        .read(Scope::PolicyRead, "policy.test", routes!(test_policy))
        .write(Scope::PolicyWrite, "policy.apply", routes!(apply_policy))
        .write(
            Scope::PolicyWrite,
            "policy.rollback",
            routes!(roll_back_policy),
        )
}

/// Why policies are changed; it must be said.
type Why = Line<1, 500>;
/// A Cedar text, or a table of tests.
pub(super) type Source = Text<0, 250_000>;
/// The largest body with such texts, in bytes: two of them, and what JSON makes of them.
pub(super) const MAX_BODY: usize = 4 * 1024 * 1024;

/// A version of the policies.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyVersion)]
pub(crate) struct VersionView {
    /// 1, 2, 3, ...
    #[schema(minimum = 1)]
    version: u64,
    /// The Cedar text.
    text: String,
    /// The table of tests that it passed (TOML).
    tests: String,
    /// Who applied it.
    author: String,
    /// Why.
    reason: String,
    /// When.
    #[schema(value_type = schema::Time)]
    applied_at: Timestamp,
}

impl From<PolicyVersion> for VersionView {
    fn from(version: PolicyVersion) -> Self {
        Self {
            version: version.version,
            text: version.text,
            tests: version.tests,
            author: version.author,
            reason: version.reason,
            applied_at: version.applied_at,
        }
    }
}

/// One policy of the text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyInfo)]
pub(crate) struct InfoView {
    /// Its `@id`.
    id: String,
    /// `permit` or `forbid`.
    effect: String,
}

impl From<PolicyInfo> for InfoView {
    fn from(info: PolicyInfo) -> Self {
        Self {
            id: info.id,
            effect: info.effect,
        }
    }
}

/// The policies in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyInForce {
    /// The version.
    #[serde(flatten)]
    version: VersionView,
    /// Its policies.
    policies: Vec<InfoView>,
    /// Moves with each change of policies or grants.
    #[schema(minimum = 0)]
    epoch: u64,
}

/// Reads the policies in force.
#[utoipa::path(
    get,
    path = "/api/v1/policy",
    tag = "policy",
    responses((status = 200, description = "The policies in force.", body = PolicyInForce))
)]
async fn get_policy(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PolicyInForce>, Problem> {
    let pdp = &state.parts().pdp;
    let version = PolicyVersion::clone(&pdp.policies());
    Ok(Json(PolicyInForce {
        version: version.into(),
        policies: pdp.policy_infos().into_iter().map(Into::into).collect(),
        epoch: pdp.policy_epoch().0,
    }))
}

/// Which versions are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionQuery {
    /// The `next` of the part before: versions older than this one.
    #[param(inline, value_type = Option<Position>)]
    after: Option<Position>,
    /// The most versions wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// A part of the list of versions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionPage {
    /// The versions.
    items: Vec<VersionView>,
    /// Where the list goes on: `after` of the next request. Null where this was the end.
    next: Option<String>,
}

/// Lists versions of the policies, newest first, the newest thousand.
#[utoipa::path(
    get,
    path = "/api/v1/policy/versions",
    tag = "policy",
    params(VersionQuery),
    responses((status = 200, description = "Versions.", body = VersionPage))
)]
async fn list_policy_versions(
    State(state): State<PeopleState>,
    Query(query): Query<VersionQuery>,
) -> Result<Json<VersionPage>, Problem> {
    let before = query.after.map_or(u64::MAX, |after| after.0);
    let versions = state.parts().pdp.versions(1_000).await?;
    let mut rest = versions
        .into_iter()
        .filter(|version| version.version < before)
        .map(VersionView::from);
    let items: Vec<_> = rest.by_ref().take(query.limit.0 as usize).collect();
    let more = rest.next().is_some();
    let last = items.last().filter(|_| more);
    let next = last.map(|last| last.version.to_string());
    Ok(Json(VersionPage { items, next }))
}

/// A Cedar text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextRequest {
    /// The Cedar text.
    pub(super) text: Source,
}

/// What is wrong with a policy text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyProblem)]
pub(crate) struct ProblemView {
    /// The line, from 1, where it is known.
    #[schema(minimum = 0)]
    line: Option<usize>,
    /// The policy's `@id`, where it is known.
    policy: Option<String>,
    /// What is wrong.
    message: String,
}

impl From<PolicyProblem> for ProblemView {
    fn from(problem: PolicyProblem) -> Self {
        Self {
            line: problem.line,
            policy: problem.policy,
            message: problem.message,
        }
    }
}

/// Whether a text could be applied.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckReport {
    /// Whether it could.
    valid: bool,
    /// What is wrong with it.
    problems: Vec<ProblemView>,
}

/// Checks a text against the schema of requests, and changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/policy/check",
    tag = "policy",
    request_body = TextRequest,
    responses((status = 200, description = "What is wrong with it, if anything.", body = CheckReport))
)]
async fn check_policy(
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<TextRequest, MAX_BODY>,
) -> Result<Json<CheckReport>, Problem> {
    let problems = blocking(move || Pdp::check(&request.text.0)).await?;
    Ok(Json(CheckReport {
        valid: problems.is_empty(),
        problems: problems.into_iter().map(Into::into).collect(),
    }))
}

/// A text and a table of tests.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestRequest {
    /// The Cedar text; the one in force, where it is absent.
    text: Option<Source>,
    /// The table of tests (TOML); that of the version in force, where it is absent.
    tests: Option<Source>,
}

/// What came of one test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TestOutcome)]
pub(crate) struct OutcomeView {
    /// The test's name.
    name: String,
    /// Whether it came out as expected.
    passed: bool,
    /// What was expected, `allow` or `deny`.
    expected: String,
    /// What was decided, `allow` or `deny`.
    found: String,
    /// Why it was denied, if it was.
    reason: Option<String>,
    /// The policies that decided.
    #[schema(value_type = Vec<schema::PolicyId>)]
    policies: Vec<String>,
}

impl From<TestOutcome> for OutcomeView {
    fn from(outcome: TestOutcome) -> Self {
        Self {
            name: outcome.name,
            passed: outcome.passed,
            expected: outcome.expected,
            found: outcome.found,
            reason: outcome.reason.map(|reason| reason.to_string()),
            policies: outcome.policies.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What came of a table of tests.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestReport {
    /// Whether all passed.
    passed: bool,
    /// Each test.
    tests: Vec<OutcomeView>,
}

/// Runs a table of tests against a text, and changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/policy/test",
    tag = "policy",
    request_body = TestRequest,
    responses((status = 200, description = "What came of each test.", body = TestReport))
)]
async fn test_policy(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<TestRequest, MAX_BODY>,
) -> Result<Json<TestReport>, Problem> {
    let current = state.parts().pdp.policies();
    let outcomes = blocking(move || {
        let text = request
            .text
            .map_or_else(|| current.text.clone(), |text| text.0);
        let tests = request
            .tests
            .map_or_else(|| current.tests.clone(), |tests| tests.0);
        Pdp::test(&text, &tests)
    })
    .await??;
    Ok(Json(TestReport {
        passed: outcomes.iter().all(|outcome| outcome.passed),
        tests: outcomes.into_iter().map(Into::into).collect(),
    }))
}

/// Policies to be put in force.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyRequest {
    /// The Cedar text.
    text: Source,
    /// The table of tests (TOML) that it must pass; that of the version in force, where it is absent.
    tests: Option<Source>,
    /// Why.
    reason: Why,
}

/// Puts policies in force, once they are valid and pass their tests.
///
/// Live sessions are decided anew at once. What was in force stays a version that can be gone back to.
#[utoipa::path(
    post,
    path = "/api/v1/policy/apply",
    tag = "policy",
    request_body = ApplyRequest,
    responses((status = 200, description = "The version now in force.", body = VersionView))
)]
async fn apply_policy(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ApplyRequest, MAX_BODY>,
) -> Result<Done<VersionView>, Problem> {
    let pdp = &state.parts().pdp;
    let tests = request
        .tests
        .map_or_else(|| pdp.policies().tests.clone(), |tests| tests.0);
    let reason = request.reason.as_str();
    let applied = pdp
        .apply(&request.text.0, &tests, &caller.name, reason)
        .await?;
    Ok(done(&applied, request.reason))
}

/// Which version to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "version": 1, "reason": "version 2 locked the cameras out" }))]
pub(crate) struct RollbackRequest {
    /// The version; it is applied as a new one.
    version: Whole<0, { u32::MAX }>,
    /// Why.
    reason: Why,
}

/// Puts the text of an earlier version in force again, as a new version.
#[utoipa::path(
    post,
    path = "/api/v1/policy/rollback",
    tag = "policy",
    request_body = RollbackRequest,
    responses(
        (status = 200, description = "The version now in force.", body = VersionView),
        (
            status = 404,
            description = "There is no such version.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn roll_back_policy(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<RollbackRequest>,
) -> Result<Done<VersionView>, Problem> {
    let (version, reason) = (u64::from(request.version.value()), request.reason.as_str());
    let pdp = &state.parts().pdp;
    let applied = pdp.rollback(version, &caller.name, reason).await?;
    Ok(done(&applied, request.reason))
}

fn done(applied: &PolicyVersion, reason: Why) -> Done<VersionView> {
    let target = format!("version {}", applied.version);
    Done::changed(target, applied.clone().into()).because(Some(reason))
}

/// Runs what takes its time where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::internal(&error))
}
