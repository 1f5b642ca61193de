//! What is known and not to be reported.

use axum::{Json, extract::State};
use palisade_core::{ProductId, SegmentId, SuppressionId, Timestamp};
use palisade_detect::Subject;
use palisade_store::Suppression;
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    findings::DetectorName,
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    text::Line,
};
use crate::problem::Problem;

/// Each is looked at for each alarm.
const MOST: usize = 1_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::DetectRead,
            "suppression.list",
            routes!(list_suppressions),
        )
        .write(
            Scope::DetectWrite,
            "suppression.add",
            routes!(add_suppression),
        )
        .write(
            Scope::DetectWrite,
            "suppression.remove",
            routes!(remove_suppression),
        )
}

/// Which detectors: one by its name, or `*` for all.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct DetectorScope(String);

impl TryFrom<String> for DetectorScope {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == "*" {
            return Ok(Self(name));
        }
        match DetectorName::try_from(name) {
            Ok(DetectorName(name)) => Ok(Self(name)),
            Err(why) => Err(format!("{why}, or * for all")),
        }
    }
}

impl PartialSchema for DetectorScope {
    fn schema() -> RefOr<Schema> {
        let pattern = format!(r"^\*$|{}", schema::DETECTOR);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A detector, or `*` for all."))
            .pattern(Some(pattern))
            .max_length(Some(128))
            .into()
    }
}

impl ToSchema for DetectorScope {
    fn name() -> std::borrow::Cow<'static, str> {
        "DetectorScope".into()
    }
}

/// About whom: one subject, the devices of a product or a segment, or `*` for all.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SubjectScope(String);

impl TryFrom<String> for SubjectScope {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_valid = match name.split_once('/') {
            _ if name.len() > 128 => false,
            _ if name == "*" => true,
            Some(("product", id)) => ProductId::parse(id).is_ok(),
            Some(("segment", id)) => SegmentId::parse(id).is_ok(),
            _ => Subject::parse(&name).is_some(),
        };
        match is_valid {
            true => Ok(Self(name)),
            false => Err(
                "a suppression is about device/<id>, product/<id>, segment/<id>, \
                          service/<id>, address/<ip>, api_token/<name>, account/<name>, fleet, or * for all",
            ),
        }
    }
}

impl PartialSchema for SubjectScope {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "A subject, the devices of a product or a segment, or `*` for all.",
            ))
            .pattern(Some(concat!(
                r"^(\*|fleet|(device|product|segment|service)/[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
                r"|address/[0-9a-fA-F.:]+|api_token/[^\u0000-\u001f\u007f-\u009f]+|account/[a-z0-9._@-]{1,64})$"
            )))
            .max_length(Some(128))
            .into()
    }
}

impl ToSchema for SubjectScope {
    fn name() -> std::borrow::Cow<'static, str> {
        "SubjectScope".into()
    }
}

/// One suppression.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Suppression)]
pub(crate) struct SuppressionView {
    /// Its name.
    #[schema(value_type = schema::SuppressionId)]
    id: String,
    /// Which detector, or `*` for all.
    #[schema(value_type = DetectorScope)]
    detector: String,
    /// About whom, or `*` for all.
    #[schema(value_type = SubjectScope)]
    subject: String,
    /// When it ends, if it does.
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// Why.
    reason: String,
    /// Who made it.
    made_by: String,
    /// When.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<Suppression> for SuppressionView {
    fn from(suppression: Suppression) -> Self {
        Self {
            id: suppression.id.to_string(),
            detector: suppression.detector,
            subject: suppression.subject,
            until: suppression.until,
            reason: suppression.reason,
            made_by: suppression.made_by,
            created_at: suppression.created_at,
        }
    }
}

/// What is not to be reported.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "detector": "rule/mqtt-topic-scan",
    "subject": "segment/laboratory",
    "until": "2030-01-31T12:00:00Z",
    "reason": "the laboratory scans on purpose"
}))]
pub(crate) struct SuppressionRequest {
    /// Which detector.
    #[schema(value_type = DetectorScope)]
    detector: DetectorScope,
    /// About whom.
    #[schema(value_type = SubjectScope)]
    subject: SubjectScope,
    /// When it ends; without an end where nothing is said.
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// Why; it is recorded.
    reason: Line<1, 500>,
}

/// Lists suppressions.
#[utoipa::path(
    get,
    path = "/api/v1/suppressions",
    tag = "detection",
    params(PageQuery),
    responses((status = 200, description = "Suppressions that have not ended, oldest first.",
        body = Page<SuppressionView>))
)]
async fn list_suppressions(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SuppressionView>>, Problem> {
    let now = state.parts().clock.now();
    let all = state.store().detectors().suppressions(now).await?;
    let views = all.into_iter().map(SuppressionView::from);
    Ok(Json(Page::cut(views, &query, |one| one.id.clone())))
}

/// Suppresses what is known.
///
/// Alarms that it covers are counted and not reported. It ends nothing that was found before.
#[utoipa::path(
    post,
    path = "/api/v1/suppressions",
    tag = "detection",
    request_body = SuppressionRequest,
    responses((status = 201, description = "The suppression.", body = SuppressionView))
)]
async fn add_suppression(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<SuppressionRequest>,
) -> Result<Done<SuppressionView>, Problem> {
    let now = state.parts().clock.now();
    if request.until.is_some_and(|until| until <= now) {
        return Err(Problem::invalid("until: this is in the past"));
    }
    if state.store().detectors().suppressions(now).await?.len() >= MOST {
        let detail = format!("there are {MOST} suppressions: remove some that are not needed");
        return Err(Problem::conflict(detail));
    }
    let suppression = Suppression {
        id: SuppressionId::generate(),
        detector: request.detector.0,
        subject: request.subject.0,
        until: request.until,
        reason: request.reason.to_string(),
        made_by: caller.name,
        created_at: now,
    };
    state.parts().detect.suppress(&suppression).await?;
    let target = format!(
        "{}: {} about {}",
        suppression.id, suppression.detector, suppression.subject
    );
    let reason = Some(suppression.reason.clone());
    Ok(Done::created(target, suppression.into()).because(reason))
}

/// Ends a suppression.
#[utoipa::path(
    delete,
    path = "/api/v1/suppressions/{id}",
    tag = "detection",
    params(("id" = schema::SuppressionId, Path, description = "The suppression.")),
    responses((status = 204, description = "It is ended."))
)]
async fn remove_suppression(
    State(state): State<PeopleState>,
    Path(id): Path<SuppressionId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    match state.parts().detect.unsuppress(id).await? {
        true => Ok(Done::silently(id)),
        false => Err(Problem::not_found(format_args!("suppression {id}"))),
    }
}
