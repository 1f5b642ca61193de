//! Sigma rules: which are in force, what they found, and whether new ones would do.

use axum::{Json, extract::State};
use palisade_core::{Confidence, Severity, Timestamp};
use palisade_detect::rules::{
    Fired, Origin, ReloadError, Reloaded, Rule, RuleError, RuleKind, Rules, RulesStatus, posted,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    findings::SeverityDoc,
    page::{Page, PageQuery},
    policy::blocking,
    routes::Routes,
    schema,
    text::Text,
};
use crate::problem::{Problem, ProblemItem, ProblemKind};

/// The largest body with rules, in bytes.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Rules in Sigma's YAML.
pub(super) type Source = Text<1, 500_000>;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::DetectRead, "rule.list", routes!(list_rules))
        .read(
            Scope::DetectRead,
            "rule.read_status",
            routes!(get_rules_status),
        )
        .read(Scope::DetectRead, "rule.read", routes!(get_rule))
        .write(Scope::DetectWrite, "rule.enable", routes!(enable_rule))
        .write(Scope::DetectWrite, "rule.disable", routes!(disable_rule))
        .read(Scope::DetectRead, "rule.check", routes!(check_rules))
        .write(Scope::DetectWrite, "rule.reload", routes!(reload_rules))
}

/// What a rule is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct RuleName(String);

impl TryFrom<String> for RuleName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_valid = name.len() <= 128
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(inner);
        match is_valid {
            true => Ok(Self(name)),
            false => Err("a rule is called as its file: letters, digits, '.', '_' and '-'"),
        }
    }
}

/// From where a rule comes.
#[derive(ToSchema)]
#[schema(as = RuleOrigin, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum OriginDoc {
    /// It is part of Palisade.
    Shipped,
    /// It is the operator's.
    Own,
}

/// What a rule counts.
#[derive(ToSchema)]
#[schema(as = RuleKind, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for detection's type")]
pub(crate) enum KindDoc {
    /// It looks at one event.
    Detection,
    /// It counts events.
    EventCount,
    /// It counts different values.
    ValueCount,
    /// Several rules match within a time.
    Temporal,
    /// Several rules match one after the other within a time.
    TemporalOrdered,
}

/// One rule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rule)]
pub(crate) struct RuleView {
    /// What it is called: the name of its file without the ending.
    #[schema(value_type = schema::RuleId)]
    id: String,
    /// What people call it.
    title: String,
    /// What it is about.
    description: String,
    /// What it counts.
    #[schema(value_type = KindDoc)]
    kind: RuleKind,
    /// Events of which family it looks at, where it looks at one of them alone.
    category: Option<&'static str>,
    /// How bad what it finds would be.
    #[schema(value_type = SeverityDoc)]
    severity: Severity,
    /// How sure it is, 0 to 100.
    #[schema(value_type = u8, maximum = 100)]
    confidence: Confidence,
    /// Its tags, ATT&CK techniques among them.
    tags: Vec<String>,
    /// What it may mistake for what it looks for.
    false_positives: Vec<String>,
    /// From where it comes.
    #[schema(value_type = OriginDoc)]
    source: Origin,
    /// Whether it is switched on.
    enabled: bool,
    /// How often it matched since the server started.
    #[schema(minimum = 0)]
    fired: u64,
    /// When it last did.
    #[schema(value_type = Option<schema::Time>)]
    last_fired: Option<Timestamp>,
}

impl RuleView {
    fn of(rules: &Rules, rule: Rule) -> Self {
        let Fired { count, last } = rules.fired(&rule.id);
        Self {
            id: rule.id,
            title: rule.title,
            description: rule.description.trim_end().to_owned(),
            kind: rule.kind,
            category: rule.family.map(|family| family.as_str()),
            severity: rule.severity,
            confidence: rule.confidence,
            tags: rule.tags,
            false_positives: rule.false_positives,
            source: rule.origin,
            enabled: rule.enabled,
            fired: count,
            last_fired: last,
        }
    }
}

/// One rule with its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleWithText {
    /// The rule.
    #[serde(flatten)]
    rule: RuleView,
    /// Where to read more.
    references: Vec<String>,
    /// In which file it is.
    file: String,
    /// At which line of it.
    #[schema(minimum = 1)]
    line: u32,
    /// The file: Sigma in YAML.
    text: String,
}

/// Lists rules.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "detection",
    params(PageQuery),
    responses((status = 200, description = "Rules by name.", body = Page<RuleView>))
)]
async fn list_rules(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Json<Page<RuleView>> {
    let rules = &state.parts().rules;
    let set = rules.set();
    let mut all: Vec<&Rule> = set.rules().iter().filter(|rule| rule.speaks).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let views = all
        .into_iter()
        .map(|rule| RuleView::of(rules, rule.clone()));
    Json(Page::cut(views, &query, |rule| rule.id.clone()))
}

/// How rules stand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RulesStatus)]
pub(crate) struct StatusView {
    /// Rules.
    #[schema(minimum = 0)]
    rules: usize,
    /// Those that are switched on.
    #[schema(minimum = 0)]
    enabled: usize,
    /// When they came into force.
    #[schema(value_type = schema::Time)]
    loaded_at: Timestamp,
    /// Why newer ones did not, if so.
    problem: Option<RuleProblem>,
    /// Groups that correlations count in now.
    #[schema(minimum = 0)]
    groups: u64,
    /// Groups that were forgotten before their time, because there were too many.
    #[schema(minimum = 0)]
    groups_lost: u64,
    /// Matches beyond the most that one event may make.
    #[schema(minimum = 0)]
    matches_lost: u64,
    /// Events that came too late for the window they belonged to.
    #[schema(minimum = 0)]
    late: u64,
}

impl From<RulesStatus> for StatusView {
    fn from(status: RulesStatus) -> Self {
        Self {
            rules: status.rules,
            enabled: status.enabled,
            loaded_at: status.loaded_at,
            problem: status.problem.map(RuleProblem::from),
            groups: status.engine.groups,
            groups_lost: status.engine.groups_lost,
            matches_lost: status.engine.matches_lost,
            late: status.engine.late,
        }
    }
}

/// Shows how rules stand.
#[utoipa::path(
    get,
    path = "/api/v1/rules/status",
    tag = "detection",
    responses((status = 200, description = "How they stand.", body = StatusView))
)]
async fn get_rules_status(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<StatusView> {
    Json(state.parts().rules.status().into())
}

/// Shows a rule.
#[utoipa::path(
    get,
    path = "/api/v1/rules/{id}",
    tag = "detection",
    params(("id" = schema::RuleId, Path, description = "The rule.")),
    responses((status = 200, description = "The rule.", body = RuleWithText))
)]
async fn get_rule(
    State(state): State<PeopleState>,
    Path(RuleName(id)): Path<RuleName>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<RuleWithText>, Problem> {
    let rules = &state.parts().rules;
    let rule = rules.find(&id).ok_or_else(|| no_rule(&id))?;
    Ok(Json(RuleWithText {
        references: rule.references.clone(),
        file: rule.file.clone(),
        line: rule.line,
        text: rule.text.to_string(),
        rule: RuleView::of(rules, rule),
    }))
}

fn no_rule(id: &str) -> Problem {
    Problem::not_found(format_args!("rule {id}"))
}

/// Switches a rule on.
#[utoipa::path(
    post,
    path = "/api/v1/rules/{id}/enable",
    tag = "detection",
    params(("id" = schema::RuleId, Path, description = "The rule.")),
    responses((status = 200, description = "The rule as it is now.", body = RuleView))
)]
async fn enable_rule(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(RuleName(id)): Path<RuleName>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<RuleView>, Problem> {
    switch(&state, &id, true, &caller).await
}

/// Switches a rule off. It finds nothing from now on, and stays off when the server starts again.
#[utoipa::path(
    post,
    path = "/api/v1/rules/{id}/disable",
    tag = "detection",
    params(("id" = schema::RuleId, Path, description = "The rule.")),
    responses((status = 200, description = "The rule as it is now.", body = RuleView))
)]
async fn disable_rule(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(RuleName(id)): Path<RuleName>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<RuleView>, Problem> {
    switch(&state, &id, false, &caller).await
}

async fn switch(
    state: &PeopleState,
    id: &str,
    enabled: bool,
    caller: &Caller,
) -> Result<Done<RuleView>, Problem> {
    let rules = &state.parts().rules;
    let switched = rules.switch(id, enabled, &caller.name).await?;
    let rule = switched.ok_or_else(|| no_rule(id))?;
    Ok(Done::changed(rule.id.clone(), RuleView::of(rules, rule)))
}

/// Rules in Sigma's YAML.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulesRequest {
    /// The rules; several are separated by `---`. They may be about shipped ones.
    text: Source,
}

/// What is wrong with a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleProblem {
    /// In which file.
    file: String,
    /// At which line.
    #[schema(minimum = 1)]
    line: u32,
    /// What, and what would be right.
    reason: String,
}

impl From<RuleError> for RuleProblem {
    fn from(error: RuleError) -> Self {
        Self {
            file: error.file,
            line: error.line,
            reason: error.reason,
        }
    }
}

/// Whether rules would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RulesReport)]
pub(crate) struct ReportView {
    /// Whether they would.
    valid: bool,
    /// The titles of those that speak.
    titles: Vec<String>,
    /// What is wrong with the first that would not.
    problem: Option<RuleProblem>,
}

/// Checks rules; nothing comes into force.
#[utoipa::path(
    post,
    path = "/api/v1/rules/check",
    tag = "detection",
    request_body = RulesRequest,
    responses((status = 200, description = "Whether they would do.", body = ReportView))
)]
async fn check_rules(
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<RulesRequest, MAX_BODY>,
) -> Result<Json<ReportView>, Problem> {
    let report = match blocking(move || posted(&request.text.0)).await? {
        Ok(set) => ReportView {
            valid: true,
            titles: set
                .rules()
                .iter()
                .filter(|rule| rule.is_told())
                .map(|rule| rule.title.clone())
                .collect(),
            problem: None,
        },
        Err(error) => ReportView {
            valid: false,
            titles: Vec::new(),
            problem: Some(error.into()),
        },
    };
    Ok(Json(report))
}

/// What came into force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RulesReloaded)]
pub(crate) struct ReloadedView {
    /// Rules.
    #[schema(minimum = 0)]
    rules: usize,
    /// Files, shipped ones included.
    #[schema(minimum = 0)]
    files: usize,
}

/// Reads the operator's own rules again. All of them come into force, or none.
#[utoipa::path(
    post,
    path = "/api/v1/rules/reload",
    tag = "detection",
    responses((status = 200, description = "What came into force.", body = ReloadedView))
)]
async fn reload_rules(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<ReloadedView>, Problem> {
    let Reloaded { rules, files } = state.parts().rules.reload().await?;
    let target = format!("{rules} rules");
    Ok(Done::changed(target, ReloadedView { rules, files }))
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Rule(error) => error.into(),
            ReloadError::Detect(error) => error.into(),
            ReloadError::Ending => Self::unavailable("the server is ending; try again", &error),
        }
    }
}

impl From<RuleError> for Problem {
    fn from(error: RuleError) -> Self {
        let item = ProblemItem {
            line: Some(u64::from(error.line)),
            field: Some(error.file.clone()),
            detail: error.reason.clone(),
        };
        Self::new(ProblemKind::Invalid, error).with_errors(vec![item])
    }
}
