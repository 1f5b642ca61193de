//! The OpenAPI document is checked in, and says what the code says.

use std::path::Path;

use serde_json::Value;

#[test]
fn the_document_that_is_checked_in_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/palisade.json");
    let document = palisade_api::people::openapi();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &document).expect("writes");
    }
    let checked_in = std::fs::read_to_string(&path).expect("openapi/palisade.json is there");
    assert!(
        document == checked_in,
        "openapi/palisade.json is stale: run UPDATE_OPENAPI=1 cargo test -p palisade-api, and read \
         what changed before you commit it"
    );
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document: Value = serde_json::from_str(&palisade_api::people::openapi()).expect("json");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.push(reference.clone());
            }
            members
                .values()
                .for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[test]
fn every_body_that_is_sent_refuses_members_that_are_not_known() {
    let document: Value = serde_json::from_str(&palisade_api::people::openapi()).expect("json");
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let content = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(reference) = content["$ref"].as_str() else {
                continue;
            };
            let schema = document.pointer(&reference[1..]).expect("a schema");
            let closed = |schema: &Value| schema["additionalProperties"] == Value::Bool(false);
            let all = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
            let is_closed = all.map_or_else(|| closed(schema), |all| all.iter().all(closed));
            assert!(is_closed, "{method} {path}: {schema}");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} bodies were seen");
}

#[test]
fn no_schema_asks_for_two_types_at_once() {
    let document: Value = serde_json::from_str(&palisade_api::people::openapi()).expect("json");
    assert_possible(&document);
}

fn assert_possible(value: &Value) {
    match value {
        Value::Object(members) => {
            let all = members.get("allOf").and_then(Value::as_array);
            let mut types: Vec<&Value> = all
                .into_iter()
                .flatten()
                .filter_map(|part| part.get("type"))
                .collect();
            types.dedup();
            assert!(types.len() <= 1, "nothing is all of {value}");
            members.values().for_each(assert_possible);
        }
        Value::Array(items) => items.iter().for_each(assert_possible),
        _ => {}
    }
}
