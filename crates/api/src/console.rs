//! The console: one page, its scripts and styles, embedded when the server is built, and served on the door
//! for people beside the REST API, which is all that it speaks to. Nobody needs to sign in to load it: it
//! holds nothing but code.

#[cfg(test)]
mod tests;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

/// What `npm run build` made, if it ran before cargo did.
#[derive(RustEmbed)]
#[folder = "../../console/dist"]
#[allow_missing = true]
struct Dist;

/// What `/` says where there was nothing to embed.
const NOT_BUILT: &str = include_str!("console/not_built.html");
const INDEX: &str = "index.html";
/// Where files are whose names hold a hash of what they are.
const HASHED: &str = "assets/";
/// The ending of a file that is another one, compressed.
const COMPRESSED: &str = ".br";

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'";
const PERMISSIONS_POLICY: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), \
    serial=(), display-capture=(), publickey-credentials-get=(self), \
    publickey-credentials-create=(self)";

/// The file or page that a request asks for; `None` where it asks for neither.
pub(crate) fn answer(request: &Request) -> Option<Response> {
    answer_from::<Dist>(request.method(), request.uri().path(), request.headers())
}

fn answer_from<D: RustEmbed>(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    if !matches!(*method, Method::GET | Method::HEAD) || is_api(path) {
        return None;
    }
    let name = path.strip_prefix('/')?;
    if name.is_empty() || name == INDEX {
        return Some(index::<D>(headers));
    }
    if !name.ends_with(COMPRESSED)
        && let Some(found) = file::<D>(name, headers)
    {
        return Some(found);
    }
    // The page itself knows its places, and says where there is none; a missing script must stay missing.
    let is_place = !name.starts_with(HASHED) && *method == Method::GET && wants_page(headers);
    is_place.then(|| index::<D>(headers))
}

/// Whether a path is the API's, so that what is unknown there is unknown in the API's words.
fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Whether a person's browser is to be shown what is answered.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    tokens(headers, header::ACCEPT).any(|token| token == "text/html")
}

fn takes_brotli(headers: &HeaderMap) -> bool {
    tokens(headers, header::ACCEPT_ENCODING).any(|token| token == "br")
}

/// The members of a list header that are wanted: those with `q=0` are not.
fn tokens(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    let members = values.filter_map(|value| value.to_str().ok());
    members
        .flat_map(|value| value.split(','))
        .filter_map(|member| {
            let (token, parameters) = member.split_once(';').unwrap_or((member, ""));
            let mut weights = parameters.split(';').filter_map(|parameter| {
                let (key, weight) = parameter.split_once('=')?;
                (key.trim() == "q").then(|| weight.trim().parse::<f32>().unwrap_or(0.0))
            });
            (weights.next() != Some(0.0)).then_some(token.trim())
        })
}

fn index<D: RustEmbed>(headers: &HeaderMap) -> Response {
    let mut response = match file::<D>(INDEX, headers) {
        Some(response) => response,
        None => dressed(NOT_BUILT.into_response(), INDEX),
    };
    // It names the files of this build: an old one would name files that are gone.
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

fn file<D: RustEmbed>(name: &str, headers: &HeaderMap) -> Option<Response> {
    let plain = D::get(name)?;
    let compressed = match takes_brotli(headers) {
        true => D::get(&format!("{name}{COMPRESSED}")),
        false => None,
    };
    let is_compressed = compressed.is_some();
    let file = compressed.unwrap_or(plain);
    let tag = entity_tag(&file.metadata.sha256_hash());
    let mut response = match has(headers, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => axum::body::Bytes::from(file.data.into_owned()).into_response(),
    };
    let fields = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        fields.insert(header::ETAG, tag);
    }
    fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_compressed {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    Some(dressed(response, name))
}

fn entity_tag(digest: &[u8]) -> String {
    format!(
        "\"{}\"",
        palisade_core::hex(&digest[..digest.len().min(16)])
    )
}

fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter();
    known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag)
}

/// The response with what every file of the console carries.
fn dressed(mut response: Response, name: &str) -> Response {
    let cache = match name.starts_with(HASHED) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    for (field, value) in [
        ("content-type", media_type(name)),
        ("cache-control", cache),
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("permissions-policy", PERMISSIONS_POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(field, value);
    }
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
