//! Signing in with a provider of OpenID Connect. The browser goes to the provider and comes back: what it is shown then is a
//! page of the console. That page needs no session to be shown, and asks for everything else from this origin, so that the
//! session's cookie may stay `SameSite=Strict`.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use palisade_oidc::Returned;
use palisade_people::{Arrived, OidcConfig, OidcError, PeopleError};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};
use utoipa_axum::routes;

use super::{
    PeopleState, cookie,
    denials::Refusal,
    extract::{JsonBody, NoParameters, Path, Query},
    gate::Source,
    log_in::{SessionView, came_from, problem_of, record, why_refused, with_cookie},
    oidc_answer::{Outcome, record_changes, refused},
    routes::Routes,
    schema,
    text::Text,
    views::All,
};
use crate::{
    console,
    problem::{Problem, ProblemKind},
};

const MAX_BODY: usize = 1024;
const CODE_PATH: &str = "/api/v1/session/oidc/code";

pub(super) fn routes() -> Routes {
    Routes::default()
        .public("oidc.list", routes!(list_providers))
        .by_body("oidc.begin", routes!(begin_sign_in))
        .by_body("oidc.finish", routes!(finish_sign_in))
        .by_body("oidc.code", routes!(finish_with_code))
}

/// A provider that people sign in with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderView {
    /// What it is called in addresses.
    #[schema(value_type = schema::ProviderName)]
    name: String,
    /// What people read on its button.
    label: String,
}

impl From<&OidcConfig> for ProviderView {
    fn from(config: &OidcConfig) -> Self {
        Self {
            name: config.name.clone(),
            label: config.label().to_owned(),
        }
    }
}

/// A path of the console, with its query: never another server's.
#[derive(Debug, Clone)]
pub(crate) struct Next(String);

const MAX_NEXT: usize = 512;
/// The second character of `//host` and of `/\host` would make another server of it.
const NEXT_PATTERN: &str = r"^/([!-.0-\[\]-~][!-\[\]-~]*)?$";

impl Default for Next {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl<'de> Deserialize<'de> for Next {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_plain = |one: u8| one.is_ascii_graphic() && one != b'\\';
        let is_path = text.len() <= MAX_NEXT
            && text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(is_plain);
        match is_path {
            true => Ok(Self(text)),
            false => Err(serde::de::Error::custom(
                "next is a path of the console, as /devices: it begins with one slash",
            )),
        }
    }
}

impl PartialSchema for Next {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A path of the console."))
            .min_length(Some(1))
            .max_length(Some(MAX_NEXT))
            .pattern(Some(NEXT_PATTERN))
            .default(Some("/".into()))
            .into()
    }
}

impl ToSchema for Next {
    fn name() -> std::borrow::Cow<'static, str> {
        "Next".into()
    }
}

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginQuery {
    /// Where in the console to go on after the sign-in.
    #[serde(default)]
    #[param(inline)]
    next: Next,
}

/// What a provider sends a browser back with. It may add what it likes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Callback {
    /// The secret that the sign-in was begun with.
    #[param(inline, value_type = Option<Text<1, 128>>)]
    state: Option<Text<1, 128>>,
    /// What the provider's tokens are had for.
    #[param(inline, value_type = Option<Text<1, 4096>>)]
    code: Option<Text<1, 4096>>,
    /// The provider's issuer (RFC 9207).
    #[param(inline, value_type = Option<Text<1, 2048>>)]
    iss: Option<Text<1, 2048>>,
    /// Why the provider lets nobody in.
    #[param(inline, value_type = Option<Text<1, 256>>)]
    error: Option<Text<1, 256>>,
}

/// Lists the providers that people sign in with.
#[utoipa::path(
    get,
    path = "/api/v1/session/oidc",
    tag = "people",
    responses((status = 200, description = "The providers.", body = All<ProviderView>))
)]
async fn list_providers(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<All<ProviderView>> {
    let providers = state.parts().people.providers();
    Json(All::of(providers.map(ProviderView::from)))
}

/// Sends a browser to a provider.
///
/// A browser that is shown pages is sent to the console where that is not possible, which says why; others are answered with
/// a problem.
#[utoipa::path(
    get,
    path = "/api/v1/session/oidc/{name}/begin",
    tag = "people",
    params(("name" = schema::ProviderName, Path, description = "The provider."), BeginQuery),
    responses((
        status = 303, description = "At the provider.",
        headers(("Location" = String, description = "The provider."))
    ))
)]
async fn begin_sign_in(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Path(name): Path<String>,
    Query(query): Query<BeginQuery>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let now = state.parts().clock.now();
    let begun = match state.inner.begun.note(source, now) {
        Some(seconds) => Err(PeopleError::TooMany(seconds).into()),
        None => {
            let host = host_of(&uri, &headers);
            let people = &state.parts().people;
            people.begin_oidc(&name, query.next.0, (host, source)).await
        }
    };
    let sent = match begun {
        Ok(begun) => sent_to(begun.url.as_str(), [cookie::of_sign_in(&begun.browser)]),
        Err(error) => Err(error_in_words(error)),
    };
    sent.unwrap_or_else(|outcome| outcome.answer(&headers))
}

/// Ends a sign-in with what a provider sent a browser back with: the browser goes on to the console.
///
/// A browser that is shown pages is sent to the console with `refused` where nobody is signed in, which says why; others are
/// answered with a problem.
#[utoipa::path(
    get,
    path = "/api/v1/session/oidc/{name}/callback",
    tag = "people",
    params(("name" = schema::ProviderName, Path, description = "The provider."), Callback),
    responses((
        status = 303, description = "In the console. The cookie is the session.",
        headers(("Location" = String, description = "A page of the console."))
    ))
)]
async fn finish_sign_in(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Path(name): Path<String>,
    Query(query): Query<Callback>,
    headers: HeaderMap,
) -> Response {
    let browser = cookie::sign_in_of(&headers).map(str::to_owned);
    let work = finish(
        state.clone(),
        name,
        query,
        (browser, headers.clone(), source),
    );
    // Whoever goes away meanwhile leaves nothing half done, or done and not recorded.
    let task = state.spawn(work).await;
    let answered = task.unwrap_or_else(|error| Err(Problem::internal(&error).into()));
    answered.unwrap_or_else(|outcome| outcome.answer(&headers))
}

async fn finish(
    state: PeopleState,
    name: String,
    query: Callback,
    (browser, headers, source): (Option<String>, HeaderMap, Option<std::net::IpAddr>),
) -> Result<Response, Outcome> {
    let from = came_from(&headers, source);
    let returned = Returned {
        code: query.code.map(|code| code.0),
        issuer: query.iss.map(|issuer| issuer.0),
        error: query.error.map(|error| error.0),
    };
    let secret = query.state.map(|state| state.0).unwrap_or_default();
    let people = &state.parts().people;
    let arrived = people.finish_oidc(&name, (&secret, &returned), browser.as_deref(), source);
    let by = format!("by OpenID Connect: {name}");
    match arrived.await {
        Ok(Arrived::In {
            opened,
            next,
            changes,
        }) => {
            record_changes(&state, &name, &changes, source).await?;
            record(&state, &opened, from, Some(by)).await?;
            let cookies = [cookie::of(&opened.secret), Ok(cookie::sign_in_gone())];
            sent_to(&next, cookies)
        }
        Ok(Arrived::WantsCode {
            secret,
            wanted,
            next,
            changes,
        }) => {
            record_changes(&state, &name, &changes, source).await?;
            let kind = if wanted.totp { "totp" } else { "recovery" };
            let next: String = url_encoded(&next);
            let place = format!("/?owes={kind}&next={next}");
            sent_to(&place, [cookie::of_sign_in(&secret)])
        }
        Ok(Arrived::Linked { account }) => {
            super::oidc_answer::record_link(&state, &name, account, source).await?;
            sent_to("/account", [Ok(cookie::sign_in_gone())])
        }
        Err(error) => Err(refused(&state, &name, error, source).await),
    }
}

fn error_in_words(error: OidcError) -> Outcome {
    if let OidcError::Provider(error) = &error {
        tracing::warn!(%error, "a sign-in could not be begun");
    }
    error.into()
}

/// Sends a browser on.
fn sent_to<const N: usize>(
    place: &str,
    cookies: [Result<HeaderValue, Problem>; N],
) -> Result<Response, Outcome> {
    let place = HeaderValue::from_str(place).map_err(|error| Problem::internal(&error))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie?);
    }
    Ok(response)
}

/// Where a browser says that it is.
pub(super) fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let host = || headers.get(header::HOST)?.to_str().ok();
    uri.authority().map(|one| one.as_str()).or_else(host)
}

/// A text as a value of a query.
fn url_encoded(text: &str) -> String {
    let is_plain = |one: u8| one.is_ascii_alphanumeric() || b"-._~/".contains(&one);
    let encode = |one: u8| match is_plain(one) {
        true => char::from(one).to_string(),
        false => format!("%{one:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// The code of a second factor that somebody owes who came back from a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "123456" }))]
pub(crate) struct OwedCode {
    /// A code of the second factor, or a recovery code.
    code: Text<1, 64>,
}

/// Lets somebody in who came back from a provider and owes a code of their second factor.
///
/// Which sign-in it is for says a cookie of its own, which the provider's answer set.
#[utoipa::path(
    post,
    path = "/api/v1/session/oidc/code",
    tag = "people",
    request_body = OwedCode,
    responses((status = 200, description = "Who logged in. The cookie is the session.", body = SessionView))
)]
async fn finish_with_code(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<OwedCode, MAX_BODY>,
) -> Result<Response, Problem> {
    let secret = cookie::sign_in_of(&headers).unwrap_or_default();
    let people = &state.parts().people;
    let found = people.finish_oidc_code(secret, &request.code.0, source);
    let error = match found.await {
        Ok((opened, _)) => {
            let by = "by OpenID Connect and a second factor".to_owned();
            let from = came_from(&headers, source);
            record(&state, &opened, from, Some(by)).await?;
            let answer = Json(SessionView::from(opened.who.clone()));
            let mut response = with_cookie(&opened, answer)?;
            let fields = response.headers_mut();
            fields.append(header::SET_COOKIE, cookie::sign_in_gone());
            return Ok(response);
        }
        Err(error) => error,
    };
    if let Some(why) = why_refused(&error.why) {
        let refusal = Refusal::Unrecognised { source, why };
        state.denials().note(refusal, CODE_PATH).await;
    }
    let Some(again) = error.again else {
        return Err(match error.why {
            palisade_people::LogInError::NotRight => {
                Problem::new(ProblemKind::Unauthorized, OidcError::NotBegun)
            }
            other => problem_of(other),
        });
    };
    let mut response = problem_of(error.why).into_response();
    let fields = response.headers_mut();
    fields.append(header::SET_COOKIE, cookie::of_sign_in(&again)?);
    Ok(response)
}

/// Whether a person's browser waits for the answer.
pub(super) fn is_shown(headers: &HeaderMap) -> bool {
    console::wants_page(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_is_a_path_of_this_server_and_nothing_else() {
        let read = |text: &str| serde_json::from_value::<Next>(serde_json::json!(text)).is_ok();
        for good in [
            "/",
            "/devices",
            "/devices/cam-1?tab=now",
            "/a//b",
            "/a%2F%2Fb",
        ] {
            assert!(read(good), "{good}");
        }
        for bad in [
            "",
            "devices",
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/\t/evil.test",
            "/\n/evil.test",
            "https://evil.test",
            "javascript:alert(1)",
            " /devices",
            "/a b",
            "/\u{e9}",
            "/a\r\nSet-Cookie: x=y",
        ] {
            assert!(!read(bad), "{bad:?}");
        }
    }

    #[test]
    fn no_text_that_is_taken_leads_a_browser_elsewhere() {
        let here = url::Url::parse("https://fleet.test:8443/").expect("a URL");
        let pieces = [
            "/",
            "\\",
            "//",
            "%2F",
            "%5C",
            "@",
            ":",
            "evil.test",
            "https:",
            "\t",
            "\n",
            " ",
            ".",
            "..",
            "?",
            "#",
            "a",
            "[",
            "]",
            "%00",
            "\u{ff0f}",
        ];
        // Of each seed the same texts.
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut text = String::from("/");
            for _ in 0..6 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            if let Ok(Next(next)) = serde_json::from_value(text.into()) {
                let there = here.join(&next).expect("a URL");
                assert_eq!(there.origin(), here.origin(), "{next}");
                taken += 1;
            }
        }
        assert!(taken > 1_000, "{taken}");
    }

    #[test]
    fn a_path_is_one_value_of_a_query() {
        assert_eq!(url_encoded("/a?b=c&d=%20#e"), "/a%3Fb%3Dc%26d%3D%2520%23e");
    }
}
