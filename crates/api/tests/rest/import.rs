//! Inventories, good and hostile.

use axum::{body::Body, http::Method};
use bytes::Bytes;
use palisade_core::DeviceId;
use serde_json::{Value, json};

use crate::house::{House, house};

const PATH: &str = "/api/v1/devices/import";

fn upload(text: impl Into<Body>, house: &House) -> crate::house::Call<'_> {
    house.call(Method::POST, PATH).body("text/csv", text)
}

async fn errors(house: &House, text: impl Into<Body>) -> Vec<(u64, String)> {
    let before = count(house).await;
    let text = upload(text, house).problem(422).await;
    assert_eq!(count(house).await, before, "something was imported");
    let problem: Value = serde_json::from_str(&text).expect("json");
    let items = problem["errors"].as_array().expect("errors").iter();
    items
        .map(|item| (item["line"].as_u64().expect("a line"), item.to_string()))
        .collect()
}

async fn count(house: &House) -> u64 {
    let counts = house.store.devices().count_by_lifecycle().await;
    counts.expect("reads").iter().map(|(_, count)| count).sum()
}

#[tokio::test]
async fn an_inventory_is_imported_whole() {
    let house = house().await;
    house.fleet(&[]).await;
    let text = "id,product,labels\ncam-1,camera,site=berlin;floor=3\ncam-2,camera,\n";
    let report = upload(text, &house).expect(200).await;
    assert_eq!(
        report,
        json!({ "devices": 2, "registered": 2, "dry_run": false })
    );
    let device = house.get("/api/v1/devices/cam-1").expect(200).await;
    assert_eq!(device["labels"], json!({ "floor": "3", "site": "berlin" }));
    let entries = house.entries().await;
    let act = entries.last().expect("an entry");
    assert_eq!(act["act"], "device.import");
    assert_eq!(act["target"], "2 devices");
}

#[tokio::test]
async fn a_dry_run_checks_and_registers_nothing() {
    let house = house().await;
    house.fleet(&[]).await;
    let call = house.call(Method::POST, "/api/v1/devices/import?dry_run=true");
    let call = call.body("text/csv", "id,product\ncam-1,camera\n");
    let report = call.expect(200).await;
    assert_eq!(
        report,
        json!({ "devices": 1, "registered": 0, "dry_run": true })
    );
    assert_eq!(count(&house).await, 0);
    let entries = house.entries().await;
    assert!(
        !entries
            .iter()
            .any(|entry| entry["kind"] == "administrative")
    );
}

#[tokio::test]
async fn every_bad_line_is_named_and_no_good_one_is_applied() {
    let house = house().await;
    house.fleet(&["old"]).await;
    let text = "id,product,labels\n\
        good,camera,\n\
        a/b,camera,\n\
        c,toaster,\n\
        good,camera,\n\
        old,camera,\n\
        d,camera,nonsense\n\
        e,camera\n\
        \n\
        f,camera,a=1\n";
    let found = errors(&house, text).await;
    let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7, 8]);
    for (index, says) in [
        "alphabet",
        "toaster is not known",
        "on line 2 already",
        "exists already",
        "key=value",
        "2 cells",
    ]
    .into_iter()
    .enumerate()
    {
        let (_, error) = &found[index];
        let says = says.replace("alphabet", "made of letters");
        assert!(error.contains(&says), "{error}");
    }
}

#[tokio::test]
async fn spreadsheets_write_files_in_their_own_way_and_are_understood() {
    let house = house().await;
    house.fleet(&[]).await;
    let text = "\u{feff}Product,ID\r\n\"camera\",\"cam-1\"\r\n\r\ncamera,cam-2";
    let report = upload(text, &house).expect(200).await;
    assert_eq!(report["registered"], 2);
}

#[tokio::test]
async fn hostile_files_are_refused_line_by_line() {
    let house = house().await;
    house.fleet(&[]).await;
    let binary: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    assert!(!errors(&house, binary).await.is_empty());
    let binary = [b"id,product\n".as_slice(), &[0xff, 0xfe, 0x00, b'\n']].concat();
    let found = errors(&house, binary).await;
    assert!(found[0].1.contains("not UTF-8"), "{}", found[0].1);
    let quoted = "id,product\n\"cam\n-1\",camera\nx/y,camera\n";
    let found = errors(&house, quoted).await;
    let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4], "{found:?}");
    let nul = "id,product\ncam\u{0}1,camera\n";
    assert_eq!(errors(&house, nul).await.len(), 1);
    for empty in ["", "\n\n", "\u{feff}"] {
        assert_eq!(errors(&house, empty).await.len(), 1, "{empty:?}");
    }
    let no_header = "cam-1,camera,\ncam-2,camera,\n";
    let found = errors(&house, no_header).await;
    assert_eq!((found.len(), found[0].0), (1, 1));
}

#[tokio::test]
async fn a_line_without_an_end_is_passed_over_in_bounded_memory() {
    let house = house().await;
    house.fleet(&[]).await;
    let head = std::iter::once(Bytes::from_static(b"id,product\n"));
    let line = std::iter::repeat_n(Bytes::from(vec![b'x'; 64 * 1024]), 512);
    let tail = std::iter::once(Bytes::from_static(b"\na/b,camera\n"));
    let pieces = head.chain(line).chain(tail).map(Ok::<_, std::io::Error>);
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let found = errors(&house, body).await;
    let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3]);
}

#[tokio::test]
async fn a_thousand_errors_are_listed_and_the_rest_counted() {
    let house = house().await;
    house.fleet(&[]).await;
    let lines: String = (0..1_500).map(|n| format!("d{n},toaster\n")).collect();
    let text = upload(format!("id,product\n{lines}"), &house)
        .problem(422)
        .await;
    let problem: Value = serde_json::from_str(&text).expect("json");
    assert_eq!(problem["errors"].as_array().expect("errors").len(), 1_000);
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("1500 errors, 500 of them not listed"),
        "{detail}"
    );
}

#[tokio::test]
async fn an_import_under_a_key_is_done_once_and_answered_twice() {
    let house = house().await;
    house.fleet(&[]).await;
    let import = |text: &'static str| upload(text, &house).header("idempotency-key", "k1");
    let first = import("id,product\ncam-1,camera\n").send().await;
    let second = import("id,product\ncam-1,camera\n").send().await;
    assert_eq!(first, second);
    assert_eq!(first.0.as_u16(), 200, "{}", first.1);
    import("id,product\ncam-2,camera\n").problem(409).await;
    assert_eq!(count(&house).await, 1);
    // Without the key the same file is an error.
    let found = errors(&house, "id,product\ncam-1,camera\n").await;
    assert!(found[0].1.contains("exists already"));
}

#[tokio::test]
async fn an_import_that_failed_frees_its_key() {
    let house = house().await;
    house.fleet(&[]).await;
    let import = |text: &'static str| upload(text, &house).header("idempotency-key", "k1");
    import("id,product\ncam-1,toaster\n").problem(422).await;
    import("id,product\ncam-1,camera\n").expect(200).await;
}

#[tokio::test]
async fn a_file_of_another_type_is_refused_unread() {
    let house = house().await;
    let call = house.call(Method::POST, PATH);
    call.body("application/json", "{}").problem(415).await;
}

#[tokio::test]
async fn a_large_inventory_is_staged_in_parts_and_seen_at_once() {
    let house = house().await;
    house.fleet(&[]).await;
    let pieces = (0..30_000).map(|n| match n {
        0 => Ok::<_, std::io::Error>(Bytes::from_static(b"id,product,labels\n")),
        n => Ok(Bytes::from(format!("dev-{n:06},camera,site=s{}\n", n % 7))),
    });
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let report = upload(body, &house).expect(200).await;
    assert_eq!(report["registered"], 29_999);
    let last = DeviceId::parse("dev-029999").expect("valid");
    assert!(
        house
            .store
            .devices()
            .find(&last)
            .await
            .expect("reads")
            .is_some()
    );
}

#[tokio::test]
async fn an_import_that_has_to_wait_does_not_free_the_key_of_the_one_under_way() {
    let house = house().await;
    house.fleet(&[]).await;
    // So small that the first lines are sent only once the import reads them.
    let (mut sender, receiver) = tokio::io::duplex(16);
    let body = Body::from_stream(futures_util::stream::unfold(
        receiver,
        |mut receiver| async {
            use tokio::io::AsyncReadExt;
            let mut piece = vec![0; 1024];
            let read = receiver.read(&mut piece).await.expect("reads");
            piece.truncate(read);
            (read > 0).then(|| (Ok::<_, std::io::Error>(Bytes::from(piece)), receiver))
        },
    ));
    let first = upload(body, &house).header("idempotency-key", "k1").send();
    let others = async {
        use tokio::io::AsyncWriteExt;
        let lines = b"id,product\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
        sender.write_all(lines).await.expect("sends");
        let second = upload("id,product\n", &house).header("idempotency-key", "k1");
        let why = second.problem(409).await;
        assert!(why.contains("under way"), "{why}");
        sender.write_all(b"cam-1,camera\n").await.expect("sends");
        drop(sender);
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.0.as_u16(), 200, "{}", first.1);
    assert_eq!(first.1["registered"], 1);
}
