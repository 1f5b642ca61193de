//! Messages that grants say to keep.

use std::{
    num::NonZeroU16,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
};

use palisade_core::{
    GrantActions, GrantScope,
    port::{CannotKeep, Telemetry, TelemetrySink},
};

use crate::{
    client::{Connect, Got, Will},
    house::{ALL, House, until},
};

/// A sink whose disk is as slow as the test wants.
#[derive(Default)]
struct Shelf(Mutex<State>);

#[derive(Default)]
struct State {
    kept: Vec<(String, String, u32, String)>,
    durable: u64,
    is_full: bool,
    waiters: Vec<Waker>,
}

impl Shelf {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is kept that is not durable.
    fn is_behind(&self) -> bool {
        let state = self.state();
        state.kept.len() as u64 > state.durable
    }

    /// The disk has caught up.
    fn sync(&self) {
        let mut state = self.state();
        state.durable = state.kept.len() as u64;
        state.waiters.drain(..).for_each(Waker::wake);
    }
}

impl TelemetrySink for Shelf {
    fn keep(&self, message: &Telemetry<'_>) -> Result<u64, CannotKeep> {
        let mut state = self.state();
        if state.is_full {
            return Err(CannotKeep);
        }
        let payload = String::from_utf8(message.payload.to_vec()).expect("text");
        assert_eq!(
            (message.product.as_str(), message.segment.as_str()),
            ("cam", "default")
        );
        state.kept.push((
            message.device.to_string(),
            message.topic.to_string(),
            message.days,
            payload,
        ));
        Ok(state.kept.len() as u64)
    }

    fn is_durable(&self, number: u64) -> bool {
        self.state().durable >= number
    }

    fn poll_durable(&self, number: u64, waker: &Waker) -> Poll<()> {
        let mut state = self.state();
        if state.durable >= number {
            return Poll::Ready(());
        }
        state.waiters.push(waker.clone());
        Poll::Pending
    }
}

async fn house() -> (House, Arc<Shelf>) {
    let house = House::open().await;
    let shelf = Arc::new(Shelf::default());
    house.parts().gateway.keep_in(shelf.clone());
    let keep = |days| GrantActions {
        publish: true,
        keep_days: NonZeroU16::new(days),
        ..GrantActions::default()
    };
    house.grant(GrantScope::Fleet, "kept/#", keep(30)).await;
    house
        .grant(GrantScope::Fleet, "kept/longer", keep(90))
        .await;
    house
        .grant(GrantScope::Fleet, "kept/{device}/own", ALL)
        .await;
    (house, shelf)
}

#[tokio::test]
async fn a_kept_message_is_acknowledged_once_it_is_durable_and_not_before() {
    let (house, shelf) = house().await;
    let cam = house.enrol("cam-1").await;
    for connect in [Connect::v5("cam-1"), Connect::v3("cam-1")] {
        let before = shelf.state().kept.len();
        let mut client = house.session(&cam, connect).await;
        for qos in [1, 2] {
            let id = client.publish("kept/a", "x", qos).await;
            until("it is kept", || shelf.is_behind()).await;
            client.hears_nothing().await;
            shelf.sync();
            let first = if qos == 1 { 0x40 } else { 0x50 };
            assert!(
                matches!(client.recv().await, Got::Ack(found, acked, _) if (found, acked) == (first, id))
            );
            if qos == 2 {
                client.ack(0x62, id).await;
                assert!(matches!(client.recv().await, Got::Ack(0x70, ..)));
            }
        }
        assert_eq!(shelf.state().kept.len(), before + 2);
        // What is not kept waits for nothing, and for what came before it.
        let first = client.publish("kept/a", "x", 1).await;
        let second = client.publish("devices/cam-1/x", "x", 1).await;
        client.hears_nothing().await;
        shelf.sync();
        for id in [first, second] {
            assert!(matches!(client.recv().await, Got::Ack(0x40, acked, _) if acked == id));
        }
    }
}

#[tokio::test]
async fn what_grants_say_to_keep_is_kept_as_long_as_the_longest_says_and_nothing_else() {
    let (house, shelf) = house().await;
    let cam = house.enrol("cam-1").await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    for topic in ["kept/a", "kept/longer", "devices/cam-1/x", "forbidden"] {
        client.publish(topic, "x", 0).await;
    }
    let mut suite = house.plain(Connect::v5("suite")).await;
    suite.publish("kept/a", "of a service", 0).await;
    client.publish("kept/last", "x", 0).await;
    until("the last is kept", || {
        shelf.state().kept.iter().any(|kept| kept.1 == "kept/last")
    })
    .await;
    let kept: Vec<_> = shelf
        .state()
        .kept
        .iter()
        .map(|kept| (kept.1.clone(), kept.2))
        .collect();
    let wanted = [("kept/a", 30), ("kept/longer", 90), ("kept/last", 30)];
    assert_eq!(kept, wanted.map(|(topic, days)| (topic.to_owned(), days)));
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_and_at_quality_of_service_0_counted() {
    let (house, shelf) = house().await;
    let cam = house.enrol("cam-1").await;
    let mut listener = house.plain(Connect::v5("listener")).await;
    listener.subscribe(&[("kept/#", 1)]).await;
    shelf.state().is_full = true;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    assert_eq!(client.publish_acked("kept/a", "refused").await, 0x80);
    client.publish("kept/a", "lost to the vault alone", 0).await;
    assert_eq!(listener.message().await.text(), "lost to the vault alone");
    assert_eq!(house.parts().gateway.stats().not_kept, 2);
    // Version 3.1.1 knows no refusal: the client sends it again once it is back.
    let mut old = house.session(&cam, Connect::v3("cam-1")).await;
    old.publish("kept/a", "refused", 1).await;
    assert_eq!(old.recv().await, Got::Closed);
    shelf.state().is_full = false;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    let id = client.publish("kept/a", "taken", 1).await;
    until("it is kept", || shelf.state().kept.len() == 1).await;
    shelf.sync();
    assert!(
        matches!(client.recv().await, Got::Ack(0x40, acked, reason) if acked == id && reason < 0x80)
    );
    assert_eq!(listener.message().await.text(), "taken");
}

#[tokio::test]
async fn a_grant_that_is_taken_back_keeps_nothing_more() {
    let (house, shelf) = house().await;
    let cam = house.enrol("cam-1").await;
    let keep = GrantActions {
        publish: true,
        keep_days: NonZeroU16::new(7),
        ..GrantActions::default()
    };
    let grant = house
        .grant(GrantScope::Fleet, "devices/{device}/y", keep)
        .await;
    let mut client = house.session(&cam, Connect::v5("cam-1")).await;
    client.publish("devices/cam-1/y", "kept", 0).await;
    until("it is kept", || shelf.state().kept.len() == 1).await;
    let parts = house.parts();
    house
        .run(async move { parts.pdp.remove_grant(grant).await.expect("removes") })
        .await;
    client.publish("devices/cam-1/y", "not kept", 0).await;
    client.publish("kept/mark", "kept", 0).await;
    until("the mark is kept", || shelf.state().kept.len() > 1).await;
    let kept: Vec<_> = shelf
        .state()
        .kept
        .iter()
        .map(|kept| kept.1.clone())
        .collect();
    assert_eq!(kept, ["devices/cam-1/y", "kept/mark"]);
}

#[tokio::test]
async fn a_will_is_kept_as_any_message() {
    let (house, shelf) = house().await;
    let cam = house.enrol("cam-1").await;
    let will = Will {
        topic: "kept/will".into(),
        payload: "gone".into(),
        qos: 1,
        ..Will::default()
    };
    drop(house.session(&cam, Connect::v5("cam-1").will(will)).await);
    until("the will is kept", || shelf.state().kept.len() == 1).await;
    assert_eq!(shelf.state().kept[0].1, "kept/will");
}
