//! Whom the caller's own account is at providers.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use palisade_core::Timestamp;
use palisade_store::AccountIdentity;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    acts::Done,
    auth::Caller,
    cookie,
    extract::{NoParameters, Path, Query},
    gate::Source,
    log_in::with_cookie,
    oidc::host_of,
    own_account::own,
    routes::Routes,
    schema,
    views::All,
};
use crate::problem::{Problem, ProblemKind};

pub(super) fn routes() -> Routes {
    Routes::default()
        .token("own.list_identities", routes!(list_identities))
        .own_write("account.begin_link", routes!(begin_link))
        .own_write("account.unlink", routes!(unlink))
}

/// Whom an account's person is at a provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentityView {
    /// What the provider was called when it was last used.
    #[schema(value_type = schema::ProviderName)]
    provider: String,
    /// Its issuer.
    issuer: String,
    /// Its name for the person.
    subject: String,
    /// Whether the account came to be by it: then its roles come from there, and there is no other way in.
    is_origin: bool,
    /// Since when the account is linked with it.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// When somebody last logged in by it.
    #[schema(value_type = Option<schema::Time>)]
    last_used_at: Option<Timestamp>,
}

impl From<AccountIdentity> for IdentityView {
    fn from(identity: AccountIdentity) -> Self {
        Self {
            provider: identity.provider,
            issuer: identity.issuer,
            subject: identity.subject,
            is_origin: identity.is_made,
            created_at: identity.created_at,
            last_used_at: identity.last_used_at,
        }
    }
}

/// Lists whom the caller's account is at providers. A token has none.
#[utoipa::path(
    get,
    path = "/api/v1/account/oidc",
    tag = "people",
    responses((status = 200, description = "The links, by issuer.", body = All<IdentityView>))
)]
async fn list_identities(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<IdentityView>>, Problem> {
    if caller.person.is_none() {
        return Ok(Json(All::of([])));
    }
    let account = own(&state, &caller).await?;
    let identities = state.parts().people.identities(&account).await?;
    let views = identities.into_iter().map(IdentityView::from);
    Ok(Json(All::of(views)))
}

/// Where a browser is to go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkBegun {
    /// The provider's address: go there with this browser.
    #[schema(format = "uri")]
    url: String,
}

/// Begins to link the caller's account with a provider: whoever signs in there as the same person signs in here from then on.
///
/// The session is at most an hour old. It gives no role and takes none.
#[utoipa::path(
    post,
    path = "/api/v1/account/oidc/{name}/begin",
    tag = "people",
    params(("name" = schema::ProviderName, Path, description = "The provider.")),
    responses((status = 200, description = "Where the browser is to go.", body = LinkBegun))
)]
async fn begin_link(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(name): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let account = own(&state, &caller).await?;
    // Whoever is to show more before they do anything does not add a way in.
    if caller
        .person
        .as_ref()
        .is_some_and(|person| person.first.is_some())
    {
        return Err(Problem::new(
            ProblemKind::Forbidden,
            "do first what GET /api/v1/session names as `first`",
        ));
    }
    let host = host_of(&uri, &headers);
    let people = &state.parts().people;
    let begun = people
        .begin_oidc_link(&account, caller.expires_at, &name, host)
        .await;
    let begun = begun.map_err(super::oidc_answer::Outcome::from)?;
    let body = LinkBegun {
        url: begun.url.to_string(),
    };
    let mut response = Done::nothing(body).into_response();
    let cookie = cookie::of_sign_in(&begun.browser)?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Takes the link with a provider from the caller's account. All sessions of the account end; the answer's cookie is a new one.
#[utoipa::path(
    delete,
    path = "/api/v1/account/oidc/{name}",
    tag = "people",
    params(("name" = schema::ProviderName, Path, description = "The provider.")),
    responses((status = 204, description = "It is linked no longer."))
)]
async fn unlink(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    caller: Caller,
    Path(name): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let account = own(&state, &caller).await?;
    let people = &state.parts().people;
    let opened = people.unlink_oidc(&account, &name, source).await?;
    with_cookie(&opened, Done::silently(format!("{}/{name}", account.name)))
}
