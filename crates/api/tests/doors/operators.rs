//! The door for operators.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use palisade_api::Phase;
use tokio::net::TcpStream;

use crate::house::House;

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).await.expect("connects");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("speaks");
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost");
    let request = request
        .body(Empty::<bytes::Bytes>::new())
        .expect("a request");
    let answer = sender.send_request(request).await.expect("answers");
    let status = answer.status().as_u16();
    let body = answer
        .into_body()
        .collect()
        .await
        .expect("reads")
        .to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// The checks of `/readyz` that failed.
async fn failed(address: SocketAddr) -> Vec<String> {
    let (_, text) = get(address, "/readyz").await;
    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let checks = answer["checks"].as_array().expect("a list").iter();
    let failed = checks.filter(|check| check["level"] == "fail");
    let named: Vec<String> = failed
        .map(|check| check["check"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(answer["ready"], named.is_empty());
    named
}

#[tokio::test]
async fn the_server_lives_at_once_and_is_ready_when_it_says_so_and_the_database_answers() {
    let house = House::open().await;
    let address = house.api.operators_addrs()[0];
    assert_eq!(get(address, "/healthz").await.0, 200);
    assert_eq!(get(address, "/readyz").await.0, 503);
    assert_eq!(failed(address).await, ["server"]);
    house.api.set_phase(Phase::Serving);
    assert_eq!(get(address, "/readyz").await.0, 200);
    assert_eq!(failed(address).await, [""; 0]);
    house.api.set_phase(Phase::Draining);
    assert_eq!(get(address, "/readyz").await.0, 503);
    assert_eq!(failed(address).await, ["server"]);
    house.api.set_phase(Phase::Serving);
    house.store.close().await;
    assert_eq!(get(address, "/readyz").await.0, 503);
    assert_eq!(failed(address).await, ["database"]);
    assert_eq!(get(address, "/healthz").await.0, 200);
    house.close().await;
}

#[tokio::test]
async fn the_metrics_tell_of_devices_certificates_and_refusals() {
    let house = House::open().await;
    house.register("cam-7", "cam").await;
    house.enrol("cam-1").await;
    let key = rcgen::KeyPair::generate().expect("a key");
    assert_eq!(house.ask("pet_guess", "cam-2", &key).await.status, 401);
    let (status, text) = get(house.api.operators_addrs()[0], "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "process_up 1",
        "palisade_info{version=\"0.0.0-test\"} 1",
        "palisade_ready 0",
        "palisade_store_up 1",
        "palisade_devices{lifecycle=\"active\"} 1",
        "palisade_devices{lifecycle=\"registered\"} 1",
        "palisade_devices{lifecycle=\"revoked\"} 0",
        "palisade_certificates_issued_total{how=\"enrolled\"} 1",
        "palisade_device_requests_refused_total 1",
        "palisade_mqtt_connected 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line:?} is not in\n{text}"
        );
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').expect("a value");
        value.parse::<f64>().expect("a number");
    }
    house.close().await;
}
