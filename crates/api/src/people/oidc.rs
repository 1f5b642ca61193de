//! Logging in through a provider of identities. The browser goes there and comes back here, and nowhere else: no
//! request says where to.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use palisade_people::{CameBack, OidcError, PeopleError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState, cookie,
    denials::Refusal,
    extract::{NoParameters, Path, Query},
    gate::Source,
    log_in::{record, with_cookie},
    routes::Routes,
    schema,
    views::All,
};
use crate::problem::{MEDIA_TYPE, Problem, ProblemBody, ProblemKind};

/// Where people go who logged in.
const HOME: &str = "/";

pub(super) fn routes() -> Routes {
    Routes::default()
        .public(routes!(list_providers))
        .by_body(routes!(log_in_through_provider))
        .by_body(routes!(come_back_from_provider))
}

/// A provider of identities.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderView {
    /// Its name in paths.
    #[schema(value_type = schema::ProviderName)]
    name: String,
    /// What people read where they choose it.
    title: String,
}

/// Lists the providers of identities that somebody can log in through.
#[utoipa::path(
    get,
    path = "/api/v1/session/providers",
    tag = "people",
    responses((status = 200, description = "The providers, by name.", body = All<ProviderView>))
)]
async fn list_providers(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<All<ProviderView>> {
    let providers = state.parts().people.providers();
    Json(All::of(providers.map(|(name, title)| ProviderView {
        name: name.to_owned(),
        title: title.to_owned(),
    })))
}

/// Sends the browser to a provider, to log in there.
#[utoipa::path(
    get,
    path = "/api/v1/session/oidc/{provider}",
    tag = "people",
    params(("provider" = schema::ProviderName, Path, description = "The provider.")),
    responses((status = 303, description = "Where the browser goes."))
)]
async fn log_in_through_provider(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Path(provider): Path<String>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let now = state.parts().clock.now();
    if let Some(seconds) = state.inner.begun.note(source, now) {
        let why = "too many log-ins were begun from your address";
        return Err(Problem::new(ProblemKind::TooMany, why).retry_after(seconds));
    }
    let sent = match state.parts().people.send_out(&provider, source).await {
        Ok(sent) => sent,
        Err(error) => return Err(refused(&state, error, Source(source)).await),
    };
    let url = HeaderValue::from_str(&sent.url).map_err(|error| Problem::internal(&error))?;
    let headers = HeaderMap::from_iter([
        (header::LOCATION, url),
        (header::SET_COOKIE, cookie::oidc(&sent.browser)?),
    ]);
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// What a provider sends along with the browser. It may send more.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Returned {
    /// What was sent along to the provider.
    #[param(max_length = 2048)]
    state: String,
    /// What the provider gave.
    #[param(max_length = 2048)]
    code: Option<String>,
    /// Who the provider says it is (RFC 9207).
    #[param(max_length = 2048)]
    iss: Option<String>,
}

/// Logs in whom a provider sent back: sets the cookie of a new session, and goes to the console.
#[utoipa::path(
    get,
    path = "/api/v1/session/oidc/{provider}/callback",
    tag = "people",
    params(("provider" = schema::ProviderName, Path, description = "The provider."), Returned),
    responses(
        (status = 303, description = "Logged in. The cookie is the session."),
        (
            status = 403,
            description = "The provider knows you, and you have no account or no role here.",
            body = ProblemBody,
            content_type = MEDIA_TYPE
        )
    )
)]
async fn come_back_from_provider(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    headers: HeaderMap,
    Path(provider): Path<String>,
    Query(returned): Query<Returned>,
) -> Result<Response, Problem> {
    let browser = cookie::oidc_of(&headers).unwrap_or_default();
    let back = CameBack {
        provider: provider.clone(),
        state: returned.state,
        code: returned.code.unwrap_or_default(),
        issuer: returned.iss,
        browser: browser.map(str::to_owned),
        source,
    };
    let opened = match state.parts().people.came_back(back).await {
        Ok(opened) => opened,
        Err(error) => return Err(refused(&state, error, Source(source)).await),
    };
    record(&state, &opened, source, Some(format!("through {provider}"))).await?;
    let home = [(header::LOCATION, HeaderValue::from_static(HOME))];
    let mut response = with_cookie(&opened, (StatusCode::SEE_OTHER, home))?;
    let gone = cookie::oidc_gone();
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

async fn refused(state: &PeopleState, error: OidcError, Source(source): Source) -> Problem {
    let why = match &error {
        OidcError::NotRight(why) => Some(*why),
        OidcError::NoRole => Some("a provider's person without a role here"),
        OidcError::NameTaken => Some("a provider's person whose name another account has"),
        OidcError::NoAccount => Some("a provider's person without an account here"),
        OidcError::People(PeopleError::TooMany(_)) => Some("too many attempts to log in"),
        OidcError::NoProvider | OidcError::Provider(_) | OidcError::People(_) => None,
    };
    if let Some(why) = why {
        let refusal = Refusal::Unrecognised { source, why };
        state.denials().note(refusal, "/api/v1/session/oidc").await;
    }
    match error {
        OidcError::NoProvider => Problem::new(ProblemKind::NotFound, error),
        OidcError::NotRight(_) => Problem::new(ProblemKind::Unauthorized, error),
        OidcError::NoRole | OidcError::NameTaken | OidcError::NoAccount => {
            Problem::new(ProblemKind::Forbidden, error)
        }
        OidcError::Provider(ref why) => Problem::unavailable(&error, why),
        OidcError::People(error) => error.into(),
    }
}
