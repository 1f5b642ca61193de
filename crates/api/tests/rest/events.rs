//! What happened: listed, streamed, exported, verified.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::house::{Answer, House, house};

// The first event of a new house, and the first entry of its ledger, is the first CRL.

async fn put_segments(house: &House, count: usize) {
    for n in 0..count {
        let path = format!("/api/v1/segments/s{n}");
        house.put(&path, json!({})).expect(200).await;
    }
}

async fn stream(house: &House, path: &str, last: Option<&str>) -> Answer {
    let mut call = house.get(path).header("accept", "text/event-stream");
    if let Some(last) = last {
        call = call.header("last-event-id", last);
    }
    let answer = call.answer().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.media_type(), "text/event-stream");
    answer
}

/// The id and the data of the next event.
async fn next(answer: &mut Answer) -> Option<(String, Value)> {
    let piece = answer.piece().await?;
    let field = |name: &str| {
        let mut lines = piece.lines();
        lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    let data = field("data: ").expect("data");
    Some((
        field("id: ").expect("an id"),
        serde_json::from_str(&data).expect("json"),
    ))
}

#[tokio::test]
async fn events_are_listed_in_parts_and_filtered() {
    let house = house().await;
    put_segments(&house, 5).await;
    let page = house
        .get("/api/v1/events?limit=3&kind=administrative")
        .expect(200)
        .await;
    let items = page["items"].as_array().expect("items");
    assert_eq!(items.len(), 3);
    assert_eq!(items[0]["event"]["target"], "s0");
    let next = page["next"].as_str().expect("more");
    let rest = house
        .get(&format!("/api/v1/events?after={next}&kind=administrative"))
        .expect(200)
        .await;
    assert_eq!(rest["items"].as_array().expect("items").len(), 2);
    assert_eq!(rest["next"], Value::Null);
    let none = house.get("/api/v1/events?kind=enrolled").expect(200).await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_broken_off() {
    let house = house().await;
    put_segments(&house, 3).await;
    let mut first = stream(&house, "/api/v1/events?after=1", None).await;
    let (id, event) = next(&mut first).await.expect("an event");
    assert_eq!(event["target"], "s0");
    drop(first);
    let mut resumed = stream(&house, "/api/v1/events", Some(&id)).await;
    let (_, event) = next(&mut resumed).await.expect("an event");
    assert_eq!(event["target"], "s1");
    let (_, event) = next(&mut resumed).await.expect("an event");
    assert_eq!(event["target"], "s2");
    house
        .put("/api/v1/segments/new", json!({}))
        .expect(200)
        .await;
    let (_, event) = next(&mut resumed).await.expect("an event");
    assert_eq!(event["target"], "new");
}

#[tokio::test]
async fn a_stream_without_a_place_begins_now_and_keeps_to_its_filter() {
    let house = house().await;
    house.fleet(&["cam-1", "cam-2"]).await;
    put_segments(&house, 2).await;
    let path = "/api/v1/events?principal=device/cam-2&kind=posture_changed";
    let mut stream = stream(&house, path, None).await;
    for id in ["cam-1", "cam-2"] {
        let path = format!("/api/v1/devices/{id}/quarantine");
        house.post(&path, json!({})).expect(200).await;
    }
    let (_, event) = next(&mut stream).await.expect("an event");
    assert_eq!(event["principal"]["id"], "cam-2");
    assert_eq!(event["lifecycle"], "quarantined");
}

#[tokio::test]
async fn streams_are_bounded_in_number_and_end_with_the_server() {
    let house = house().await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(stream(&house, "/api/v1/events", None).await);
    }
    let call = house
        .get("/api/v1/events")
        .header("accept", "text/event-stream");
    call.problem(429).await;
    drop(open.pop());
    let mut last = stream(&house, "/api/v1/events", None).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    house.state.clone().run(cancel).await;
    assert_eq!(last.piece().await, None, "the stream goes on");
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let house = house().await;
    for bad in ["-1", "x", "18446744073709551616"] {
        let call = house.get("/api/v1/events").header("last-event-id", bad);
        call.problem(400).await;
    }
}

#[tokio::test]
async fn the_ledger_is_read_forward_and_backward() {
    let house = house().await;
    put_segments(&house, 5).await;
    let page = house.get("/api/v1/ledger?limit=3").expect(200).await;
    assert_eq!(page["items"][0]["seq"], 1);
    assert_eq!(page["items"][2]["entry"]["target"], "s1");
    assert_eq!(page["next"], "3");
    let newest = house.get("/api/v1/ledger?before=9007199254740991&limit=2");
    let newest = newest.expect(200).await;
    assert_eq!(newest["items"][0]["seq"], 6);
    assert_eq!(newest["next"], "5");
    let head = house.get("/api/v1/ledger/head").expect(200).await;
    assert_eq!(head["entries"], 6);
    let (_, root) = house.ledger.head();
    let root: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(head["root"], root);
}

#[tokio::test]
async fn the_ledger_is_verified() {
    let house = house().await;
    put_segments(&house, 3).await;
    let call = house.call(axum::http::Method::POST, "/api/v1/ledger/verify");
    let found = call.expect(200).await;
    assert_eq!(found["entries"], 4);
    assert_eq!(found["fault"], Value::Null);
}

#[tokio::test]
async fn the_ledger_is_exported_whole_in_either_form() {
    let house = house().await;
    // More than one part.
    put_segments(&house, 620).await;
    for (format, field, expected) in [
        ("ocsf", "class_uid", json!(6003)),
        ("native", "kind", json!("administrative")),
    ] {
        let path = format!("/api/v1/ledger/export?format={format}&after=1");
        let answer = house.get(&path).answer().await;
        assert_eq!(answer.media_type(), "application/x-ndjson");
        let text = answer.text().await;
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("json"))
            .collect();
        assert_eq!(lines.len(), 620);
        assert!(lines.iter().all(|line| line[field] == expected));
    }
    let tail = house.get("/api/v1/ledger/export?after=620").answer().await;
    assert_eq!(tail.text().await.lines().count(), 1);
}

fn targets(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("items").iter();
    items
        .filter_map(|item| item["event"]["target"].as_str())
        .collect()
}

#[tokio::test]
async fn the_newest_events_come_first_where_that_is_asked_for_and_the_list_goes_on_from_there() {
    let house = house().await;
    put_segments(&house, 5).await;
    let path = "/api/v1/events?order=newest&kind=administrative&limit=2";
    let page = house.get(path).expect(200).await;
    assert_eq!(targets(&page), ["s4", "s3"]);
    let next = page["next"].as_str().expect("more");
    let page = house.get(&format!("{path}&after={next}")).expect(200).await;
    assert_eq!(targets(&page), ["s2", "s1"]);
    let next = page["next"].as_str().expect("more");
    let page = house.get(&format!("{path}&after={next}")).expect(200).await;
    assert_eq!(targets(&page), ["s0"]);
    assert_eq!(page["next"], Value::Null);
}

#[tokio::test]
async fn events_are_found_by_time_source_and_severity() {
    let house = house().await;
    put_segments(&house, 1).await;
    // Nobody is behind this token: a refusal from this address.
    let stranger = house.anonymous(Method::GET, "/api/v1/devices");
    stranger.bearer("pat_nobody").problem(401).await;
    let count = async |query: &str| {
        let page = house.get(&format!("/api/v1/events?{query}")).expect(200);
        page.await["items"].as_array().expect("items").len()
    };
    assert_eq!(count("severity=low").await, 1);
    assert_eq!(count("severity=medium").await, 0);
    let all = count("limit=1000").await;
    assert!(all >= 3);
    assert_eq!(count("since=2020-01-01T00:00:00Z").await, all);
    assert_eq!(count("since=2999-01-01T00:00:00Z").await, 0);
    assert_eq!(count("until=2020-01-01T00:00:00Z&order=newest").await, 0);
    assert_eq!(count("until=2999-01-01T00:00:00Z&order=newest").await, all);
    assert_eq!(count("source=192.0.2.99").await, 0);
    house
        .get("/api/v1/events?source=nowhere")
        .problem(400)
        .await;
    let call = house
        .get("/api/v1/events?order=newest")
        .header("accept", "text/event-stream");
    call.problem(400).await;
}

#[tokio::test]
async fn events_are_given_in_the_form_of_ocsf_in_lists_and_in_streams() {
    let house = house().await;
    put_segments(&house, 1).await;
    let path = "/api/v1/events?format=ocsf&kind=administrative";
    let page = house.get(path).expect(200).await;
    let event = &page["items"][0]["event"];
    assert_eq!(event["class_uid"], 6003);
    assert_eq!(event["unmapped"]["target"], "s0");
    let mut stream = stream(&house, &format!("{path}&after=0"), None).await;
    let (_, event) = next(&mut stream).await.expect("an event");
    assert_eq!(event["class_uid"], 6003);
}

#[tokio::test]
async fn exports_are_listed_with_how_far_each_is_behind() {
    let house = house().await;
    put_segments(&house, 3).await;
    let page = house.get("/api/v1/exports").expect(200).await;
    let export = &page["items"][0];
    assert_eq!(
        (&export["name"], &export["kind"]),
        (&json!("siem"), &json!("file"))
    );
    assert_eq!(export["state"], "starting");
    assert!(export["lag"].as_u64().expect("a number") >= 3, "{export}");
    let token = house.token("reader", &["devices:read"]).await;
    let call = house.anonymous(Method::GET, "/api/v1/exports");
    call.bearer(&token).problem(403).await;
}
