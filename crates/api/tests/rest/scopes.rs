//! Every operation of the document is behind its scope: the document is walked, so that none is left out.

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::house::{House, house};

const PUBLIC: [&str; 10] = [
    "begin_passkey_log_in",
    "get_document",
    "log_in",
    "log_in_with_passkey",
    "set_up",
    "set_up_account",
    "list_providers",
    "begin_sign_in",
    "finish_sign_in",
    "finish_with_code",
];

struct Operation {
    id: String,
    method: Method,
    path: String,
    scope: Option<String>,
    act: Option<String>,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&palisade_api::people::openapi()).expect("json");
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let text = |name: &str| operation[name].as_str().map(str::to_owned);
            found.push(Operation {
                id: text("operationId").expect("an id"),
                method: method.to_uppercase().parse().expect("a method"),
                path: filled(path),
                scope: text("x-palisade-scope"),
                act: text("x-palisade-act"),
            });
        }
    }
    assert!(found.len() > 55, "only {} operations", found.len());
    found
}

/// A path with ids that are valid and of nothing that exists.
fn filled(path: &str) -> String {
    let ulid = path.contains("tokens/{id}") || path.contains("grants/{id}");
    let id = if ulid {
        "01JZX3R5W8Q2M4N6P7T9V0A1BC"
    } else {
        "x-1"
    };
    path.replace("{id}", id)
        .replace("{export}", "01JZX3R5W8Q2M4N6P7T9V0A1BC")
        .replace("{name}", "maker")
        .replace("{serial}", "0a1b")
        .replace("{level}/{index}", "0/000")
        .replace("{index}", "000")
}

#[tokio::test]
async fn nobody_gets_past_a_gate_without_a_token() {
    let house = house().await;
    for operation in operations() {
        let call = || house.anonymous(operation.method.clone(), &operation.path);
        if PUBLIC.contains(&operation.id.as_str()) {
            let status = call().answer().await.status;
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{}", operation.id);
            assert_eq!(operation.scope, None, "{}", operation.id);
            continue;
        }
        assert!(operation.scope.is_some(), "{} has no scope", operation.id);
        call().problem(401).await;
        for bad in ["pat_wrong", "", "pet_", &"x".repeat(10_000)] {
            call().bearer(bad).problem(401).await;
        }
        // What comes too often from one address is answered in another way.
        house.clock.advance_millis(60_000);
    }
}

#[tokio::test]
async fn a_token_that_has_every_scope_but_the_one_needed_is_refused() {
    let house = house().await;
    for operation in operations() {
        let Some(needed) = operation.scope.filter(|scope| scope != "any") else {
            continue;
        };
        let secret = token_without(&house, &needed).await;
        let call = house.anonymous(operation.method.clone(), &operation.path);
        let why = call.bearer(&secret).problem(403).await;
        assert!(why.contains(&needed), "{}: {why}", operation.id);
    }
}

async fn token_without(house: &House, needed: &str) -> String {
    let all = palisade_api::people::Scope::ALL;
    let others: Vec<&str> = all
        .iter()
        .map(|scope| scope.as_str())
        .filter(|scope| *scope != needed)
        .collect();
    let name = format!("no-{needed}");
    let secret = format!("pat_{:A<43}", name.replace(':', "-"));
    let hash = crate::house::sha256(&secret);
    let known = house.store.tokens().find_api(&hash).await.expect("reads");
    match known {
        Some(_) => secret,
        None => house.token(&name, &others).await,
    }
}

#[tokio::test]
async fn every_operation_that_changes_something_is_recorded_under_a_name() {
    for operation in operations() {
        let reads = operation.method == Method::GET
            || PUBLIC.contains(&operation.id.as_str())
            || [
                "check_password",
                "check_policy",
                "check_rules",
                "explain",
                "test_policy",
                "check_playbook",
                "verify_ledger",
            ]
            .contains(&operation.id.as_str());
        let Some(act) = operation.act else {
            assert!(reads, "{} has no act", operation.id);
            continue;
        };
        assert!(!reads, "{} reads", operation.id);
        let (noun, verb) = act.split_once('.').expect("<noun>.<verb>");
        assert!(!noun.is_empty() && !verb.is_empty(), "{act}");
    }
}

#[tokio::test]
async fn a_revoked_or_ended_token_is_no_token() {
    let house = house().await;
    let revoked = |token: &mut palisade_store::ApiToken| token.revoked = true;
    let revoked = house.add_token("revoked", &["*"], revoked).await;
    let now = house.clock.clone();
    let ending = |token: &mut palisade_store::ApiToken| {
        use palisade_core::Clock;
        let end = now.now().checked_add(std::time::Duration::from_secs(5));
        token.expires_at = Some(end.expect("a time"));
    };
    let ending = house.add_token("ending", &["*"], ending).await;
    let ask = |secret: &str| {
        let call = house.anonymous(Method::GET, "/api/v1/whoami");
        call.bearer(secret).answer()
    };
    assert_eq!(ask(&revoked).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&ending).await.status, StatusCode::OK);
    house.clock.advance_millis(5_000);
    assert_eq!(ask(&ending).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_at_most_once_a_minute() {
    let house = house().await;
    let used = async || {
        let tokens = house.store.tokens().api().await.expect("reads");
        tokens[0].last_used_at.expect("was used")
    };
    house.get("/api/v1/whoami").expect(200).await;
    let first = used().await;
    house.clock.advance_millis(59_000);
    house.get("/api/v1/whoami").expect(200).await;
    assert_eq!(used().await, first);
    house.clock.advance_millis(1_000);
    house.get("/api/v1/whoami").expect(200).await;
    assert!(used().await > first);
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down_and_valid_tokens_are_served_all_the_same() {
    let house = house().await;
    let guess = async || {
        let call = house.anonymous(Method::GET, "/api/v1/whoami");
        call.bearer("pat_guess").answer().await
    };
    let mut answers = Vec::new();
    for _ in 0..130 {
        answers.push(guess().await.status);
    }
    assert_eq!(answers[0], StatusCode::UNAUTHORIZED);
    assert_eq!(answers[129], StatusCode::TOO_MANY_REQUESTS);
    let limited = guess().await;
    assert!(limited.headers.contains_key("retry-after"));
    house.get("/api/v1/whoami").expect(200).await;
    // What 130 attempts leave in the ledger does not grow with their number.
    let refused = house.entries().await;
    let refused = refused.iter().filter(|entry| entry["kind"] == "refused");
    assert!(refused.count() <= 2);
}
