//! Playbooks: read, checked, switched.

use axum::{Json, extract::State};
use palisade_core::Severity;
use palisade_respond::{Origin, PlaybookInfo, PlaybookProblem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    actions::ModeDoc,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    findings::SeverityDoc,
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    text::Text,
};
use crate::problem::{Problem, ProblemItem};

pub(super) fn routes() -> Routes {
    let (read, write) = (Scope::RespondRead, Scope::RespondWrite);
    Routes::default()
        .read(read, "playbook.list", routes!(list_playbooks))
        .read(read, "playbook.read", routes!(get_playbook))
        .read(read, "playbook.check", routes!(check_playbook))
        .write(write, "playbook.enable", routes!(enable_playbook))
        .write(write, "playbook.disable", routes!(disable_playbook))
}

/// Where a playbook comes from.
#[derive(ToSchema)]
#[schema(as = PlaybookOrigin, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for the type of response")]
pub(crate) enum OriginDoc {
    /// It comes with Palisade.
    Shipped,
    /// From a file of the configured directory.
    File,
}

/// One action of a playbook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlaybookAction)]
pub(crate) struct StepView {
    /// The name of the action.
    action: String,
    /// How it is done.
    #[schema(value_type = ModeDoc)]
    mode: palisade_core::Mode,
    /// After what time it is undone by itself (`1h`).
    ttl: Option<String>,
}

/// A playbook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Playbook)]
pub(crate) struct PlaybookView {
    /// Its name.
    #[schema(value_type = schema::PlaybookName)]
    name: String,
    /// What it is for.
    description: String,
    /// Whether it is on.
    enabled: bool,
    /// Where it comes from.
    #[schema(value_type = OriginDoc)]
    origin: Origin,
    /// The detectors that set it off.
    detectors: Vec<String>,
    /// The ATT&CK techniques that set it off.
    techniques: Vec<String>,
    /// From which severity on.
    #[schema(value_type = SeverityDoc)]
    min_severity: Severity,
    /// What it does, in order.
    actions: Vec<StepView>,
    /// Its text in YAML.
    text: String,
}

impl From<PlaybookInfo> for PlaybookView {
    fn from(info: PlaybookInfo) -> Self {
        let playbook = &info.playbook;
        let actions = playbook.actions.iter().map(|step| StepView {
            action: step.action.clone(),
            mode: step.mode,
            ttl: step.ttl.map(|ttl| ttl.to_string()),
        });
        Self {
            name: playbook.name.clone(),
            description: playbook.description.trim().to_owned(),
            enabled: info.enabled,
            origin: info.origin,
            detectors: playbook.trigger.detectors.clone(),
            techniques: playbook.trigger.techniques.clone(),
            min_severity: playbook.trigger.min_severity,
            actions: actions.collect(),
            text: info.text.to_string(),
        }
    }
}

/// Lists playbooks.
#[utoipa::path(
    get,
    path = "/api/v1/playbooks",
    tag = "response",
    params(PageQuery),
    responses((status = 200, description = "Playbooks by name.", body = Page<PlaybookView>))
)]
async fn list_playbooks(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<PlaybookView>>, Problem> {
    let all = state.parts().respond.playbooks();
    let views = all.into_iter().map(PlaybookView::from);
    Ok(Json(Page::cut(views, &query, |one| one.name.clone())))
}

/// Shows a playbook.
#[utoipa::path(
    get,
    path = "/api/v1/playbooks/{name}",
    tag = "response",
    params(("name" = schema::PlaybookName, Path, description = "The playbook.")),
    responses((status = 200, description = "The playbook.", body = PlaybookView))
)]
async fn get_playbook(
    State(state): State<PeopleState>,
    Path(name): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PlaybookView>, Problem> {
    Ok(Json(state.parts().respond.playbook(&name)?.into()))
}

/// A text that may be a playbook.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "text": "name: scans\ndescription: a scan\ntrigger: { detectors: [\"rule/mqtt-*\"] }\n\
             actions:\n  - { action: quarantine, mode: approve, ttl: 1h }\n"
}))]
pub(crate) struct PlaybookText {
    /// The text in YAML.
    text: Text<0, 65_536>,
}

/// What a text was found to be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlaybookChecked {
    /// The name of the playbook.
    #[schema(value_type = schema::PlaybookName)]
    name: String,
    /// How many actions it has.
    #[schema(minimum = 1)]
    actions: usize,
}

impl From<PlaybookProblem> for Problem {
    fn from(problem: PlaybookProblem) -> Self {
        let item = ProblemItem {
            line: problem.line.map(|line| line as u64),
            field: problem.file.clone(),
            detail: problem.message.clone(),
        };
        Self::invalid(problem).with_errors(vec![item])
    }
}

/// Checks a text against the actions, webhooks and grant sets of this installation. It is put nowhere.
#[utoipa::path(
    post,
    path = "/api/v1/playbooks/check",
    tag = "response",
    request_body = PlaybookText,
    responses((status = 200, description = "It is a playbook.", body = PlaybookChecked))
)]
async fn check_playbook(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<PlaybookText>,
) -> Result<Json<PlaybookChecked>, Problem> {
    let playbook = state.parts().respond.check_playbook(&request.text.0)?;
    Ok(Json(PlaybookChecked {
        name: playbook.name,
        actions: playbook.actions.len(),
    }))
}

/// Switches a playbook on.
#[utoipa::path(
    post,
    path = "/api/v1/playbooks/{name}/enable",
    tag = "response",
    params(("name" = schema::PlaybookName, Path, description = "The playbook.")),
    responses((status = 200, description = "It is on.", body = PlaybookView))
)]
async fn enable_playbook(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<PlaybookView>, Problem> {
    let respond = &state.parts().respond;
    let playbook = respond.switch_playbook(&name, true, &caller.name).await?;
    Ok(Done::changed(name, playbook.into()))
}

/// Switches a playbook off. What it ordered before goes on.
#[utoipa::path(
    post,
    path = "/api/v1/playbooks/{name}/disable",
    tag = "response",
    params(("name" = schema::PlaybookName, Path, description = "The playbook.")),
    responses((status = 200, description = "It is off.", body = PlaybookView))
)]
async fn disable_playbook(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<PlaybookView>, Problem> {
    let respond = &state.parts().respond;
    let playbook = respond.switch_playbook(&name, false, &caller.name).await?;
    Ok(Done::changed(name, playbook.into()))
}
