//! What requests carry, read strictly: unknown fields and parameters are refused by name, sizes are
//! bounded, and every refusal is a problem.

use std::{fmt, marker::PhantomData, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::problem::{Problem, ProblemItem, ProblemKind};

/// The largest JSON body, in bytes.
pub(crate) const MAX_BODY: usize = 1024 * 1024;
/// The longest time that a body that is held whole may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What is read of a body that is too large, beyond its limit: a client that is still sending when the
/// connection closes may never read the answer.
const PATIENCE: usize = 16 * 1024 * 1024;

/// Reads a body whole, up to a limit.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_TIME, collect(body, limit)).await;
    read.unwrap_or_else(|_| Err(Problem::bad_request("the body took too long to come")))
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let (mut bytes, mut size) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("the body ended before its end"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size += data.len();
        if size <= limit {
            bytes.extend_from_slice(&data);
        } else if size > limit.saturating_add(PATIENCE) {
            break;
        }
    }
    match size > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes.freeze()),
    }
}

pub(crate) fn too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes");
    Problem::new(ProblemKind::TooLarge, detail)
}

/// Whether the body says that it is of a type (parameters aside).
pub(crate) fn media_type_is(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| HeaderValue::to_str(value).ok());
    let essence = text.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
}

/// A JSON body of at most `MAX` bytes.
pub(crate) struct JsonBody<T, const MAX: usize = MAX_BODY>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for JsonBody<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !media_type_is(request.headers(), "application/json") {
            return Err(Problem::new(
                ProblemKind::MediaType,
                "send JSON, with `Content-Type: application/json`",
            ));
        }
        let bytes = read_body(request.into_body(), MAX).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A JSON body of at most `MAX` bytes, or none at all.
pub(crate) struct MaybeJson<T, const MAX: usize = MAX_BODY>(pub(crate) Option<T>);

impl<S: Send + Sync, T: DeserializeOwned, const MAX: usize> FromRequest<S> for MaybeJson<T, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            let JsonBody(body) = JsonBody::<T, MAX>::from_request(request, state).await?;
            return Ok(Self(Some(body)));
        }
        match read_body(request.into_body(), MAX).await?.is_empty() {
            true => Ok(Self(None)),
            false => Err(Problem::new(
                ProblemKind::MediaType,
                "send JSON, with `Content-Type: application/json`, or nothing",
            )),
        }
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let Object(value) = read.map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if !inner.is_data() {
            return Problem::bad_request(format!("the body is not JSON: {inner}"));
        }
        let item = ProblemItem {
            line: None,
            field: (path != ".").then(|| path.chars().take(200).collect()),
            detail: without_position(&inner.to_string())
                .chars()
                .take(500)
                .collect(),
        };
        let detail = match &item.field {
            Some(field) => format!("{field}: {}", item.detail),
            None => item.detail.clone(),
        };
        Problem::invalid(detail).with_errors(vec![item])
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
    Ok(value)
}

/// A message about a value without its place in the text: the field says where it is.
fn without_position(message: &str) -> &str {
    match message.rsplit_once(" at line ") {
        Some((before, place)) if place.contains(" column ") => before,
        _ => message,
    }
}

/// What is read from a JSON object only: serde reads structs from arrays too, which no document says.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// Reads a member that is an object, and nothing else in its place.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

/// Query parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        let refused = |why: String| Problem::bad_request(format!("the query: {why}"));
        match found {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused(rejection.body_text())),
        }
    }
}

/// Nothing: for routes that take no parameters, so that a misspelt one is not passed over in silence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

/// Parameters in the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                let why = error.body_text();
                Err(Problem::bad_request(format!("the path: {why}")))
            }
            Err(other) => Err(Problem::internal(&other)),
        }
    }
}
