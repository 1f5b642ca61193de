//! The log of access and its reviews: who did, tried and read what.

use axum::http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    house::{House, house},
    people::{account, log_in, session},
};

const LOG: &str = "/api/v1/access";
const REVIEW: &str = "/api/v1/access/review";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The entries that a query finds.
async fn entries(house: &House, query: &str) -> Vec<Value> {
    let list = house.get(&format!("{LOG}?{query}")).expect(200).await;
    list["items"].as_array().expect("items").clone()
}

async fn read(house: &House, secret: &str, path: &str, status: u16) -> Value {
    let call = house.anonymous(Method::GET, path).cookie(secret);
    call.expect(status).await
}

#[tokio::test]
async fn what_is_read_again_and_again_is_one_entry_and_each_act_is_one_of_its_own() {
    let house = house().await;
    account(&house, "rita", "auditor").await;
    let rita = session(&house, "rita").await;
    for _ in 0..3 {
        read(&house, &rita, "/api/v1/devices", 200).await;
        house.clock.advance_millis(1);
    }
    read(&house, &rita, "/api/v1/devices?limit=1", 200).await;
    let found = entries(&house, "subject=rita&action=device.list").await;
    assert_eq!(found.len(), 1, "{found:?}");
    let entry = &found[0];
    assert_eq!(
        (&entry["kind"], &entry["subject"], &entry["times"]),
        (&json!("account"), &json!("rita"), &json!(4))
    );
    assert_eq!(
        (&entry["outcome"], &entry["status"], &entry["source"]),
        (&json!("allowed"), &json!(200), &json!("192.0.2.7"))
    );
    assert_eq!(entry["resource"], "/api/v1/devices");
    assert!(entry["session"].is_string() && entry["event"].is_null());
    let time = |name: &str| -> palisade_core::Timestamp {
        let text = entry[name].as_str().expect("text");
        text.parse().expect("a time")
    };
    assert!(time("first_at") < time("last_at"));
    // Two acts of one kind, each with its entry of the ledger.
    for name in ["one", "two"] {
        let body = json!({ "name": name, "scopes": ["devices:read"] });
        house.post("/api/v1/api-tokens", body).expect(201).await;
    }
    let found = entries(&house, "subject=admin&action=api_token.create").await;
    assert_eq!(found.len(), 2, "{found:?}");
    let ledger = house.entries().await;
    for entry in &found {
        let is_it = |one: &&Value| one["id"] == entry["event"];
        let told = ledger.iter().find(is_it).expect("is in the ledger");
        assert_eq!(told["act"], "api_token.create");
    }
    // The next hour is another entry.
    house.clock.advance_millis(60 * 60 * 1_000);
    house.get("/api/v1/devices").expect(200).await;
    house.get("/api/v1/devices").expect(200).await;
    house.clock.advance_millis(60 * 60 * 1_000);
    house.get("/api/v1/devices").expect(200).await;
    let found = entries(&house, "subject=admin&action=device.list").await;
    let times: Vec<_> = found.iter().map(|entry| entry["times"].as_u64()).collect();
    assert_eq!(times, [Some(1), Some(2)]);
}

#[tokio::test]
async fn what_was_tried_and_refused_is_there_with_its_reason() {
    let house = house().await;
    account(&house, "rita", "auditor").await;
    let rita = session(&house, "rita").await;
    let role = json!({ "name": "x", "cedar": "permit (principal, action, resource);" });
    for _ in 0..2 {
        let call = house.anonymous(Method::POST, "/api/v1/roles").cookie(&rita);
        call.json(role.clone()).problem(403).await;
    }
    let found = entries(&house, "subject=rita&outcome=denied").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["action"], &found[0]["times"], &found[0]["status"]),
        (&json!("role.create"), &json!(2), &json!(403))
    );
    let reason = found[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("auditor"), "{reason}");
    // By a token, and by nobody at all.
    let token = house.token("reader", &["devices:read"]).await;
    let call = house.anonymous(Method::GET, "/api/v1/accounts");
    call.bearer(&token).problem(403).await;
    let found = entries(&house, "subject=reader&outcome=denied").await;
    assert_eq!(
        (&found[0]["kind"], &found[0]["action"]),
        (&json!("token"), &json!("account.list"))
    );
    let call = house.anonymous(Method::GET, "/api/v1/accounts");
    call.bearer("pat_wrong").problem(401).await;
    let found = entries(&house, "action=account.list&outcome=denied").await;
    let kinds: Vec<_> = found.iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["nobody", "token"]);
    // A log-in that was right is of its account, one that was wrong is of nobody.
    log_in(&house, json!({ "account": "rita", "password": "not hers" })).await;
    let found = entries(&house, "action=session.begin").await;
    let seen = |kind: &str, outcome: &str| {
        let is_it = |entry: &&Value| entry["kind"] == kind && entry["outcome"] == outcome;
        found.iter().any(|entry| is_it(&entry))
    };
    assert!(
        seen("account", "allowed") && seen("nobody", "denied"),
        "{found:?}"
    );
    let text = serde_json::to_string(&found).expect("json");
    assert!(!text.contains("not hers"), "{text}");
}

#[tokio::test]
async fn whoever_may_not_reads_no_log_and_no_review_whosever_it_is() {
    let house = house().await;
    house.fleet(&["ber-1"]).await;
    account(&house, "tina", "technician").await;
    account(&house, "oscar", "operator").await;
    account(&house, "bound", "technician").await;
    let bounds = json!({ "label": { "key": "site", "value": "berlin" } });
    let body = json!({ "assignments": [{ "role": "auditor", "bounds": bounds }] });
    house
        .put("/api/v1/accounts/bound/roles", body)
        .expect(200)
        .await;
    for name in ["tina", "oscar", "bound"] {
        let secret = session(&house, name).await;
        for path in [
            LOG.to_owned(),
            format!("{LOG}?subject={name}"),
            REVIEW.to_owned(),
            format!("{REVIEW}?account={name}"),
            "/api/v1/access/reviews".to_owned(),
        ] {
            let call = house.anonymous(Method::GET, &path).cookie(&secret);
            call.problem(403).await;
        }
    }
    for bad in [
        "days=0",
        "days=4000",
        "account=%20",
        "after=zz",
        "limit=0",
        "who=me",
    ] {
        let call = house.get(&format!("{REVIEW}?{bad}"));
        let status = call.answer().await.status.as_u16();
        assert!(status == 422 || status == 400, "{bad}: {status}");
    }
    assert_eq!(
        entries(&house, "subject=nobody-here").await,
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn the_log_is_read_in_parts_and_between_times() {
    let house = house().await;
    for path in ["devices", "products", "accounts", "roles", "teams"] {
        house.get(&format!("/api/v1/{path}")).expect(200).await;
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = house.get(&format!("{LOG}?subject=admin&limit=2{after}"));
        let page = page.expect(200).await;
        let items = page["items"].as_array().expect("items").iter();
        seen.extend(items.map(|item| item["action"].as_str().expect("text").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let first: Vec<&str> = seen.iter().rev().take(5).map(String::as_str).collect();
    assert_eq!(
        first,
        [
            "device.list",
            "product.list",
            "account.list",
            "role.list",
            "team.list"
        ]
    );
    use palisade_core::Clock;
    house.clock.advance_millis(10);
    let now = house.clock.now();
    assert_eq!(
        entries(&house, &format!("action=team.list&since={now}"))
            .await
            .len(),
        0
    );
    assert_eq!(
        entries(&house, &format!("action=team.list&until={now}"))
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn what_was_noted_is_written_when_the_server_stops() {
    let house = house().await;
    house.get("/api/v1/teams").expect(200).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    house.state.clone().run(cancel).await;
    let filter = palisade_store::AccessFilter {
        action: Some("team.list".to_owned()),
        ..palisade_store::AccessFilter::default()
    };
    let found = house
        .store
        .access()
        .list(&filter, None, 10)
        .await
        .expect("reads");
    assert_eq!(found.len(), 1);
}

/// The review of one account.
async fn reviewed(house: &House, name: &str, days: u32) -> Value {
    let path = format!("{REVIEW}?account={name}&days={days}");
    let review = house.get(&path).expect(200).await;
    review["items"][0].clone()
}

fn kinds(of: &Value) -> Vec<&str> {
    let all = of["suggestions"].as_array().expect("suggestions").iter();
    all.filter_map(|one| one["kind"].as_str()).collect()
}

#[tokio::test]
async fn a_review_shows_which_rights_are_used_and_which_are_not() {
    let house = house().await;
    account(&house, "tina", "technician").await;
    account(&house, "idle", "auditor").await;
    let body =
        json!({ "name": "team", "members": ["tina"], "assignments": [{ "role": "auditor" }] });
    house.post("/api/v1/teams", body).expect(201).await;
    let expiring = json!({ "name": "t", "scopes": ["devices:read"], "ttl_s": 3_600 });
    house.post("/api/v1/api-tokens", expiring).expect(201).await;
    house.clock.advance_millis(8 * DAY_MS);
    let tina = session(&house, "tina").await;
    read(&house, &tina, "/api/v1/devices", 200).await;
    let call = house.anonymous(Method::GET, "/api/v1/roles").cookie(&tina);
    call.problem(403).await;
    let seen = reviewed(&house, "tina", 7).await;
    assert_eq!(
        (
            &seen["dormant"],
            &seen["teams"],
            &seen["totp"],
            &seen["sessions"]
        ),
        (&json!(false), &json!(["team"]), &json!(false), &json!(1))
    );
    let used = |list: &str| -> Vec<String> {
        let items = seen[list].as_array().expect("a list").iter();
        items
            .map(|one| one["action"].as_str().expect("text").to_owned())
            .collect()
    };
    assert!(used("used").contains(&"device.list".to_owned()));
    assert_eq!(used("refused"), ["role.list"]);
    let roles = seen["roles"].as_array().expect("roles");
    let technician = roles
        .iter()
        .find(|one| one["role"] == "technician")
        .expect("is there");
    let unused = technician["unused"].as_array().expect("a list");
    assert!(!unused.contains(&json!("device.list")) && unused.contains(&json!("device.retire")));
    assert_eq!(
        technician["permits"].as_u64().expect("a number"),
        unused.len() as u64 + 1,
        "{technician}"
    );
    let by_team = roles
        .iter()
        .find(|one| one["role"] == "auditor")
        .expect("is there");
    assert_eq!(by_team["team"], "team");
    assert_eq!(kinds(&seen), ["no_second_factor", "wide_role", "wide_role"]);
    // Who did nothing at all.
    let idle = reviewed(&house, "idle", 7).await;
    assert_eq!(idle["dormant"], true);
    assert_eq!(kinds(&idle), ["dormant", "no_second_factor", "unused_role"]);
    // Of what is younger than the time that is looked at nothing is said.
    let young = reviewed(&house, "idle", 30).await;
    assert_eq!(kinds(&young), ["no_second_factor"]);
    // Tokens: the one that ended is not there, the one that never ends is.
    let review = house.get(REVIEW).expect(200).await;
    let tokens = review["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(
        kinds(&tokens[0]),
        ["token_without_end", "token_for_everything"]
    );
}

#[tokio::test]
async fn a_review_shows_the_scopes_that_a_token_does_not_use() {
    let house = house().await;
    let service = json!({ "description": "makes bills" });
    house
        .put("/api/v1/services/billing", service)
        .expect(200)
        .await;
    let scopes = ["devices:read", "tokens:read", "policy:write"];
    let wanted =
        json!({ "name": "bills", "scopes": scopes, "service": "billing", "ttl_s": 9_000_000 });
    let made = house.post("/api/v1/api-tokens", wanted);
    let made = made.expect(201).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let call = |path| {
        let call = house.anonymous(Method::GET, path);
        call.bearer(&secret)
    };
    call("/api/v1/devices").expect(200).await;
    house.clock.advance_millis(8 * DAY_MS);
    call("/api/v1/devices").expect(200).await;
    house.get("/api/v1/api-tokens").expect(200).await;
    // What it may not do is no use of anything.
    call("/api/v1/api-tokens").problem(403).await;
    let review = house.get(&format!("{REVIEW}?days=7")).expect(200).await;
    let tokens = review["tokens"].as_array().expect("tokens");
    let token = |name: &str| {
        tokens
            .iter()
            .find(|one| one["name"] == name)
            .expect("is there")
    };
    let bills = token("bills");
    assert_eq!(
        (
            &bills["service"],
            &bills["unused"],
            &bills["used"][0]["action"]
        ),
        (
            &json!("billing"),
            &json!(["policy:write", "tokens:read"]),
            &json!("device.list")
        )
    );
    assert_eq!(kinds(bills), ["token_unused_scopes"]);
    let detail = bills["suggestions"][0]["detail"].as_str().expect("text");
    assert!(
        detail.starts_with("nothing of policy:write, tokens:read was done since"),
        "{detail}"
    );
    // Of a token for everything all that it did not use is shown, and said once.
    let all = token("admin");
    let unused = all["unused"].as_array().expect("a list");
    assert!(
        unused.contains(&json!("ca:root")) && !unused.contains(&json!("admin")),
        "{all}"
    );
    assert!(!kinds(all).contains(&"token_unused_scopes"), "{all}");
    // A token that is younger than the time that is looked at is left alone.
    let young = house.get(&format!("{REVIEW}?days=30")).expect(200).await;
    let young = young["tokens"].as_array().expect("tokens");
    let bills = young
        .iter()
        .find(|one| one["name"] == "bills")
        .expect("is there");
    assert_eq!(kinds(bills), Vec::<&str>::new());
}

#[tokio::test]
async fn an_auditor_reads_a_review_and_an_analyst_signs_what_is_still_so() {
    let house = house().await;
    account(&house, "rita", "auditor").await;
    account(&house, "sam", "security-analyst").await;
    let (rita, sam) = (session(&house, "rita").await, session(&house, "sam").await);
    let digest = async || {
        let review = read(&house, &rita, REVIEW, 200).await;
        review["digest"].as_str().expect("a digest").to_owned()
    };
    let sign = |secret: &str, digest: &str| {
        let body = json!({ "digest": digest, "note": "third quarter" });
        let call = house.anonymous(Method::POST, REVIEW).cookie(secret);
        call.json(body)
    };
    let before = digest().await;
    assert_eq!(digest().await, before, "reading it does not change it");
    sign(&rita, &before).problem(403).await;
    house
        .post(REVIEW, json!({ "digest": before }))
        .problem(403)
        .await;
    // Somebody got a role meanwhile.
    let body = json!({ "assignments": [{ "role": "auditor" }, { "role": "operator" }] });
    house
        .put("/api/v1/accounts/rita/roles", body)
        .expect(200)
        .await;
    sign(&sam, &before).problem(409).await;
    let rita = session(&house, "rita").await;
    let review = read(&house, &rita, REVIEW, 200).await;
    let now = review["digest"].as_str().expect("a digest");
    assert_ne!(now, before);
    let signed = sign(&sam, now).expect(201).await;
    assert_eq!(
        (&signed["reviewer"], &signed["accounts"], &signed["note"]),
        (&json!("sam"), &json!(2), &json!("third quarter"))
    );
    assert_eq!(signed["suggestions"], review["suggestions"]);
    let history = read(&house, &rita, "/api/v1/access/reviews", 200).await;
    assert_eq!(history["items"], json!([signed]));
    let told = house.entries().await;
    let told = told
        .iter()
        .find(|one| one["act"] == "access.sign_off" && one["outcome"] == "done");
    let told = told.expect("is in the ledger");
    assert!(
        told["target"].as_str().expect("text").contains(now),
        "{told}"
    );
    assert_eq!(told["reason"], "third quarter");
}

#[tokio::test]
async fn whoever_is_signed_in_learns_which_roles_there_are_to_ask_for_and_no_more() {
    let house = house().await;
    account(&house, "tina", "technician").await;
    let tina = session(&house, "tina").await;
    let roles = read(&house, &tina, "/api/v1/elevations/roles", 200).await;
    let roles = roles["items"].as_array().expect("items");
    let operator = roles.iter().find(|role| role["name"] == "operator");
    let fields: Vec<_> = operator
        .expect("is there")
        .as_object()
        .expect("a role")
        .keys()
        .collect();
    assert_eq!(fields, ["name", "description"]);
    let call = house.anonymous(Method::GET, "/api/v1/elevations/roles");
    call.problem(401).await;
    // Not before they are through with signing in.
    let body = json!({ "name": "new", "roles": ["auditor"], "password": crate::people::OTHER });
    house.post("/api/v1/accounts", body).expect(201).await;
    let body = json!({ "account": "new", "password": crate::people::OTHER });
    let first = log_in(&house, body).await.2.expect("a session");
    let call = house.anonymous(Method::GET, "/api/v1/elevations/roles");
    call.cookie(&first).problem(403).await;
}
