//! What the event stream is told of what each session did.

use palisade_core::{Event, EventKind};
use palisade_gateway::GatewayConfig;

use crate::{
    client::{Connect, Got, packet},
    house::{House, LOOPBACK, config, device},
};

async fn house() -> House {
    House::with(GatewayConfig {
        statistics_interval_s: 1,
        ..config()
    })
    .await
}

/// Messages, bytes, largest, messages out, bytes out, packets in, packets out, over all windows.
fn sum(events: &[Event], id: &str) -> [u64; 7] {
    let mut sum = [0; 7];
    for event in events {
        let EventKind::PublishStatistics {
            window_ms,
            messages,
            bytes,
            largest,
            messages_out,
            bytes_out,
            packets_in,
            packets_out,
        } = &event.kind
        else {
            continue;
        };
        if event.principal != Some(device(id)) {
            continue;
        }
        // The first window of a slot begins with the server.
        assert!((200..60_000).contains(window_ms), "{event:?}");
        assert_eq!(event.source, Some(LOOPBACK));
        sum[2] = sum[2].max(*largest);
        for (at, more) in [
            (0, messages),
            (1, bytes),
            (3, messages_out),
            (4, bytes_out),
            (5, packets_in),
            (6, packets_out),
        ] {
            sum[at] += more;
        }
    }
    sum
}

#[tokio::test]
async fn what_a_session_did_is_on_the_stream_and_what_an_idle_one_did_not_is_not() {
    let house = house().await;
    let (busy, idle) = (house.enrol("cam-1").await, house.enrol("cam-2").await);
    let mut busy = house.session(&busy, Connect::v5("cam-1")).await;
    let mut idle = house.session(&idle, Connect::v5("cam-2")).await;
    idle.send(&packet(0xc0, &[])).await;
    assert!(matches!(idle.recv().await, Got::Pong));
    busy.subscribe(&[("devices/cam-1/out", 0)]).await;
    busy.publish("devices/cam-1/t", "12345", 0).await;
    busy.publish("devices/cam-1/out", "123", 0).await;
    busy.message().await;
    busy.publish_acked("devices/cam-1/t", "1234567").await;
    // It is counted as a packet, not as an accepted message.
    busy.publish_acked("devices/cam-9/t", "denied").await;
    // CONNECT, SUBSCRIBE and four PUBLISH; CONNACK, SUBACK, PUBLISH and two PUBACK.
    let expected = [3, 15, 7, 1, 3, 6, 5];
    house
        .event(|event| {
            matches!(
                event.kind,
                EventKind::PublishStatistics {
                    packets_in: 1..,
                    ..
                }
            )
        })
        .await;
    let deadline = std::time::Instant::now() + crate::client::PATIENCE;
    while sum(&house.events().await, "cam-1") != expected {
        let so_far = sum(&house.events().await, "cam-1");
        assert!(std::time::Instant::now() < deadline, "{so_far:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(sum(&house.events().await, "cam-2"), [0; 7]);
}

#[tokio::test]
async fn a_flood_of_keep_alives_is_told() {
    let house = house().await;
    let device = house.enrol("cam-1").await;
    let mut client = house.session(&device, Connect::v5("cam-1")).await;
    for _ in 0..50 {
        client.send(&packet(0xc0, &[])).await;
    }
    let is_it = |event: &Event| {
        matches!(
            event.kind,
            EventKind::PublishStatistics {
                messages: 0,
                packets_in: 3..,
                ..
            }
        )
    };
    house.event(is_it).await;
}

#[tokio::test]
async fn what_was_done_before_a_stop_is_told_by_it() {
    let mut house = House::open().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    client.publish_acked("devices/cam-1/t", "12345").await;
    house.restart().await;
    let events = house.events().await;
    let told = |event: &Event| {
        matches!(
            event.kind,
            EventKind::PublishStatistics {
                messages: 1,
                bytes: 5,
                ..
            }
        )
    };
    assert!(events.iter().any(told), "{events:?}");
}
