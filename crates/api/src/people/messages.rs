//! Messages from programs that speak no MQTT. Policy decides as for a PUBLISH packet of the service that
//! the token is bound to.

use std::net::{IpAddr, Ipv4Addr};

use axum::{Extension, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use palisade_core::{DenyReason, Principal};
use palisade_gateway::{Submission, SubmitError};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;
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
#[schema(example = json!({
    "topic": "devices/cam-0001/commands", "payload": "{\"zoom\":2}", "qos": 1
}))]
pub(crate) struct MessageRequest {
    /// Where to.
    #[schema(value_type = schema::Topic)]
    topic: String,
    /// The payload as text.
    payload: Option<String>,
    /// The payload in base64 (RFC 4648, section 4).
    #[serde(default, deserialize_with = "base64")]
    #[schema(value_type = Option<String>, content_encoding = "base64")]
    payload_base64: Option<Bytes>,
    /// Quality of service.
    #[serde(default)]
    #[schema(value_type = u8, minimum = 0, maximum = 2, default = 0, required = false)]
    qos: Qos,
    /// Whether it is retained.
    #[serde(default)]
    retain: bool,
    /// What the payload is: a MIME type, by custom.
    content_type: Option<Text<0, 1_024>>,
    /// Seconds after which it is of no use.
    #[schema(minimum = 1)]
    expiry_s: Option<u32>,
    /// Names and values of the application's.
    #[serde(default)]
    #[schema(value_type = Vec<UserProperty>, max_items = 64)]
    user_properties: Vec<Object<UserProperty>>,
    /// Where an answer is expected.
    #[schema(value_type = Option<schema::Topic>)]
    response_topic: Option<String>,
    /// What an answer is to carry, in base64.
    #[serde(default, deserialize_with = "base64")]
    #[schema(value_type = Option<String>, content_encoding = "base64")]
    correlation_data_base64: Option<Bytes>,
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
    Ok(Some(bytes.into()))
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
    request_body = MessageRequest,
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
            (None, bytes) => bytes.unwrap_or_default(),
        };
        if self.user_properties.len() > MAX_PROPERTIES {
            let detail = format!("user_properties: at most {MAX_PROPERTIES}");
            return Err(Problem::invalid(detail));
        }
        let properties = self.user_properties.into_iter();
        Ok(Submission {
            topic: self.topic,
            payload,
            qos: self.qos.0,
            retain: self.retain,
            content_type: self.content_type.map(|text| text.0),
            expiry_s: self.expiry_s,
            user_properties: properties
                .map(|Object(property)| (property.name.0, property.value.0))
                .collect(),
            response_topic: self.response_topic,
            correlation_data: self.correlation_data_base64,
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
