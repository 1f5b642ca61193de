//! The plan of reviews, and suggestions that are followed in one step.

use axum::http::Method;
use serde_json::{Value, json};

use crate::{
    house::{House, house},
    people::{account, session},
};

const PLAN: &str = "/api/v1/access/review/plan";
const REVIEW: &str = "/api/v1/access/review";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

async fn sign(house: &House, name: &str) {
    let secret = session(house, name).await;
    let review = house.get(REVIEW).expect(200).await;
    let body = json!({ "digest": review["digest"] });
    let call = house.anonymous(Method::POST, REVIEW).cookie(&secret);
    call.json(body).expect(201).await;
}

#[tokio::test]
async fn a_planned_review_is_overdue_until_its_owner_signs() {
    let house = house().await;
    account(&house, "sam", "security-analyst").await;
    account(&house, "zoe", "security-analyst").await;
    house.get(PLAN).problem(404).await;
    for (wrong, status) in [
        (json!({ "owner": "nobody", "every_days": 30 }), 404),
        (json!({ "owner": "sam", "every_days": 0 }), 422),
        (
            json!({ "owner": "sam", "every_days": 30, "due_at": "2001-01-01T00:00:00Z" }),
            422,
        ),
    ] {
        house.put(PLAN, wrong).problem(status).await;
    }
    let made = json!({ "owner": "sam", "every_days": 30 });
    let plan = house.put(PLAN, made).expect(200).await;
    assert_eq!(
        (&plan["owner"], &plan["overdue"]),
        (&json!("sam"), &json!(false))
    );
    house.clock.advance_millis(31 * DAY_MS);
    let overdue = async || house.get(PLAN).expect(200).await["overdue"].clone();
    assert_eq!(overdue().await, true);
    sign(&house, "zoe").await;
    assert_eq!(overdue().await, true, "it is not hers to sign");
    sign(&house, "sam").await;
    let after = house.get(PLAN).expect(200).await;
    assert_eq!(after["overdue"], false);
    assert!(after["due_at"].as_str() > plan["due_at"].as_str());
    house.call(Method::DELETE, PLAN).expect(204).await;
    house.get(PLAN).problem(404).await;
}

#[tokio::test]
async fn who_may_only_look_plans_nothing() {
    let house = house().await;
    account(&house, "rita", "auditor").await;
    account(&house, "sam", "security-analyst").await;
    let body = json!({ "owner": "rita", "every_days": 30 });
    for name in ["rita", "sam"] {
        let secret = session(&house, name).await;
        let call = house.anonymous(Method::PUT, PLAN).cookie(&secret);
        call.json(body.clone()).problem(403).await;
    }
}

/// The remedies that a review has now, each once.
async fn remedies(house: &House) -> Vec<Value> {
    let review = house.get(&format!("{REVIEW}?days=7")).expect(200).await;
    let accounts = review["items"].as_array().expect("items").iter();
    let tokens = review["tokens"].as_array().expect("tokens").iter();
    let suggestions = accounts.chain(tokens).flat_map(|one| {
        let all = one["suggestions"].as_array().expect("suggestions");
        all.clone()
    });
    let mut found: Vec<Value> = suggestions
        .map(|one| one["remedy"].clone())
        .filter(|remedy| !remedy.is_null())
        .collect();
    found.dedup();
    found
}

#[tokio::test]
async fn what_is_not_used_is_taken_away_by_the_request_that_the_review_names() {
    let house = house().await;
    account(&house, "tina", "technician").await;
    account(&house, "idle", "auditor").await;
    let both = json!({ "assignments": [{ "role": "technician" }, { "role": "release-manager" }] });
    house
        .put("/api/v1/accounts/tina/roles", both)
        .expect(200)
        .await;
    let wanted = json!({
        "name": "bills", "scopes": ["devices:read", "policy:write"], "ttl_s": 9_000_000
    });
    let made = house.post("/api/v1/api-tokens", wanted).expect(201).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let reads = |path| house.anonymous(Method::GET, path).bearer(&secret);
    reads("/api/v1/devices").expect(200).await;
    house.clock.advance_millis(8 * DAY_MS);
    let tina = session(&house, "tina").await;
    let call = house.anonymous(Method::POST, "/api/v1/devices/cam-9/disconnect");
    call.cookie(&tina).problem(404).await;
    reads("/api/v1/devices").expect(200).await;
    house.get("/api/v1/api-tokens").expect(200).await;
    // One by one, as the next may be another after each.
    let mut done = Vec::new();
    while let Some(remedy) = remedies(&house).await.first() {
        let method: Method = remedy["method"]
            .as_str()
            .expect("text")
            .parse()
            .expect("one");
        let mut call = house.call(method, remedy["path"].as_str().expect("text"));
        if !remedy["body"].is_null() {
            call = call.json(remedy["body"].clone());
        }
        let status = call.answer().await.status;
        assert!(status.is_success(), "{remedy}: {status}");
        done.push(remedy["does"].as_str().expect("text").to_owned());
        assert!(done.len() < 10, "{done:?}");
    }
    assert_eq!(
        done,
        [
            "disables idle; its sessions end",
            "takes the role release-manager from tina; its sessions end",
            "leaves the token bills with 1 of its 2 scopes",
        ]
    );
    let roles = house.get("/api/v1/accounts/tina/roles").expect(200).await;
    assert_eq!(roles["assignments"], json!([{ "role": "technician" }]));
    let gone = house.call(Method::DELETE, "/api/v1/accounts/tina/roles/auditor");
    gone.problem(404).await;
    let call = house
        .anonymous(Method::GET, "/api/v1/whoami")
        .bearer(&secret);
    assert_eq!(call.expect(200).await["scopes"], json!(["devices:read"]));
}

#[tokio::test]
async fn what_was_given_lately_is_not_taken_and_who_works_by_a_team_is_not_disabled() {
    let house = house().await;
    account(&house, "tina", "technician").await;
    let team =
        json!({ "name": "team", "members": ["tina"], "assignments": [{ "role": "auditor" }] });
    house.post("/api/v1/teams", team).expect(201).await;
    house.get("/api/v1/devices").expect(200).await;
    house.clock.advance_millis(30 * DAY_MS);
    let tina = session(&house, "tina").await;
    let call = house.anonymous(Method::GET, "/api/v1/access").cookie(&tina);
    call.expect(200).await;
    // Of two roles, the team's is used. Her own is of yesterday.
    let given = json!({ "assignments": [{ "role": "operator" }] });
    house
        .put("/api/v1/accounts/tina/roles", given)
        .expect(200)
        .await;
    house.clock.advance_millis(DAY_MS);
    assert_eq!(remedies(&house).await, Vec::<Value>::new());
    house.clock.advance_millis(8 * DAY_MS);
    let tina = session(&house, "tina").await;
    let call = house.anonymous(Method::GET, "/api/v1/access").cookie(&tina);
    call.expect(200).await;
    let found = remedies(&house).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let path = found[0]["path"].as_str().expect("text");
    assert_eq!(path, "/api/v1/accounts/tina/roles/operator");
    let shown = house.call(Method::DELETE, path).expect(200).await;
    assert_eq!(
        (&shown["disabled"], &shown["roles"]),
        (&json!(false), &json!([]))
    );
}

#[tokio::test]
async fn a_token_is_only_ever_given_less() {
    let house = house().await;
    let wanted = json!({ "name": "t", "scopes": ["devices:read", "events:read"], "ttl_s": 9_000 });
    let made = house.post("/api/v1/api-tokens", wanted).expect(201).await;
    let path = format!("/api/v1/api-tokens/{}", made["id"].as_str().expect("an id"));
    let narrow = |scopes: Value| {
        let call = house.call(Method::PATCH, &path);
        call.json(json!({ "scopes": scopes }))
    };
    for wrong in [json!(["*"]), json!(["devices:read", "admin"]), json!([])] {
        narrow(wrong).problem(422).await;
    }
    let left = narrow(json!(["events:read"])).expect(200).await;
    assert_eq!(left["scopes"], json!(["events:read"]));
    narrow(json!(["devices:read"])).problem(422).await;
    let secret = made["secret"].as_str().expect("a secret");
    let call = house
        .anonymous(Method::GET, "/api/v1/devices")
        .bearer(secret);
    call.problem(403).await;
    house.call(Method::DELETE, &path).expect(204).await;
    narrow(json!(["events:read"])).problem(404).await;
}
