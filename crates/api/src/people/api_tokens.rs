//! API tokens: what programs show at this door.

use axum::{Json, extract::State};
use palisade_core::{ServiceId, Timestamp, TokenId};
use palisade_store::ApiToken;
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::{EVERYTHING, Scope, Scopes},
    acts::Done,
    approvals::note_maker,
    auth::{Caller, TOKEN_PREFIX},
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema, secret,
    services::known_service,
    text::Name,
    tokens::{Lifetime, end},
};
use crate::problem::{Problem, ProblemKind};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::Admin, "api_token.list", routes!(list_api_tokens))
        .write(Scope::Admin, "api_token.create", routes!(create_api_token))
        .write(Scope::Admin, "api_token.narrow", routes!(narrow_api_token))
        .write(Scope::Admin, "api_token.revoke", routes!(revoke_api_token))
}

/// An API token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiToken)]
pub(crate) struct ApiTokenView {
    /// Its name for programs.
    #[schema(value_type = schema::TokenId)]
    id: String,
    /// Its name for people; acts are recorded under it.
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>)]
    scopes: Vec<String>,
    /// The service that it publishes for.
    #[schema(value_type = Option<schema::ServiceId>)]
    service: Option<ServiceId>,
    /// When it ends, if it does.
    #[schema(value_type = Option<schema::Time>)]
    expires_at: Option<Timestamp>,
    /// Whether it was revoked.
    revoked: bool,
    /// When it was last used, to the minute.
    #[schema(value_type = Option<schema::Time>)]
    last_used_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<ApiToken> for ApiTokenView {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            scopes: token.scopes,
            service: token.service,
            expires_at: token.expires_at,
            revoked: token.revoked,
            last_used_at: token.last_used_at,
            created_at: token.created_at,
        }
    }
}

/// An API token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiTokenMade {
    /// The secret. It is shown now and never again: only its hash is kept.
    #[schema(pattern = "^pat_[A-Za-z0-9_-]{43}$")]
    secret: String,
    /// The token.
    #[serde(flatten)]
    token: ApiTokenView,
}

impl ApiTokenMade {
    pub(super) fn new(token: ApiToken, secret: String) -> Self {
        Self {
            secret,
            token: token.into(),
        }
    }
}

/// The name of a scope, or `*` for all of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ScopeName(String);

impl TryFrom<String> for ScopeName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == EVERYTHING || Scope::parse(&name).is_some() {
            return Ok(Self(name));
        }
        let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        Err(format!(
            "there is no such scope; there are {} and {EVERYTHING}",
            known.join(", ")
        ))
    }
}

impl PartialSchema for ScopeName {
    fn schema() -> RefOr<Schema> {
        let named = Scope::ALL.iter().map(|scope| scope.as_str());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The name of a scope, or `*` for all of them."))
            .enum_values(Some(named.chain([EVERYTHING])))
            .into()
    }
}

impl ToSchema for ScopeName {
    fn name() -> std::borrow::Cow<'static, str> {
        "ScopeName".into()
    }
}

/// What an API token is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "dashboard", "scopes": ["devices:read", "events:read"] }))]
pub(crate) struct ApiTokenRequest {
    /// Its name for people. No other token that is in use has it.
    name: Name,
    /// What it may do: no more than the token that it is made with.
    #[schema(min_items = 1, max_items = 32)]
    scopes: Vec<ScopeName>,
    /// The service that it publishes for; the service must be known.
    #[schema(value_type = Option<schema::ServiceId>)]
    service: Option<ServiceId>,
    /// After how many seconds it ends; never, where nothing is said.
    ttl_s: Option<Lifetime>,
}

/// Lists API tokens, the newest thousand.
#[utoipa::path(
    get,
    path = "/api/v1/api-tokens",
    tag = "tokens",
    params(PageQuery),
    responses((status = 200, description = "API tokens, by id.", body = Page<ApiTokenView>))
)]
async fn list_api_tokens(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ApiTokenView>>, Problem> {
    let tokens = state.store().tokens().api().await?;
    let views = tokens.into_iter().rev().map(ApiTokenView::from);
    Ok(Json(Page::cut(views, &query, |token| token.id.clone())))
}

/// Makes an API token.
#[utoipa::path(
    post,
    path = "/api/v1/api-tokens",
    tag = "tokens",
    request_body = ApiTokenRequest,
    responses(
        (status = 201, description = "The token; its secret is not shown again.", body = ApiTokenMade)
    )
)]
async fn create_api_token(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ApiTokenRequest>,
) -> Result<Done<ApiTokenMade>, Problem> {
    if !(1..=32).contains(&request.scopes.len()) {
        return Err(Problem::invalid("scopes: name 1 to 32 scopes"));
    }
    let names: Vec<String> = request.scopes.into_iter().map(|name| name.0).collect();
    if !caller.scopes.cover(&Scopes::of(&names)) {
        return Err(Problem::new(
            ProblemKind::Forbidden,
            "a token cannot make one that may do more than itself",
        ));
    }
    if let Some(service) = &request.service {
        known_service(&state, service).await?;
    }
    let now = state.parts().clock.now();
    let tokens = state.store().tokens();
    let name = request.name.to_string();
    let is_taken = tokens.api().await?.iter().any(|other| {
        !other.revoked && other.expires_at.is_none_or(|end| end > now) && other.name == name
    });
    if is_taken {
        // The ledger names who acted by this name.
        let detail = format!("a token called {name:?} is in use: choose another name");
        return Err(Problem::conflict(detail));
    }
    let secret = secret::generate(TOKEN_PREFIX)?;
    let token = ApiToken {
        id: TokenId::generate(),
        name,
        hash: secret::hash(&secret),
        scopes: Scopes::of(&names).into(),
        service: request.service,
        expires_at: request.ttl_s.map(|life| end(now, life)),
        revoked: false,
        last_used_at: None,
        created_at: now,
    };
    // Before there is the token: who has it must not be a second person to its maker.
    note_maker(&state, &caller, token.id).await?;
    tokens.add_api(&token).await?;
    let target = format!("{} ({}): {}", token.id, token.name, token.scopes.join(" "));
    Ok(Done::created(target, ApiTokenMade::new(token, secret)))
}

/// What an API token may do from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "scopes": ["devices:read"] }))]
pub(crate) struct Narrowing {
    /// What it may do: less than now.
    #[schema(min_items = 1, max_items = 32)]
    scopes: Vec<ScopeName>,
}

/// Takes scopes from an API token; its secret stays. From the next request on it may do less. What it may not do it is
/// never given: make another token.
#[utoipa::path(
    patch,
    path = "/api/v1/api-tokens/{id}",
    tag = "tokens",
    params(("id" = schema::TokenId, Path, description = "The token.")),
    request_body = Narrowing,
    responses((status = 200, description = "The token.", body = ApiTokenView))
)]
async fn narrow_api_token(
    State(state): State<PeopleState>,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<Narrowing>,
) -> Result<Done<ApiTokenView>, Problem> {
    if !(1..=32).contains(&request.scopes.len()) {
        return Err(Problem::invalid("scopes: name 1 to 32 scopes"));
    }
    let names: Vec<String> = request.scopes.into_iter().map(|name| name.0).collect();
    let tokens = state.store().tokens();
    let found = tokens.api_named(id).await?.filter(|token| !token.revoked);
    let mut token = found.ok_or_else(|| Problem::not_found(format_args!("API token {id}")))?;
    let narrower = Scopes::of(&names);
    if !Scopes::of(&token.scopes).cover(&narrower) {
        return Err(Problem::invalid(
            "scopes: a token is only ever given less; make another one for what this one may not do",
        ));
    }
    let scopes: Vec<String> = narrower.into();
    if !tokens.narrow_api(id, &token.scopes, &scopes).await? {
        return Err(Problem::conflict(
            "the token was changed meanwhile: look at it and try again",
        ));
    }
    token.scopes = scopes;
    let target = format!("{} ({}): {}", token.id, token.name, token.scopes.join(" "));
    Ok(Done::changed(target, token.into()))
}

/// Revokes an API token, the caller's own included.
#[utoipa::path(
    delete,
    path = "/api/v1/api-tokens/{id}",
    tag = "tokens",
    params(("id" = schema::TokenId, Path, description = "The token.")),
    responses((status = 204, description = "It is revoked."))
)]
async fn revoke_api_token(
    State(state): State<PeopleState>,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    match state.store().tokens().revoke_api(id).await? {
        true => Ok(Done::silently(id)),
        false => Err(Problem::not_found(format_args!("API token {id}"))),
    }
}
