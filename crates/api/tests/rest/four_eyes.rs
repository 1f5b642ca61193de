//! Acts that wait for a second person, and roles for a time.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    house::{Call, House, house},
    people::{account, enrol, session},
};

const SWITCH: &str = "/api/v1/response/kill-switch";

fn go_on() -> Value {
    json!({ "stopped": false, "reason": "all is well" })
}

/// Somebody who may do everything, logged in with a second factor.
async fn owner(house: &House, name: &str) -> String {
    account(house, name, "auditor").await;
    let name = palisade_people::AccountName::parse(name).expect("valid");
    let owner = [palisade_people::Role::Owner];
    house.people.set_roles(&name, &owner).await.expect("sets");
    let first = session(house, name.as_str()).await;
    enrol(house, &first).await.2
}

async fn two() -> (House, String, String) {
    let house = house().await;
    let (anna, otto) = (owner(&house, "anna").await, owner(&house, "otto").await);
    (house, anna, otto)
}

fn put<'a>(house: &'a House, secret: &str, body: Value) -> Call<'a> {
    house
        .anonymous(Method::PUT, SWITCH)
        .cookie(secret)
        .json(body)
}

async fn asked(call: Call<'_>) -> String {
    let (status, problem) = call.send().await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
    assert_eq!(
        problem["type"], "urn:palisade:problem:approval-needed",
        "{problem}"
    );
    problem["approval"].as_str().expect("a name").to_owned()
}

fn decide<'a>(house: &'a House, secret: &str, id: &str, how: &str) -> Call<'a> {
    let path = format!("/api/v1/approvals/{id}/{how}");
    house.anonymous(Method::POST, &path).cookie(secret)
}

#[tokio::test]
async fn an_act_that_cannot_be_undone_is_done_once_after_a_second_person_approved_it() {
    let (house, anna, otto) = two().await;
    // To stop everything waits for nobody.
    put(&house, &anna, json!({ "stopped": true, "reason": "fire" }))
        .expect(200)
        .await;
    let id = asked(put(&house, &anna, go_on())).await;
    let list = house
        .anonymous(Method::GET, "/api/v1/approvals")
        .cookie(&otto)
        .expect(200)
        .await;
    assert_eq!(
        (&list["items"][0]["id"], &list["items"][0]["asker"]),
        (&json!(id), &json!("account:anna"))
    );
    // Not before it is approved, not by oneself.
    put(&house, &anna, go_on())
        .header("palisade-approval", &id)
        .problem(403)
        .await;
    decide(&house, &anna, &id, "approve").problem(403).await;
    decide(&house, &otto, &id, "approve").expect(200).await;
    // Not another request, not somebody else's.
    let other = json!({ "stopped": false, "reason": "another reason" });
    put(&house, &anna, other)
        .header("palisade-approval", &id)
        .problem(403)
        .await;
    put(&house, &otto, go_on())
        .header("palisade-approval", &id)
        .problem(403)
        .await;
    put(&house, &anna, go_on())
        .header("palisade-approval", &id)
        .expect(200)
        .await;
    // Not twice.
    put(&house, &anna, go_on())
        .header("palisade-approval", &id)
        .problem(403)
        .await;
}

#[tokio::test]
async fn what_waits_is_read_in_parts_the_newest_first() {
    let (house, anna, _) = two().await;
    let mut asked_for = Vec::new();
    for reason in ["one", "two", "three"] {
        let body = json!({ "stopped": false, "reason": reason });
        asked_for.push(asked(put(&house, &anna, body)).await);
        // Their names are in order by the time in them.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    asked_for.reverse();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/approvals?limit=2{after}");
        let page = house.anonymous(Method::GET, &path).cookie(&anna);
        let page = page.expect(200).await;
        let items = page["items"].as_array().expect("items").iter();
        seen.extend(items.map(|one| one["id"].as_str().expect("text").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, asked_for);
}

#[tokio::test]
async fn of_two_who_decide_at_once_one_does_and_what_was_rejected_or_is_over_is_not_done() {
    let (house, anna, otto) = two().await;
    let id = asked(put(&house, &anna, go_on())).await;
    let (one, two) = tokio::join!(
        decide(&house, &otto, &id, "approve").answer(),
        decide(&house, &otto, &id, "reject").answer()
    );
    let statuses = [one.status, two.status];
    assert!(
        statuses.contains(&StatusCode::OK) && statuses.contains(&StatusCode::CONFLICT),
        "{statuses:?}"
    );
    let id = asked(put(&house, &anna, go_on())).await;
    decide(&house, &otto, &id, "reject").expect(200).await;
    put(&house, &anna, go_on())
        .header("palisade-approval", &id)
        .problem(403)
        .await;
    let id = asked(put(&house, &anna, go_on())).await;
    decide(&house, &otto, &id, "approve").expect(200).await;
    house.clock.advance_millis(25 * 60_000);
    // Sessions end after half an hour without a request.
    for secret in [&anna, &otto] {
        house
            .anonymous(Method::GET, "/api/v1/session")
            .cookie(secret)
            .expect(200)
            .await;
    }
    house.clock.advance_millis(25 * 60_000);
    for secret in [&anna, &otto] {
        house
            .anonymous(Method::GET, "/api/v1/session")
            .cookie(secret)
            .expect(200)
            .await;
    }
    house.clock.advance_millis(10 * 60_000 + 1);
    put(&house, &anna, go_on())
        .header("palisade-approval", &id)
        .problem(403)
        .await;
}

#[tokio::test]
async fn a_token_steps_around_no_second_person_and_is_none() {
    let (house, anna, otto) = two().await;
    let body = json!({ "name": "annas", "scopes": ["*"] });
    let call = house
        .anonymous(Method::POST, "/api/v1/api-tokens")
        .cookie(&anna)
        .json(body);
    let token = call.expect(201).await["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    let body = json!({ "name": "annas-second", "scopes": ["*"] });
    let call = house
        .anonymous(Method::POST, "/api/v1/api-tokens")
        .bearer(&token)
        .json(body);
    let second = call.expect(201).await["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    for token in [&token, &second] {
        let put = || {
            house
                .anonymous(Method::PUT, SWITCH)
                .bearer(token)
                .json(go_on())
        };
        let id = asked(put()).await;
        decide(&house, &anna, &id, "approve").problem(403).await;
        let path = format!("/api/v1/approvals/{id}/approve");
        house
            .anonymous(Method::POST, &path)
            .bearer(token)
            .problem(403)
            .await;
        house.call(Method::POST, &path).problem(403).await;
        decide(&house, &otto, &id, "approve").expect(200).await;
        put().header("palisade-approval", &id).expect(200).await;
    }
    // Nor does an account of one's own making: an owner more waits for a second person as well.
    let body = json!({ "name": "puppet", "roles": ["owner"], "password": crate::people::OTHER });
    let make = house
        .anonymous(Method::POST, "/api/v1/accounts")
        .cookie(&anna)
        .json(body);
    let id = asked(make).await;
    let list = house
        .anonymous(Method::GET, "/api/v1/approvals")
        .cookie(&otto)
        .expect(200)
        .await;
    let copy = list["items"][0]["body"].as_str().expect("a copy");
    assert!(
        copy.contains("puppet") && !copy.contains(crate::people::OTHER),
        "{id}: {copy}"
    );
    let body = json!({ "name": "clerk", "roles": ["auditor"], "password": crate::people::OTHER });
    let make = house
        .anonymous(Method::POST, "/api/v1/accounts")
        .cookie(&anna);
    make.json(body).expect(201).await;
}

#[tokio::test]
async fn an_installation_with_one_owner_is_not_locked_out() {
    let house = house().await;
    let anna = owner(&house, "anna").await;
    put(&house, &anna, go_on()).expect(200).await;
    house.put(SWITCH, go_on()).expect(200).await;
}

#[tokio::test]
async fn a_role_for_a_time_is_given_by_somebody_else_who_has_it_and_ends_by_itself() {
    let (house, anna, _) = two().await;
    account(&house, "tina", "technician").await;
    account(&house, "bert", "technician").await;
    let (tina, bert) = (session(&house, "tina").await, session(&house, "bert").await);
    let ask = |secret: &str, body: Value| {
        let call = house
            .anonymous(Method::POST, "/api/v1/elevations")
            .cookie(secret);
        call.json(body)
    };
    let body = json!({ "role": "operator", "reason": "the gate is down", "minutes": 10 });
    let id = ask(&tina, body.clone()).expect(201).await["id"]
        .as_str()
        .expect("a name")
        .to_owned();
    for bad in [
        json!({ "role": "operator", "reason": "x", "minutes": 0 }),
        json!({ "role": "nobody", "reason": "x", "minutes": 5 }),
        json!({ "role": "operator", "reason": "", "minutes": 5 }),
        json!({ "role": "operator", "reason": "x", "minutes": 1441 }),
    ] {
        ask(&tina, bad).problem(422).await;
    }
    let path = format!("/api/v1/elevations/{id}/approve");
    let approve = |secret: &str| house.anonymous(Method::POST, &path).cookie(secret);
    let events = || {
        house
            .anonymous(Method::GET, "/api/v1/enrolment-tokens")
            .cookie(&tina)
    };
    events().problem(403).await;
    approve(&tina).problem(404).await;
    approve(&bert).problem(404).await;
    house.call(Method::POST, &path).problem(403).await;
    let done = approve(&anna).expect(200).await;
    assert_eq!(done["decided_by"], "anna");
    approve(&anna).problem(409).await;
    events().expect(200).await;
    house.clock.advance_millis(10 * 60_000);
    events().problem(403).await;
    // Nobody gives themselves what they have already, either.
    let own = ask(&anna, body).expect(201).await["id"]
        .as_str()
        .expect("a name")
        .to_owned();
    let path = format!("/api/v1/elevations/{own}/approve");
    house
        .anonymous(Method::POST, &path)
        .cookie(&anna)
        .problem(403)
        .await;
}
