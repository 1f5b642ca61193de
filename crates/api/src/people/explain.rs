//! Why a request is allowed or denied, without making it.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

use axum::{Json, extract::State};
use palisade_core::{
    Action, Attribute, DenyReason, DeviceId, Explanation, Principal, Request, ServiceId, Timestamp,
    Topic, TopicFilter,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type},
};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::{JsonBody, NoParameters, Query, object},
    routes::Routes,
    schema,
    text::Text,
    whole::Whole,
};
use crate::problem::{Problem, ProblemBody};

pub(super) fn routes() -> Routes {
    Routes::default().read(Scope::PolicyRead, "policy.explain", routes!(explain))
}

/// What a principal wants to do.
#[derive(ToSchema)]
#[schema(as = Action, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) enum ActionDoc {
    Connect,
    Publish,
    Retain,
    Subscribe,
    Receive,
    Enroll,
    Renew,
}

/// Who asks.
#[derive(Debug, Deserialize)]
#[serde(
    tag = "type",
    content = "id",
    rename_all = "snake_case",
    deny_unknown_fields
)]
enum Who {
    /// A device.
    Device(DeviceId),
    /// A service.
    Service(ServiceId),
}

/// Quality of service, 0 to 2.
pub(super) type Qos = Whole<0, 2>;

/// A request that is to be explained.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainRequest {
    /// Who asks.
    #[serde(deserialize_with = "object")]
    #[schema(value_type = schema::Principal)]
    principal: Who,
    /// For what.
    #[schema(value_type = ActionDoc)]
    action: Action,
    /// To publish, retain, receive: the topic. To subscribe: the filter. Otherwise it is not looked at.
    topic: Option<Text<0, 4_096>>,
    /// Quality of service.
    #[serde(default)]
    #[schema(default = 0)]
    qos: Qos,
    /// Whether the message is to be retained.
    #[serde(default)]
    retain: bool,
    /// Payload size in bytes.
    #[serde(default)]
    size: Whole<0, { u32::MAX }>,
    /// From which address; where it is absent, from none in particular.
    #[schema(value_type = Option<schema::Address>)]
    source: Option<IpAddr>,
}

/// How such a request is written: what `topic` has to be hangs on the action.
pub(crate) struct ExplainDoc;

impl PartialSchema for ExplainDoc {
    fn schema() -> RefOr<Schema> {
        let one = |actions: &[Action], topic: Option<Cow<'static, str>>| {
            let RefOr::T(Schema::Object(mut object)) = ExplainRequest::schema() else {
                return ExplainRequest::schema();
            };
            let actions = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(actions.iter().map(|action| action.as_str())));
            object
                .properties
                .insert("action".to_owned(), actions.into());
            if let Some(topic) = topic {
                let topic = Ref::from_schema_name(topic).into();
                object.properties.insert("topic".to_owned(), topic);
                object.required.push("topic".to_owned());
            }
            Schema::Object(object).into()
        };
        let around = [Action::Connect, Action::Enroll, Action::Renew];
        let messages = [Action::Publish, Action::Retain, Action::Receive];
        OneOfBuilder::new()
            .description(Some("A request that is to be explained."))
            .item(one(&around, None))
            .item(one(&messages, Some(schema::Topic::name())))
            .item(one(&[Action::Subscribe], Some(schema::TopicFilter::name())))
            .examples([serde_json::json!({
                "principal": { "type": "device", "id": "cam-0001" },
                "action": "publish",
                "topic": "devices/cam-0001/telemetry"
            })])
            .into()
    }
}

impl ToSchema for ExplainDoc {
    fn name() -> Cow<'static, str> {
        "ExplainRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ExplainRequest::schemas(schemas);
        schemas.extend([
            (schema::Topic::name().into(), schema::Topic::schema()),
            (
                schema::TopicFilter::name().into(),
                schema::TopicFilter::schema(),
            ),
        ]);
    }
}

/// One attribute that stood before the policies.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attribute)]
pub(crate) struct AttributeView {
    /// Its path as policies write it.
    path: String,
    /// Its value in Cedar's notation.
    value: String,
}

impl From<Attribute> for AttributeView {
    fn from(attribute: Attribute) -> Self {
        Self {
            path: attribute.path,
            value: attribute.value,
        }
    }
}

/// Under which epochs it was decided; the decision is valid for nothing else.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stamp)]
pub(crate) struct StampView {
    /// Epoch of policies and grants.
    #[schema(minimum = 0)]
    policy: u64,
    /// Epoch of the principal's posture.
    #[schema(minimum = 0)]
    posture: u64,
}

/// Why a request is denied.
#[derive(ToSchema)]
#[schema(as = DenyReason)]
#[expect(dead_code, reason = "stands in the document for core's type")]
pub(crate) struct DenyReasonDoc {
    /// `no_grant`, `forbidden`, `not_permitted`, `not_sealed`, `lifecycle`, `unknown` or `evaluation_failed`; with
    /// `forbidden` come `policies`, with `lifecycle` the `lifecycle`, with `evaluation_failed` the
    /// `detail`.
    code: String,
}

/// Everything behind a decision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct ExplanationView {
    /// Whether it is allowed.
    allowed: bool,
    /// Why not, when it is not.
    #[schema(value_type = Option<DenyReasonDoc>)]
    reason: Option<DenyReason>,
    /// One sentence for people.
    summary: String,
    /// The grants that cover the request.
    #[schema(value_type = Vec<schema::GrantId>)]
    grants: Vec<String>,
    /// The policies that decide.
    #[schema(value_type = Vec<schema::PolicyId>)]
    policies: Vec<String>,
    /// What the policies can see.
    attributes: Vec<AttributeView>,
    /// Under which epochs.
    stamp: StampView,
    /// From where the request comes.
    #[schema(value_type = Option<schema::Address>)]
    source: Option<IpAddr>,
    /// When it was decided.
    #[schema(value_type = schema::Time)]
    decided_at: Timestamp,
}

impl From<Explanation> for ExplanationView {
    fn from(explanation: Explanation) -> Self {
        let text = ToString::to_string;
        Self {
            allowed: explanation.allowed,
            reason: explanation.reason,
            summary: explanation.summary,
            grants: explanation.grants.iter().map(text).collect(),
            policies: explanation
                .policies
                .iter()
                .map(ToString::to_string)
                .collect(),
            attributes: explanation.attributes.into_iter().map(Into::into).collect(),
            stamp: StampView {
                policy: explanation.stamp.policy.0,
                posture: explanation.stamp.posture.0,
            },
            source: explanation.source,
            decided_at: explanation.decided_at,
        }
    }
}

/// Explains what would be decided now, and does nothing.
#[utoipa::path(
    post,
    path = "/api/v1/policy/explain",
    tag = "policy",
    request_body = ExplainDoc,
    responses(
        (status = 200, description = "The decision and all that is behind it.", body = ExplanationView),
        (
            status = 404,
            description = "The principal is not known.",
            body = ProblemBody,
            content_type = "application/problem+json"
        )
    )
)]
async fn explain(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(asked): JsonBody<ExplainRequest>,
) -> Result<Json<ExplanationView>, Problem> {
    let topic = asked.topic.as_ref().map_or("", |topic| topic.0.as_str());
    let filter = match asked.action {
        Action::Subscribe => Some(TopicFilter::parse(topic).map_err(topic_problem)?),
        _ => None,
    };
    let request = match (asked.action, &filter) {
        (Action::Connect, _) => Request::Connect,
        (Action::Enroll, _) => Request::Enroll,
        (Action::Renew, _) => Request::Renew,
        (Action::Subscribe, Some(filter)) => Request::Subscribe {
            filter,
            qos: asked.qos.value() as u8,
        },
        (Action::Receive, _) => Request::Receive {
            topic: Topic::parse(topic).map_err(topic_problem)?,
            qos: asked.qos.value() as u8,
            size: asked.size.value() as usize,
        },
        (Action::Publish | Action::Retain | Action::Subscribe, _) => Request::Publish {
            topic: Topic::parse(topic).map_err(topic_problem)?,
            qos: asked.qos.value() as u8,
            retain: asked.retain || asked.action == Action::Retain,
            size: asked.size.value() as usize,
        },
    };
    let principal = match asked.principal {
        Who::Device(id) => Principal::Device(id),
        Who::Service(id) => Principal::Service(id),
    };
    let source = asked.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let pdp = &state.parts().pdp;
    let subject = pdp.onlooker(&principal, source).await?;
    Ok(Json(pdp.explain(&subject, &request).into()))
}

fn topic_problem(error: palisade_core::TopicError) -> Problem {
    Problem::invalid(format!("topic: {error}"))
}
