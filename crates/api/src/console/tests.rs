use axum::{
    body::to_bytes,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode},
    response::Response,
};
use rust_embed::RustEmbed;

use super::answer_from;

#[derive(RustEmbed)]
#[folder = "src/console/fixture"]
struct Built;

#[derive(RustEmbed)]
#[folder = "src/console/nothing"]
#[allow_missing = true]
struct Nothing;

const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
const SCRIPT: &str = "/assets/app-0a1b2c.js";

fn ask<D: RustEmbed>(method: &Method, path: &str, fields: &[(&str, &str)]) -> Option<Response> {
    let fields = fields.iter().map(|(name, value)| {
        let name = HeaderName::try_from(*name).expect("a name");
        (name, HeaderValue::try_from(*value).expect("a value"))
    });
    answer_from::<D>(method, path, &fields.collect::<HeaderMap>())
}

fn get(path: &str, fields: &[(&str, &str)]) -> Response {
    ask::<Built>(&Method::GET, path, fields).expect("an answer")
}

fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().expect("text"))
}

async fn text(response: Response) -> String {
    let body = to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body");
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test]
async fn a_place_of_the_page_is_the_page_for_browsers_only() {
    for path in ["/", "/devices", "/devices/cam-0001", "/..%2fetc/passwd"] {
        let page = get(path, &[PAGE]);
        assert_eq!(field(&page, "cache-control"), "no-store", "{path}");
        assert_eq!(field(&page, "content-type"), "text/html; charset=utf-8");
        assert!(text(page).await.contains("fixture"));
    }
    // Whoever asks for no page gets none, but at `/`.
    assert!(ask::<Built>(&Method::GET, "/", &[]).is_some());
    assert!(ask::<Built>(&Method::GET, "/devices", &[]).is_none());
    let refuses = [("accept", "text/html;q=0, application/json")];
    assert!(ask::<Built>(&Method::GET, "/devices", &refuses).is_none());
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        assert!(ask::<Built>(&method, "/", &[PAGE]).is_none(), "{method}");
    }
    assert!(ask::<Built>(&Method::HEAD, "/devices", &[PAGE]).is_none());
}

#[test]
fn what_is_unknown_in_the_api_or_among_the_files_is_no_page() {
    for path in ["/api", "/api/v1/nothing", "/api/v2", "/assets/gone-1.js"] {
        assert!(
            ask::<Built>(&Method::GET, path, &[PAGE]).is_none(),
            "{path}"
        );
    }
    let compressed = format!("{SCRIPT}.br");
    assert!(ask::<Built>(&Method::GET, &compressed, &[]).is_none());
}

#[tokio::test]
async fn a_hashed_file_is_kept_for_ever_and_comes_compressed_to_whom_takes_it() {
    let plain = get(SCRIPT, &[]);
    assert_eq!(
        field(&plain, "cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(field(&plain, "content-encoding"), "");
    assert_eq!(field(&plain, "vary"), "accept-encoding");
    let refused = get(SCRIPT, &[("accept-encoding", "gzip, br;q=0")]);
    assert_eq!(field(&refused, "content-encoding"), "");
    let small = get(SCRIPT, &[("accept-encoding", "gzip, br")]);
    assert_eq!(field(&small, "content-encoding"), "br");
    assert_eq!(
        field(&small, "content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_ne!(field(&small, "etag"), field(&plain, "etag"));
    assert_eq!(text(small).await, "compressed");
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let tag = field(&get(SCRIPT, &[]), "etag").to_owned();
    let listed = format!("\"other\", W/{tag}");
    let again = get(SCRIPT, &[("if-none-match", &listed)]);
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(field(&again, "etag"), tag);
    assert_eq!(text(again).await, "");
    let other = get(SCRIPT, &[("if-none-match", "\"other\"")]);
    assert_eq!(other.status(), StatusCode::OK);
}

#[test]
fn no_script_or_style_runs_but_the_consoles_own() {
    for path in ["/", SCRIPT] {
        let answer = get(path, &[]);
        let policy = field(&answer, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(field(&answer, "cross-origin-opener-policy"), "same-origin");
    }
}

#[tokio::test]
async fn a_server_without_a_console_says_how_to_build_it() {
    let page = ask::<Nothing>(&Method::GET, "/", &[]).expect("a page");
    assert_eq!(field(&page, "cache-control"), "no-store");
    assert!(text(page).await.contains("cargo build"));
}
