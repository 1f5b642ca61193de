//! Roles within bounds and for a time: what somebody of one site cannot see or touch of another.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    house::{House, house},
    people::{account, session},
};

/// Two devices in berlin, one in paris.
async fn sites() -> House {
    let house = house().await;
    house.fleet(&["ber-1", "ber-2", "par-1"]).await;
    let paris = json!({ "labels": { "site": "paris" } });
    let call = house.call(Method::PATCH, "/api/v1/devices/par-1");
    call.json(paris).expect(200).await;
    house
}

fn of_berlin(role: &str) -> Value {
    json!({ "role": role, "bounds": { "label": { "key": "site", "value": "berlin" } } })
}

async fn assign(house: &House, name: &str, assignments: Value) {
    let path = format!("/api/v1/accounts/{name}/roles");
    let body = json!({ "assignments": assignments });
    house.put(&path, body).expect(200).await;
}

/// Somebody who is a role in berlin only, and their session.
async fn somebody(house: &House, name: &str, role: &str) -> String {
    account(house, name, "technician").await;
    assign(house, name, json!([of_berlin(role)])).await;
    session(house, name).await
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items").iter();
    items.filter_map(|item| item["id"].as_str()).collect()
}

#[tokio::test]
async fn a_technician_of_a_site_sees_and_touches_the_devices_of_that_site_only() {
    let house = sites().await;
    let secret = somebody(&house, "tina", "technician").await;
    let call = |method, path: &str| house.anonymous(method, path).cookie(&secret);
    let list = call(Method::GET, "/api/v1/devices").expect(200).await;
    assert_eq!(ids(&list), ["ber-1", "ber-2"]);
    let paris = call(Method::GET, "/api/v1/devices?label=site=paris")
        .expect(200)
        .await;
    assert_eq!(ids(&paris), Vec::<&str>::new());
    let searched = call(Method::GET, "/api/v1/devices?search=par")
        .expect(200)
        .await;
    assert_eq!(ids(&searched), Vec::<&str>::new());
    call(Method::GET, "/api/v1/devices/ber-1").expect(200).await;
    // A device of others and one that does not exist look alike.
    let of_others = call(Method::GET, "/api/v1/devices/par-1")
        .problem(404)
        .await;
    let of_nobody = call(Method::GET, "/api/v1/devices/par-9")
        .problem(404)
        .await;
    assert_eq!(
        of_others.replace("par-1", "X"),
        of_nobody.replace("par-9", "X")
    );
    for part in ["certificates", "sessions"] {
        call(Method::GET, &format!("/api/v1/devices/par-1/{part}"))
            .problem(404)
            .await;
        call(Method::GET, &format!("/api/v1/devices/ber-1/{part}"))
            .expect(200)
            .await;
    }
    let reason = json!({ "reason": "odd" });
    for act in [
        "quarantine",
        "release",
        "revoke",
        "retire",
        "reinstate",
        "disconnect",
    ] {
        let path = format!("/api/v1/devices/par-1/{act}");
        call(Method::POST, &path)
            .json(reason.clone())
            .problem(404)
            .await;
    }
    let before = house.lifecycle("par-1").await;
    let path = "/api/v1/devices/ber-1/quarantine";
    let done = call(Method::POST, path).json(reason).answer().await.status;
    assert!(
        !matches!(done, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
        "{done}"
    );
    assert_eq!(house.lifecycle("par-1").await, before);
    // What products there are is no secret.
    call(Method::GET, "/api/v1/products").expect(200).await;
}

#[tokio::test]
async fn what_is_about_no_device_is_refused_to_whoever_is_bound() {
    let house = sites().await;
    let secret = somebody(&house, "oscar", "operator").await;
    let call = |method, path: &str| house.anonymous(method, path).cookie(&secret);
    for path in [
        "sessions",
        "events",
        "findings",
        "cases",
        "status",
        "enrolment-tokens",
        "baselines",
        "grants",
        "ledger",
        "accounts",
        "services",
        "policy",
    ] {
        let why = call(Method::GET, &format!("/api/v1/{path}"))
            .problem(403)
            .await;
        assert!(why.contains("operator"), "{path}: {why}");
    }
    let device = json!({ "id": "ber-3", "product": "camera", "labels": { "site": "berlin" } });
    call(Method::POST, "/api/v1/devices")
        .json(device)
        .problem(403)
        .await;
    let import = call(Method::POST, "/api/v1/devices/import");
    let import = import.body("text/csv", "id,product\npar-1,camera\n");
    let status = import.answer().await.status;
    assert!(
        matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
        "{status}"
    );
    let explain = json!({ "principal": { "type": "device", "id": "par-1" }, "action": "connect" });
    call(Method::POST, "/api/v1/policy/explain")
        .json(explain)
        .problem(403)
        .await;
    let token = json!({ "name": "t", "scopes": ["devices:read"] });
    call(Method::POST, "/api/v1/api-tokens")
        .json(token)
        .problem(403)
        .await;
    call(Method::GET, "/api/v1/baselines/devices/par-1")
        .problem(404)
        .await;
}

#[tokio::test]
async fn nobody_moves_a_device_out_of_their_bounds() {
    let house = sites().await;
    let secret = somebody(&house, "tina", "technician").await;
    let change = |body: Value| {
        let call = house.anonymous(Method::PATCH, "/api/v1/devices/ber-1");
        call.cookie(&secret).json(body)
    };
    change(json!({ "labels": { "site": "berlin", "floor": "2" } }))
        .expect(200)
        .await;
    change(json!({ "labels": { "site": "paris" } }))
        .problem(403)
        .await;
    change(json!({ "labels": {} })).problem(403).await;
    let device = house.get("/api/v1/devices/ber-1").expect(200).await;
    assert_eq!(device["labels"], json!({ "site": "berlin", "floor": "2" }));
}

#[tokio::test]
async fn a_role_for_a_time_ends_at_the_next_request_after_it() {
    let house = sites().await;
    account(&house, "tina", "auditor").await;
    let until = palisade_core::Timestamp::from_second(house.now_s() + 600).expect("valid");
    let mut day = of_berlin("technician");
    day["until"] = json!(until);
    assign(&house, "tina", json!([day])).await;
    let secret = session(&house, "tina").await;
    let list = || {
        house
            .anonymous(Method::GET, "/api/v1/devices")
            .cookie(&secret)
    };
    assert_eq!(ids(&list().expect(200).await).len(), 2);
    house.clock.advance_millis(599_000);
    list().expect(200).await;
    house.clock.advance_millis(1_000);
    let why = list().problem(403).await;
    assert!(why.contains("no role"), "{why}");
    let past =
        json!({ "assignments": [{ "role": "technician", "until": "2001-01-01T00:00:00Z" }] });
    house
        .put("/api/v1/accounts/tina/roles", past)
        .problem(422)
        .await;
}

#[tokio::test]
async fn teams_of_two_sites_do_not_see_each_other_and_leaving_one_counts_at_once() {
    let house = sites().await;
    for name in ["bea", "pia"] {
        account(&house, name, "technician").await;
        assign(&house, name, json!([])).await;
    }
    for (team, member, site) in [("berlin", "bea", "berlin"), ("paris", "pia", "paris")] {
        let bounds = json!({ "label": { "key": "site", "value": site } });
        let body = json!({
            "name": team, "members": [member],
            "assignments": [{ "role": "technician", "bounds": bounds }]
        });
        house.post("/api/v1/teams", body).expect(201).await;
    }
    let (bea, pia) = (session(&house, "bea").await, session(&house, "pia").await);
    let get = |secret: &str, path: &str| house.anonymous(Method::GET, path).cookie(secret);
    assert_eq!(
        ids(&get(&bea, "/api/v1/devices").expect(200).await),
        ["ber-1", "ber-2"]
    );
    assert_eq!(
        ids(&get(&pia, "/api/v1/devices").expect(200).await),
        ["par-1"]
    );
    get(&bea, "/api/v1/devices/par-1").problem(404).await;
    get(&pia, "/api/v1/devices/ber-1").problem(404).await;
    let view = house.get("/api/v1/teams/berlin").expect(200).await;
    let change = json!({ "members": [], "assignments": view["assignments"] });
    house.put("/api/v1/teams/berlin", change).expect(200).await;
    get(&bea, "/api/v1/devices").problem(403).await;
    let gone = house
        .call(Method::DELETE, "/api/v1/teams/paris")
        .answer()
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    get(&pia, "/api/v1/devices/par-1").problem(403).await;
}

#[tokio::test]
async fn bounds_of_segment_and_product_are_all_asked_for_at_once() {
    let house = sites().await;
    account(&house, "tina", "auditor").await;
    let secret = async |bounds: Value| {
        assign(
            &house,
            "tina",
            json!([{ "role": "technician", "bounds": bounds }]),
        )
        .await;
        let secret = session(&house, "tina").await;
        let list = house
            .anonymous(Method::GET, "/api/v1/devices")
            .cookie(&secret);
        ids(&list.expect(200).await).len()
    };
    let label = json!({ "key": "site", "value": "berlin" });
    assert_eq!(secret(json!({ "product": "camera" })).await, 3);
    assert_eq!(
        secret(json!({ "product": "camera", "label": label })).await,
        2
    );
    assert_eq!(
        secret(json!({ "segment": "elsewhere", "label": label })).await,
        0
    );
    let empty = json!({ "assignments": [{ "role": "technician", "bounds": {} }] });
    house
        .put("/api/v1/accounts/tina/roles", empty)
        .problem(422)
        .await;
}

#[tokio::test]
async fn nothing_that_a_request_smuggles_in_widens_what_somebody_is() {
    let house = sites().await;
    let secret = somebody(&house, "tina", "technician").await;
    let mine = |method, path: &str, body: Value| {
        let call = house.anonymous(method, path).cookie(&secret);
        call.json(body)
    };
    let owner = json!({ "assignments": [{ "role": "owner" }] });
    mine(Method::PUT, "/api/v1/accounts/tina/roles", owner)
        .problem(403)
        .await;
    let change = json!({ "current": crate::people::PASSWORD, "password": crate::people::OTHER, "roles": ["owner"] });
    mine(Method::PUT, "/api/v1/account/password", change)
        .problem(422)
        .await;
    let labels = json!({ "labels": { "site": "berlin" }, "id": "par-1" });
    mine(Method::PATCH, "/api/v1/devices/ber-1", labels)
        .problem(422)
        .await;
    for extra in [
        json!({ "role": "technician", "all": true }),
        json!({ "role": "nobody-wrote-it" }),
    ] {
        let body = json!({ "assignments": [extra] });
        house
            .put("/api/v1/accounts/tina/roles", body)
            .problem(422)
            .await;
    }
    let many: Vec<Value> = (0..33).map(|_| of_berlin("technician")).collect();
    let body = json!({ "assignments": many });
    house
        .put("/api/v1/accounts/tina/roles", body)
        .problem(422)
        .await;
}

#[tokio::test]
async fn a_decision_costs_microseconds() {
    let house = sites().await;
    let secret = somebody(&house, "tina", "technician").await;
    let who = house
        .people
        .recognise(
            &secret,
            palisade_people::CameFrom {
                source: None,
                browser: "",
            },
        )
        .await
        .expect("reads")
        .expect("is known");
    let standing = who.standing;
    let index = standing
        .catalogue()
        .index_of("device.read")
        .expect("is there");
    let device = palisade_core::DeviceId::parse("ber-1").expect("valid");
    let device = house
        .store
        .devices()
        .find(&device)
        .await
        .expect("reads")
        .expect("is there");
    let began = std::time::Instant::now();
    for _ in 0..10_000 {
        assert!(standing.may(index, palisade_people::Place::Device(&device)));
    }
    let each = began.elapsed() / 10_000;
    println!("decided once by bounds: {each:?}");
    let roles = house.people.roles().await.expect("reads");
    let began = std::time::Instant::now();
    for _ in 0..1_000 {
        let standing = roles.standing(&who.account, standing_now(&house));
        assert!(!standing.scopes_somewhere().is_empty());
    }
    println!(
        "an account's standing and scopes: {:?}",
        began.elapsed() / 1_000
    );
    assert!(each < std::time::Duration::from_millis(1), "{each:?}");
}

fn standing_now(house: &House) -> palisade_core::Timestamp {
    palisade_core::Timestamp::from_second(house.now_s()).expect("valid")
}
