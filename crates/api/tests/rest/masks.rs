//! What a role hides of payloads is hidden wherever a payload is shown: read, exported in each form, watched.

use axum::http::Method;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    device_messages::{fleet, next, open, say},
    house::{Call, House},
    people::{account, session},
    telemetry::keep,
};

const READ: &str = "/api/v1/devices/cam-1/telemetry";
const EXPORT: &str = "/api/v1/devices/cam-1/telemetry/export";
const WATCH: &str = "/api/v1/devices/cam-1/messages/payloads";
const GPS: &str = r#"{"gps":{"lat":52.516274,"lon":13.377704},"serial":"A-4711-42","t":21.5}"#;
/// What gives a place and a serial number away.
const SECRETS: [&str; 3] = ["52.516", "13.3777", "4711"];
const MASK: &str = "payload.gps.*:round(1), payload.serial:last(2)";

async fn role(house: &House, name: &str, mask: Option<&str>) {
    let mask = mask
        .map(|mask| format!("@mask(\"{mask}\")\n"))
        .unwrap_or_default();
    let cedar = format!(
        "@id(\"reads\")\n{mask}permit (principal in Role::\"{name}\", action in [Action::\"telemetry:read\", \
         Action::\"messages:read\"], resource);"
    );
    let body = json!({ "name": name, "description": "of a test", "cedar": cedar });
    house.post("/api/v1/roles", body).expect(201).await;
}

/// A fleet with two roles and one of each: `bert` sees masked payloads, `anna` all of them.
async fn furnished() -> (House, String, String) {
    let house = fleet().await;
    role(&house, "support", Some(MASK)).await;
    role(&house, "inspector", None).await;
    account(&house, "bert", "support").await;
    account(&house, "anna", "inspector").await;
    let (bert, anna) = (session(&house, "bert").await, session(&house, "anna").await);
    (house, bert, anna)
}

fn ask<'a>(house: &'a House, secret: &str, path: &str, more: Value) -> Call<'a> {
    let mut body = json!({ "purpose": "a test" });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    house
        .anonymous(Method::POST, path)
        .cookie(secret)
        .json(body)
}

async fn export(house: &House, secret: &str, format: &str) -> Vec<u8> {
    let answer = ask(house, secret, EXPORT, json!({ "format": format }))
        .answer()
        .await;
    assert_eq!(answer.status, 200);
    answer
        .body
        .collect()
        .await
        .expect("whole")
        .to_bytes()
        .to_vec()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_role_with_a_mask_reads_rounded_places_and_one_without_reads_all() {
    let (house, bert, anna) = furnished().await;
    keep(&house, "t/gps", GPS.as_bytes()).await;
    let masked = ask(&house, &bert, READ, json!({})).expect(200).await;
    let payload: Value =
        serde_json::from_str(masked["items"][0]["payload"].as_str().expect("text")).expect("json");
    let wanted = json!({ "gps": { "lat": 52.5, "lon": 13.4 }, "serial": "***42", "t": 21.5 });
    assert_eq!(payload, wanted);
    let whole = ask(&house, &anna, READ, json!({})).expect(200).await;
    assert_eq!(whole["items"][0]["payload"], GPS);
    assert_eq!(
        (&masked["withheld"], &whole["withheld"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn an_export_is_masked_in_each_form() {
    let (house, bert, anna) = furnished().await;
    keep(&house, "t/gps", GPS.as_bytes()).await;
    for format in ["ndjson", "csv", "arrow"] {
        for (secret, shows) in [(&bert, false), (&anna, true)] {
            let file = export(&house, secret, format).await;
            let text = match format {
                "csv" => payload_of(&file),
                _ => file,
            };
            for hidden in SECRETS {
                assert_eq!(holds(&text, hidden), shows, "{format}: {hidden}");
            }
        }
    }
    // Columns of Parquet are compressed; what is in them is read in the end-to-end tests.
    assert_ne!(
        export(&house, &bert, "parquet").await,
        export(&house, &anna, "parquet").await
    );
}

/// The payload of the only line of a CSV.
fn payload_of(csv: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(csv.to_vec()).expect("text");
    let cell = text.lines().nth(1).and_then(|line| line.rsplit(',').next());
    BASE64_STANDARD
        .decode(cell.expect("a cell"))
        .expect("base64")
}

#[tokio::test]
async fn what_cannot_be_looked_into_is_withheld_and_counted() {
    let (house, bert, anna) = furnished().await;
    keep(&house, "t/gps", GPS.as_bytes()).await;
    keep(&house, "t/raw", b"lat=52.516274").await;
    let masked = ask(&house, &bert, READ, json!({})).expect(200).await;
    assert_eq!(masked["withheld"], 1);
    let item = &masked["items"][1];
    assert_eq!(
        (&item["withheld"], &item["payload"], &item["payload_base64"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    let whole = ask(&house, &anna, READ, json!({})).expect(200).await;
    assert_eq!(whole["items"][1]["payload"], "lat=52.516274");
    let answer = ask(&house, &bert, EXPORT, json!({})).answer().await;
    let name = answer.headers["palisade-export"]
        .to_str()
        .expect("text")
        .to_owned();
    let text = answer.text().await;
    assert!(
        !text.contains("52.516") && text.contains("\"withheld\":true"),
        "{text}"
    );
    let told = house
        .anonymous(Method::GET, &format!("{READ}/exports/{name}"))
        .cookie(&bert);
    assert_eq!(told.expect(200).await["withheld"], 1);
    let entries = house.entries().await;
    let told = entries
        .iter()
        .filter(|entry| entry["act"] == "telemetry.export");
    let told: Vec<_> = told.filter_map(|entry| entry["target"].as_str()).collect();
    assert!(told[0].contains("1 of them without payload"), "{told:?}");
}

#[tokio::test]
async fn watching_is_masked_and_a_role_that_gets_a_mask_meanwhile_masks_what_follows() {
    let (house, bert, anna) = furnished().await;
    let watch = |secret: &str| house.anonymous(Method::GET, WATCH).cookie(secret);
    let (mut masked, mut whole) = (open(watch(&bert)).await, open(watch(&anna)).await);
    next(&mut masked).await.expect("begins");
    next(&mut whole).await.expect("begins");
    let shown = |message: &Value| {
        let payload = message["payload_base64"]
            .as_str()
            .map(|text| BASE64_STANDARD.decode(text).expect("base64"));
        payload.map(|payload| String::from_utf8(payload).expect("text"))
    };
    say(&house, "cam-1", GPS).await;
    let (_, message) = next(&mut masked).await.expect("a message");
    let text = shown(&message).expect("is shown");
    assert!(
        text.contains("52.5") && SECRETS.iter().all(|secret| !text.contains(secret)),
        "{text}"
    );
    let (_, message) = next(&mut whole).await.expect("a message");
    assert_eq!(shown(&message).as_deref(), Some(GPS));
    say(&house, "cam-1", "lat=52.516274").await;
    let (_, message) = next(&mut masked).await.expect("a message");
    assert_eq!(
        (shown(&message), &message["withheld"]),
        (None, &json!(true))
    );
    next(&mut whole).await.expect("a message");
    // From now on the other role hides them as well.
    let cedar = format!(
        "@id(\"reads\") @mask(\"{MASK}\") permit (principal in Role::\"inspector\", action in \
         [Action::\"telemetry:read\", Action::\"messages:read\"], resource);"
    );
    house
        .put("/api/v1/roles/inspector", json!({ "cedar": cedar }))
        .expect(200)
        .await;
    say(&house, "cam-1", GPS).await;
    let (_, message) = next(&mut whole).await.expect("a message");
    let text = shown(&message).expect("is shown");
    assert!(
        SECRETS.iter().all(|secret| !text.contains(secret)),
        "{text}"
    );
}

#[tokio::test]
async fn a_message_too_large_to_be_looked_into_is_withheld_from_who_watches() {
    let (house, bert, _) = furnished().await;
    let mut masked = open(house.anonymous(Method::GET, WATCH).cookie(&bert)).await;
    next(&mut masked).await.expect("begins");
    // Its beginning alone would be JSON, and taken for all of it.
    let text = format!("{GPS}{}", " ".repeat(20_000));
    say(&house, "cam-1", &text).await;
    let (_, message) = next(&mut masked).await.expect("a message");
    assert_eq!(
        (&message["withheld"], &message["payload_base64"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn of_two_roles_the_stricter_counts() {
    let (house, _, _) = furnished().await;
    keep(&house, "t/gps", GPS.as_bytes()).await;
    let both = json!({ "assignments": [{ "role": "support" }, { "role": "inspector" }] });
    let path = "/api/v1/accounts/bert/roles";
    house.put(path, both).expect(200).await;
    let bert = session(&house, "bert").await;
    let masked = ask(&house, &bert, READ, json!({})).expect(200).await;
    let text = masked["items"][0]["payload"].as_str().expect("text");
    assert!(
        SECRETS.iter().all(|secret| !text.contains(secret)),
        "{text}"
    );
}

#[tokio::test]
async fn a_masked_right_is_not_handed_on_to_a_token_that_would_see_all() {
    let (house, _, _) = furnished().await;
    let cedar = "@id(\"a\") permit (principal, action in Action::\"admin\", resource);";
    let keeper = json!({ "name": "keeper", "description": "of a test", "cedar": cedar });
    house.post("/api/v1/roles", keeper).expect(201).await;
    for (name, role, status) in [("bert", "support", 403), ("anna", "inspector", 201)] {
        let roles = json!({ "assignments": [{ "role": role }, { "role": "keeper" }] });
        let path = format!("/api/v1/accounts/{name}/roles");
        house.put(&path, roles).expect(200).await;
        let secret = session(&house, name).await;
        let token = json!({ "name": format!("of-{name}"), "scopes": ["telemetry:read"] });
        let make = house.anonymous(Method::POST, "/api/v1/api-tokens");
        let (found, body) = make.cookie(&secret).json(token).send().await;
        assert_eq!(found.as_u16(), status, "{name}: {body}");
    }
}

#[tokio::test]
async fn a_mask_that_is_wrong_is_refused_with_its_line() {
    let house = fleet().await;
    let cedar = "@id(\"a\")\n@mask(\"payload.lat:blur\")\npermit (principal, action == Action::\"telemetry.read\", resource);";
    let problem = house
        .post("/api/v1/roles", json!({ "name": "odd", "cedar": cedar }))
        .problem(422)
        .await;
    let problem: Value = serde_json::from_str(&problem).expect("json");
    let error = &problem["errors"][0];
    assert_eq!(error["line"], 2, "{problem}");
    assert!(
        error["detail"]
            .as_str()
            .expect("text")
            .contains("there is round(2)"),
        "{problem}"
    );
}
