//! The cookie of a log-in session, and what a request that it authenticates must show besides: a browser sends
//! cookies with whatever any page makes it ask for.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
};

use crate::problem::{Problem, ProblemKind};

/// A browser takes this name over TLS only, for the whole of this host and for no other.
pub(super) const NAME: &str = "__Host-palisade";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";
/// What binds a sign-in with a provider to the browser that it was begun in. It must come along when the provider sends the
/// browser back, from another site: `Lax`, where the session's is `Strict`.
const SIGN_IN: &str = "__Host-palisade-sign-in";
const SIGN_IN_ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600";
/// No page of another origin can send it without being allowed to, and none is.
pub(super) const HEADER: &str = "palisade-request";
/// Cookies that are looked at.
const MAX_COOKIES: usize = 64;

/// The secret that a request carries in the cookie, if it does.
pub(super) fn secret_of(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    named(headers, NAME).map_err(|()| "several sessions")
}

/// The secret of the sign-in that was begun in this browser; nothing where there are several.
pub(super) fn sign_in_of(headers: &HeaderMap) -> Option<&str> {
    named(headers, SIGN_IN).ok().flatten()
}

/// The one cookie of a name.
fn named<'a>(headers: &'a HeaderMap, wanted: &str) -> Result<Option<&'a str>, ()> {
    let mut found = None;
    let lines = headers.get_all(header::COOKIE).iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    let cookies = texts.flat_map(|text| text.split(';')).take(MAX_COOKIES);
    for (name, secret) in cookies.filter_map(|cookie| cookie.trim().split_once('=')) {
        // Two could be one that somebody planted beside ours.
        if name == wanted && found.replace(secret).is_some() {
            return Err(());
        }
    }
    Ok(found)
}

/// Binds a sign-in to the browser.
pub(super) fn of_sign_in(secret: &str) -> Result<HeaderValue, Problem> {
    let text = format!("{SIGN_IN}={secret}; {SIGN_IN_ATTRIBUTES}");
    HeaderValue::from_str(&text).map_err(|error| Problem::internal(&error))
}

/// Ends what bound a sign-in to the browser.
pub(super) fn sign_in_gone() -> HeaderValue {
    HeaderValue::from_static(
        "__Host-palisade-sign-in=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
    )
}

/// Sets the cookie to a new secret.
pub(super) fn of(secret: &str) -> Result<HeaderValue, Problem> {
    let text = format!("{NAME}={secret}; {ATTRIBUTES}");
    HeaderValue::from_str(&text).map_err(|error| Problem::internal(&error))
}

/// Takes the cookie away.
pub(super) fn gone() -> HeaderValue {
    HeaderValue::from_static(
        "__Host-palisade=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0",
    )
}

/// Refuses a request that changes something and that a page of another origin may have made a browser send.
pub(super) fn is_of_our_page(request: &Request) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let headers = request.headers();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let authority = request.uri().authority().map(|one| one.as_str());
    let host = authority.or(text("host")).unwrap_or("");
    let is_ours = text(HEADER) == Some("1")
        && text("sec-fetch-site").is_none_or(|site| site == "same-origin")
        && text("origin").is_none_or(|origin| {
            origin
                .strip_prefix("https://")
                .is_some_and(|origin| origin.eq_ignore_ascii_case(host))
        });
    match is_ours {
        true => Ok(()),
        false => Err(Problem::new(
            ProblemKind::Forbidden,
            "a request with a session's cookie that changes something carries `Palisade-Request: 1` and comes \
             from this origin",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cookie_of_ours_is_a_session_and_two_are_none() {
        let of = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))]);
            secret_of(&headers).map(|found| found.map(str::to_owned))
        };
        assert_eq!(
            of("a=1; __Host-palisade=pss_x; b=2"),
            Ok(Some("pss_x".to_owned()))
        );
        assert_eq!(of("palisade=pss_x"), Ok(None));
        assert!(of("__Host-palisade=pss_x; __Host-palisade=pss_y").is_err());
    }
}
