//! Messages from programs that speak no MQTT. Policy decides as for a PUBLISH packet of the service that
//! the token is bound to.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

use axum::{Extension, extract::State};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use palisade_core::{DenyReason, Principal};
use palisade_gateway::{Submission, SubmitError};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, schema::AnyOfBuilder},
};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    explain::Qos,
    extract::{JsonBody, NoParameters, Object, Query},
    gate::Source,
    routes::Routes,
    schema,
    text::Text,
    tokens::present,
    whole::Whole,
};
use crate::problem::{Problem, ProblemKind};

const MAX_PROPERTIES: usize = 64;

pub(super) fn routes() -> Routes {
    Routes::default().write(
        Scope::MessagesWrite,
        "message.publish",
        routes!(publish_message),
    )
}

/// A user property.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserProperty {
    /// Its name; it may come more than once.
    name: Text<0, 1_024>,
    /// Its value.
    value: Text<0, 4_096>,
}

/// A message that is to be published. The payload is `payload` (text) or `payload_base64` (bytes); it is
/// empty where both are absent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRequest {
    /// Where to.
    #[schema(value_type = schema::Topic)]
    topic: String,
    /// The payload as text.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    payload: Option<String>,
    /// The payload in base64 (RFC 4648, section 4).
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schema::Base64>, nullable = false)]
    payload_base64: Option<Base64>,
    /// Quality of service.
    #[serde(default)]
    #[schema(default = 0)]
    qos: Qos,
    /// Whether it is retained.
    #[serde(default)]
    retain: bool,
    /// What the payload is: a MIME type, by custom.
    content_type: Option<Text<0, 1_024>>,
    /// Seconds after which it is of no use.
    expiry_s: Option<Whole<1, { u32::MAX }>>,
    /// Names and values of the application's.
    #[serde(default)]
    #[schema(value_type = Vec<UserProperty>, max_items = 64)]
    user_properties: Vec<Object<UserProperty>>,
    /// Where an answer is expected.
    #[schema(value_type = Option<schema::Topic>)]
    response_topic: Option<String>,
    /// What an answer is to carry, in base64.
    #[schema(value_type = Option<schema::Base64>)]
    correlation_data_base64: Option<Base64>,
}

/// Bytes in base64.
struct Base64(Bytes);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The last character may hold bits that are not used; what they are says nothing.
        const TOLERANT: GeneralPurpose = GeneralPurpose::new(
            &STANDARD,
            GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
        );
        let text = String::deserialize(deserializer)?;
        let bytes = TOLERANT.decode(text).map_err(D::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// How a message is written: it has one payload, or none.
pub(crate) struct MessageDoc;

impl PartialSchema for MessageDoc {
    fn schema() -> RefOr<Schema> {
        let without = |member: &str| {
            let mut schema = MessageRequest::schema();
            if let RefOr::T(Schema::Object(object)) = &mut schema {
                object.properties.remove(member);
            }
            schema
        };
        AnyOfBuilder::new()
            .description(Some("A message that is to be published."))
            .item(without("payload_base64"))
            .item(without("payload"))
            .examples([serde_json::json!({
                "topic": "devices/cam-0001/commands", "payload": "{\"zoom\":2}", "qos": 1
            })])
            .into()
    }
}

impl ToSchema for MessageDoc {
    fn name() -> Cow<'static, str> {
        "MessageRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        MessageRequest::schemas(schemas);
    }
}

/// What became of a message that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageTaken {
    /// How many sessions get it.
    #[schema(minimum = 0)]
    receivers: usize,
}

/// Publishes a message for the service that the token is bound to.
#[utoipa::path(
    post,
    path = "/api/v1/messages",
    tag = "messages",
    request_body = MessageDoc,
    responses((status = 202, description = "It is durable and on its way.", body = MessageTaken))
)]
async fn publish_message(
    State(state): State<PeopleState>,
    caller: Caller,
    Extension(Source(source)): Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(message): JsonBody<MessageRequest>,
) -> Result<Done<MessageTaken>, Problem> {
    let Some(service) = caller.service else {
        return Err(Problem::new(
            ProblemKind::Forbidden,
            "the token is not bound to a service: make one with `service`",
        ));
    };
    let submission = message.submission()?;
    let target = submission.topic.clone();
    let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let principal = Principal::from(service);
    let gateway = &state.parts().gateway;
    let submitted = gateway.publish(&principal, source, submission).await;
    let receivers = submitted.map_err(refused)?.receivers;
    Ok(Done::accepted(target, MessageTaken { receivers }).about(principal))
}

impl MessageRequest {
    fn submission(self) -> Result<Submission, Problem> {
        let payload = match (self.payload, self.payload_base64) {
            (Some(_), Some(_)) => {
                let detail = "send payload or payload_base64, not both";
                return Err(Problem::invalid(detail));
            }
            (Some(text), None) => text.into(),
            (None, bytes) => bytes.map_or_else(Bytes::new, |bytes| bytes.0),
        };
        if self.user_properties.len() > MAX_PROPERTIES {
            let detail = format!("user_properties: at most {MAX_PROPERTIES}");
            return Err(Problem::invalid(detail));
        }
        let properties = self.user_properties.into_iter();
        Ok(Submission {
            topic: self.topic,
            payload,
            qos: self.qos.value() as u8,
            retain: self.retain,
            content_type: self.content_type.map(|text| text.0),
            expiry_s: self.expiry_s.map(Whole::value),
            user_properties: properties
                .map(|Object(property)| (property.name.0, property.value.0))
                .collect(),
            response_topic: self.response_topic,
            correlation_data: self.correlation_data_base64.map(|bytes| bytes.0),
        })
    }
}

fn refused(error: SubmitError) -> Problem {
    match error {
        SubmitError::Denied(DenyReason::Unknown) | SubmitError::Unknown => Problem::new(
            ProblemKind::Forbidden,
            "the service that the token is bound to is not known any more",
        ),
        SubmitError::Denied(_) => Problem::new(ProblemKind::Forbidden, error),
        SubmitError::Topic(_) | SubmitError::Invalid(_) => Problem::invalid(error),
        SubmitError::Unavailable => Problem::unavailable(error.to_string(), &error),
    }
}
