//! Errors as clients read them: `application/problem+json` (RFC 9457). What a client may see stands in
//! a [`Problem`]; what only operators may see goes to the log where the problem is made.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
const TYPE_PREFIX: &str = "urn:palisade:problem:";
/// Longest detail, in characters: a detail may quote what the client sent.
const MAX_DETAIL: usize = 1_000;

/// What kind of problem it is; each has one status and one type URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request cannot be read: syntax, query, path or headers.
    BadRequest,
    /// No valid credentials came with the request.
    Unauthorized,
    /// The credentials do not allow this.
    Forbidden,
    /// A second person must approve it first.
    ApprovalNeeded,
    /// There is no such thing.
    NotFound,
    /// The thing has no such method.
    MethodNotAllowed,
    /// No form of the answer is one that the client accepts.
    NotAcceptable,
    /// It cannot be done as things stand now.
    Conflict,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is of a type that is not read here.
    MediaType,
    /// The body can be read, and what it says is not valid.
    Invalid,
    /// Too many requests.
    TooMany,
    /// A fault of the server; its log says more.
    Internal,
    /// The server cannot do it now.
    Unavailable,
}

impl ProblemKind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ApprovalNeeded,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Conflict,
        Self::TooLarge,
        Self::MediaType,
        Self::Invalid,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
    ];

    /// Its status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::ApprovalNeeded => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The last part of its type URI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::ApprovalNeeded => "approval-needed",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NotAcceptable => "not-acceptable",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::MediaType => "unsupported-media-type",
            Self::Invalid => "invalid",
            Self::TooMany => "too-many-requests",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    /// What people read: the same for every problem of the kind.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request cannot be read",
            Self::Unauthorized => "Credentials are missing or not valid",
            Self::Forbidden => "The credentials do not allow this",
            Self::ApprovalNeeded => "A second person must approve this",
            Self::NotFound => "There is no such resource",
            Self::MethodNotAllowed => "The resource has no such method",
            Self::NotAcceptable => "The answer has no form that the client accepts",
            Self::Conflict => "It cannot be done as things stand",
            Self::TooLarge => "The body is too large",
            Self::MediaType => "The body is of a type that is not read here",
            Self::Invalid => "The request is not valid",
            Self::TooMany => "Too many requests",
            Self::Internal => "The server failed",
            Self::Unavailable => "The server cannot do it now",
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemItem {
    /// The line of an uploaded file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u64>,
    /// The field or column.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// What is wrong, and what to do.
    pub detail: String,
}

/// The JSON form of a problem (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// What kind of problem it is, for programs: `urn:palisade:problem:<kind>`.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "urn:palisade:problem:not-found")]
    pub type_uri: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// Each thing that is wrong, where there can be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemItem>,
    /// The kinds of second factor that help: a code is wanted (`totp`, `recovery`), or the account has a
    /// `passkey`, which logs in by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub second_factor: Vec<String>,
    /// The name of the approval that is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub approval: Option<String>,
}

/// An answer that says what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<ProblemItem>,
    second_factor: &'static [&'static str],
    approval: Option<String>,
    retry_after_s: Option<u64>,
}

/// What happened, beside an answer that says it.
#[derive(Debug, Clone)]
pub(crate) struct Detail(pub(crate) String);

impl Problem {
    /// A problem. The detail is for the client: it says what failed, on what, and what to do, and
    /// nothing about the insides of the server.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl ToString) -> Self {
        let mut detail = detail.to_string();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(end);
        }
        Self {
            kind,
            detail,
            errors: Vec::new(),
            second_factor: &[],
            approval: None,
            retry_after_s: None,
        }
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(ProblemKind::NotFound, format!("{what} does not exist"))
    }

    /// What the request says is not valid.
    #[must_use]
    pub fn invalid(detail: impl ToString) -> Self {
        Self::new(ProblemKind::Invalid, detail)
    }

    /// The request cannot be read.
    #[must_use]
    pub fn bad_request(detail: impl ToString) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    /// It cannot be done as things stand.
    #[must_use]
    pub fn conflict(detail: impl ToString) -> Self {
        Self::new(ProblemKind::Conflict, detail)
    }

    /// The server failed; `error` goes to its log and not to the client.
    #[must_use]
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            ProblemKind::Internal,
            "the server failed; its log says why, at this time",
        )
    }

    /// The server cannot do it now; `error` goes to its log and not to the client.
    #[must_use]
    pub fn unavailable(detail: impl ToString, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request could not be served");
        Self::new(ProblemKind::Unavailable, detail).retry_after(1)
    }

    /// The same problem, naming the kinds of second factor that help.
    #[must_use]
    pub fn wanting(mut self, factors: &'static [&'static str]) -> Self {
        self.second_factor = factors;
        self
    }

    /// The same problem, naming the approval that is needed.
    #[must_use]
    pub fn waiting_for(mut self, approval: String) -> Self {
        self.approval = Some(approval);
        self
    }

    /// The same problem, naming each thing that is wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ProblemItem>) -> Self {
        self.errors = errors;
        self
    }

    /// The same problem, telling the client how many seconds to wait.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// What happened.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Its JSON form.
    #[must_use]
    pub fn body(&self) -> ProblemBody {
        ProblemBody {
            type_uri: format!("{TYPE_PREFIX}{}", self.kind.name()),
            title: self.kind.title().to_owned(),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
            approval: self.approval.clone(),
            second_factor: self.second_factor.iter().map(ToString::to_string).collect(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind.status(), Json(self.body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == ProblemKind::Unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"palisade\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self.kind);
        response.extensions_mut().insert(Detail(self.detail));
        response
    }
}
