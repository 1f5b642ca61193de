//! Roles: Cedar texts over the actions of the door, those that ship and those that people write.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use palisade_people::Role;
use serde_json::{Value, json};

use crate::{
    house::{House, house},
    people::{account, session},
};

/// Each operation's action and scope.
fn actions() -> Vec<(String, String, String)> {
    let document: Value = serde_json::from_str(&palisade_api::people::openapi()).expect("json");
    let mut found = Vec::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("an item").values() {
            let text = |name: &str| operation[name].as_str().unwrap_or("").to_owned();
            found.push((
                text("operationId"),
                text("x-palisade-action"),
                text("x-palisade-scope"),
            ));
        }
    }
    found
}

#[test]
fn every_route_names_its_action_and_no_two_have_the_same() {
    let mut seen = BTreeSet::new();
    for (operation, action, _) in actions() {
        let is_name = action
            .split_once('.')
            .is_some_and(|(noun, verb)| !noun.is_empty() && !verb.is_empty());
        assert!(is_name, "{operation} names no action: {action:?}");
        assert!(
            seen.insert(action.clone()),
            "{action} is that of two routes"
        );
    }
    assert!(seen.len() > 130, "only {} actions", seen.len());
}

/// The table of docs/people.md: the scopes of each role.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let book = include_str!("../../../../docs/people.md");
    let mut lines = book
        .lines()
        .skip_while(|line| !line.starts_with("| actions of |"));
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim_matches('|').split('|');
        inner
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    let roles = cells(lines.next().expect("a table"))[1..].to_vec();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let row = cells(line);
        for (role, cell) in roles.iter().zip(&row[1..]) {
            let scopes = found.entry(role.clone()).or_default();
            if cell == "yes" {
                scopes.insert(row[0].clone());
            }
        }
    }
    found
}

#[tokio::test]
async fn the_roles_that_ship_permit_what_the_table_in_the_book_says_and_nothing_else() {
    let house = house().await;
    let table = table();
    assert_eq!(table.len(), Role::ALL.len());
    for role in Role::ALL {
        let path = format!("/api/v1/roles/{role}");
        let view = house.get(&path).expect(200).await;
        assert_eq!(view["shipped"], true);
        let permitted: BTreeSet<&str> = view["actions"]
            .as_array()
            .expect("actions")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let scopes = &table[role.as_str()];
        for (operation, action, scope) in actions() {
            if matches!(scope.as_str(), "" | "any") {
                continue;
            }
            assert_eq!(
                permitted.contains(action.as_str()),
                scopes.contains(&scope),
                "{role}: {action} ({scope}) of {operation}"
            );
        }
    }
}

#[tokio::test]
async fn each_role_that_ships_gets_past_the_gates_of_its_own_actions_only() {
    let house = house().await;
    for role in [Role::SecurityAnalyst, Role::Auditor, Role::Technician] {
        let name = format!("one-{role}");
        account(&house, &name, role.as_str()).await;
        let secret = session(&house, &name).await;
        let scopes = &table()[role.as_str()];
        for (path, scope) in [
            ("/api/v1/status", "status:read"),
            ("/api/v1/devices", "devices:read"),
            ("/api/v1/sessions", "devices:read"),
            ("/api/v1/enrolment-tokens", "tokens:read"),
            ("/api/v1/events", "events:read"),
            ("/api/v1/ledger", "ledger:read"),
            ("/api/v1/ca", "ca:read"),
            ("/api/v1/cases", "respond:read"),
            ("/api/v1/accounts", "admin"),
            ("/api/v1/roles", "admin"),
        ] {
            let call = house.anonymous(Method::GET, path).cookie(&secret);
            let expected = match scopes.contains(scope) {
                true => StatusCode::OK,
                false => StatusCode::FORBIDDEN,
            };
            assert_eq!(call.answer().await.status, expected, "{role}: {path}");
        }
    }
}

const NIGHT: &str = "@id(\"contains\")\npermit (principal in Role::\"night-watch\", action in \
                     [Action::\"device.quarantine\", Action::\"device.read\"], resource)\nwhen { \
                     resource.trust <= 100 };";

async fn role(house: &House, name: &str, cedar: &str) -> Value {
    let body = json!({ "name": name, "description": "of a test", "cedar": cedar });
    house.post("/api/v1/roles", body).expect(201).await
}

#[tokio::test]
async fn a_role_of_ones_own_permits_its_actions_and_a_refusal_names_the_one_that_is_missing() {
    let house = house().await;
    house.fleet(&["cam-1"]).await;
    let made = role(&house, "night-watch", NIGHT).await;
    assert_eq!(made["actions"], json!(["device.quarantine", "device.read"]));
    assert_eq!(
        (&made["version"], &made["changed_by"]),
        (&json!(1), &json!("admin"))
    );
    account(&house, "nina", "night-watch").await;
    let secret = session(&house, "nina").await;
    let call = |method, path: &str| house.anonymous(method, path).cookie(&secret);
    call(Method::GET, "/api/v1/devices/cam-1").expect(200).await;
    let body = json!({ "reason": "odd" });
    let quarantine = call(Method::POST, "/api/v1/devices/cam-1/quarantine").json(body);
    assert_ne!(quarantine.answer().await.status, StatusCode::FORBIDDEN);
    let why = call(Method::GET, "/api/v1/devices").problem(403).await;
    assert!(
        why.contains("device.list") && why.contains("night-watch"),
        "{why}"
    );
    let retire = call(Method::POST, "/api/v1/devices/cam-1/retire").json(json!({ "reason": "x" }));
    assert!(retire.problem(403).await.contains("device.retire"));
    let who = call(Method::GET, "/api/v1/session").expect(200).await;
    assert_eq!(who["roles"], json!(["night-watch"]));
    assert_eq!(who["actions"], json!(["device.quarantine", "device.read"]));
    // A changed role counts at the next request of a session that goes on.
    let change = json!({ "cedar": "@id(\"a\")\npermit (principal, action == Action::\"device.list\", resource);" });
    let changed = house
        .put("/api/v1/roles/night-watch", change)
        .expect(200)
        .await;
    assert_eq!(changed["version"], 2);
    call(Method::GET, "/api/v1/devices").expect(200).await;
    call(Method::GET, "/api/v1/devices/cam-1")
        .problem(403)
        .await;
    // Nobody's role goes away under them.
    let remove = house.call(Method::DELETE, "/api/v1/roles/night-watch");
    assert!(remove.problem(409).await.contains("account nina"));
    let none = json!({ "roles": ["auditor"] });
    house
        .call(Method::PATCH, "/api/v1/accounts/nina")
        .json(none)
        .expect(200)
        .await;
    let remove = house.call(Method::DELETE, "/api/v1/roles/night-watch");
    assert_eq!(remove.answer().await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn roles_that_ship_cannot_be_changed_and_what_is_no_role_is_refused_with_its_line() {
    let house = house().await;
    let cedar = "@id(\"x\")\npermit (principal, action, resource);";
    for name in ["owner", "technician"] {
        let path = format!("/api/v1/roles/{name}");
        let put = house.put(&path, json!({ "cedar": cedar }));
        put.problem(409).await;
        let post = house.post("/api/v1/roles", json!({ "name": name, "cedar": cedar }));
        post.problem(409).await;
        house.call(Method::DELETE, &path).problem(409).await;
    }
    let bad =
        "@id(\"x\")\npermit (\n  principal,\n  action == Action::\"device.lst\",\n  resource);";
    let call = house.post("/api/v1/roles", json!({ "name": "odd", "cedar": bad }));
    let (status, problem) = call.send().await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(
        problem["errors"][0]["detail"]
            .as_str()
            .expect("why")
            .contains("device.lst"),
        "{problem}"
    );
    assert!(
        problem["errors"][0]["line"]
            .as_u64()
            .is_some_and(|line| line > 0),
        "{problem}"
    );
    let attribute = "@id(\"x\")\npermit (principal, action == Action::\"device.list\", resource)\nwhen { \
                     resource.segment == \"a\" };";
    let deep = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(5_000),
        ")".repeat(5_000)
    );
    let nots = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ {}true }};",
        "!".repeat(9_000)
    );
    let long = format!(
        "@id(\"x\") permit (principal, action, resource) when {{ true{} }};",
        " && true".repeat(2_000)
    );
    let template = "@id(\"x\") permit (principal == ?principal, action, resource);";
    let unnamed = "permit (principal, action, resource);";
    for cedar in [
        attribute,
        &deep,
        &nots,
        &long,
        template,
        unnamed,
        "permit",
        "@id(\"x\")",
    ] {
        house
            .post("/api/v1/roles", json!({ "name": "odd", "cedar": cedar }))
            .problem(422)
            .await;
    }
    for name in ["Odd", "", "a b", "../x", "1a"] {
        house
            .post("/api/v1/roles", json!({ "name": name, "cedar": cedar }))
            .problem(422)
            .await;
    }
    house.get("/api/v1/roles/odd").problem(404).await;
}

#[tokio::test]
async fn nobody_makes_a_role_that_may_more_than_they_may_or_changes_one_that_does() {
    let house = house().await;
    let small = house.token("small", &["admin", "devices:read"]).await;
    let post = |name: &str, cedar: &str| {
        let call = house
            .anonymous(Method::POST, "/api/v1/roles")
            .bearer(&small);
        call.json(json!({ "name": name, "cedar": cedar }))
    };
    let reads = "@id(\"x\") permit (principal, action in Action::\"devices:read\", resource);";
    post("reader", reads).expect(201).await;
    let everything = "@id(\"x\") permit (principal, action, resource);";
    post("god", everything).problem(403).await;
    let at_times = "@id(\"x\") permit (principal, action, resource) when { context.hour > 25 };";
    post("god", at_times).problem(403).await;
    // Nor by changing a small one, nor by taking down a great one.
    let put = |name: &str, cedar: &str| {
        let path = format!("/api/v1/roles/{name}");
        let call = house.anonymous(Method::PUT, &path).bearer(&small);
        call.json(json!({ "cedar": cedar }))
    };
    put("reader", everything).problem(403).await;
    role(&house, "great", everything).await;
    put("great", reads).problem(403).await;
    let delete = house
        .anonymous(Method::DELETE, "/api/v1/roles/great")
        .bearer(&small);
    delete.problem(403).await;
    // Nor by giving it to somebody.
    let body = json!({ "name": "eva", "roles": ["great"], "password": crate::people::OTHER });
    let call = house
        .anonymous(Method::POST, "/api/v1/accounts")
        .bearer(&small);
    call.json(body).problem(403).await;
}

#[tokio::test]
async fn roles_of_files_are_read_at_the_start_and_bad_ones_give_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let roles = directory.path().join("roles");
    std::fs::create_dir(&roles).expect("makes");
    let good = "// Looks at devices.\n@id(\"x\") permit (principal, action in Action::\"devices:read\", resource);";
    for (name, text) in [("looker", good), ("bad", "permit"), ("owner", good)] {
        std::fs::write(roles.join(format!("{name}.cedar")), text).expect("writes");
    }
    let house = crate::house::house_in(directory).await;
    let looker = house.get("/api/v1/roles/looker").expect(200).await;
    assert_eq!(
        (&looker["in_file"], &looker["description"]),
        (&json!(true), &json!("Looks at devices."))
    );
    house.get("/api/v1/roles/bad").problem(404).await;
    let owner = house.get("/api/v1/roles/owner").expect(200).await;
    assert_eq!(
        (&owner["shipped"], &owner["in_file"]),
        (&json!(true), &json!(false))
    );
    let put = house.put("/api/v1/roles/looker", json!({ "cedar": good }));
    put.problem(409).await;
}

#[tokio::test]
async fn a_policy_that_looks_at_the_time_permits_the_actions_of_a_scope_as_well() {
    let house = house().await;
    let cedar = "@id(\"a\")\npermit (principal, action in [Action::\"devices:read\"], resource)\nwhen { \
                 context.hour < 24 };";
    role(&house, "hourly", cedar).await;
    account(&house, "hanna", "hourly").await;
    let secret = session(&house, "hanna").await;
    let list = house.anonymous(Method::GET, "/api/v1/devices");
    list.cookie(&secret).expect(200).await;
    let other = house.anonymous(Method::GET, "/api/v1/ledger");
    other.cookie(&secret).problem(403).await;
}
