use std::time::Duration;

use palisade_agent::{Agent, Cause, Event, Events, Message, Qos, SubscribeError, Will};
use palisade_core::{EventKind, Lifecycle, Principal};
use tokio::time::timeout;

use crate::house::{House, PATIENCE, device};

/// Waits for an event that is wanted, and lets others go.
pub async fn wait_for<T>(events: &mut Events, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let waiting = async {
        loop {
            let event = events.next().await.expect("the agent lives");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("it happens in time")
}

pub async fn message(events: &mut Events) -> Message {
    timeout(PATIENCE, events.next_message())
        .await
        .expect("it comes in time")
        .expect("the agent lives")
}

pub async fn connected(agent: &Agent) {
    let connected = timeout(PATIENCE, agent.connected()).await;
    assert!(connected.expect("it connects in time"));
}

#[tokio::test]
async fn an_agent_connects_publishes_and_hears_what_it_subscribed_to() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let (agent, mut events) = Agent::connect(identity, house.options()).expect("starts");
    let key_exchange = wait_for(&mut events, |event| match event {
        Event::Connected { key_exchange, .. } => key_exchange.clone(),
        _ => None,
    });
    assert_eq!(key_exchange.await, "X25519MLKEM768");
    agent
        .subscribe("devices/cam-1/#", Qos::AtLeastOnce)
        .await
        .expect("granted");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let delivery = agent
            .publish("devices/cam-1/t", "21", qos)
            .await
            .expect("taken");
        assert!(delivery.reason().await.expect("an answer") < 0x80);
        let message = message(&mut events).await;
        assert_eq!(
            (message.topic.as_str(), &message.payload[..]),
            ("devices/cam-1/t", &b"21"[..])
        );
        assert_eq!(message.qos, qos);
    }
    let status = agent.status();
    assert_eq!(
        (status.delivered, status.received, status.refused),
        (2, 2, 0)
    );
    agent.close().await;
    assert!(
        timeout(PATIENCE, async { while events.next().await.is_some() {} })
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn what_is_not_granted_is_refused_and_the_application_knows() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let (agent, mut events) = Agent::connect(identity, house.options()).expect("starts");
    let delivery = agent
        .publish("devices/cam-2/t", "x", Qos::AtLeastOnce)
        .await
        .expect("taken");
    assert_eq!(delivery.reason().await, Ok(0x87));
    let topic = wait_for(&mut events, |event| match event {
        Event::Refused {
            topic,
            reason: 0x87,
        } => Some(topic.clone()),
        _ => None,
    });
    assert_eq!(topic.await, "devices/cam-2/t");
    let refused = agent.subscribe("#", Qos::AtMostOnce).await;
    assert_eq!(refused, Err(SubscribeError::Refused(0x87)));
    assert!(matches!(
        agent.subscribe("a/#/b", Qos::AtMostOnce).await,
        Err(SubscribeError::Filter(_))
    ));
    assert_eq!(agent.status().refused, 1);
}

#[tokio::test]
async fn a_quarantined_device_is_told_why_and_returns_when_it_is_released() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let (agent, mut events) = Agent::connect(identity, house.options()).expect("starts");
    connected(&agent).await;
    house.set_lifecycle("cam-1", Lifecycle::Quarantined).await;
    let closed = wait_for(&mut events, |event| match event {
        Event::Disconnected { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    let closed = closed.await;
    assert!(
        matches!(closed, Cause::Closed { .. }) && closed.is_refusal(),
        "{closed}"
    );
    let refused = wait_for(&mut events, |event| match event {
        Event::Disconnected { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    let refused = refused.await;
    assert!(matches!(refused, Cause::Refused { .. }), "{refused}");
    assert!(!agent.is_connected());
    house.set_lifecycle("cam-1", Lifecycle::Active).await;
    connected(&agent).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_in_the_handshake_and_the_cause_says_so() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let (agent, mut events) = Agent::connect(identity, house.options()).expect("starts");
    connected(&agent).await;
    let parts = house.parts();
    house
        .run(async move {
            let principal = Principal::Device(device("cam-1"));
            let reason = palisade_identity::RevocationReason::KeyCompromise;
            parts
                .identity
                .revoke_all_of(&principal, reason)
                .await
                .expect("revokes");
            parts.gateway.close_sessions(&principal);
        })
        .await;
    let why = wait_for(&mut events, |event| match event {
        Event::Disconnected {
            cause: Cause::Tls(why),
            ..
        } => Some(why.clone()),
        _ => None,
    });
    assert!(why.await.to_lowercase().contains("revoked"));
}

#[tokio::test]
async fn subscriptions_are_there_again_after_the_server_forgot_them() {
    let mut house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let mut options = house.options();
    options.session_expiry = Duration::ZERO;
    let (agent, mut events) = Agent::connect(identity, options).expect("starts");
    agent
        .subscribe("devices/cam-1/#", Qos::AtLeastOnce)
        .await
        .expect("granted");
    house.stop().await;
    house.start().await;
    wait_for(&mut events, |event| {
        matches!(event, Event::Disconnected { .. }).then_some(())
    })
    .await;
    connected(&agent).await;
    agent
        .publish("devices/cam-1/t", "x", Qos::AtLeastOnce)
        .await
        .expect("taken");
    assert_eq!(message(&mut events).await.topic, "devices/cam-1/t");
}

#[tokio::test]
async fn messages_wait_at_the_server_while_the_agent_is_away() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let (agent, _) = Agent::connect(identity.clone(), house.options()).expect("starts");
    agent
        .subscribe("devices/cam-1/c", Qos::AtLeastOnce)
        .await
        .expect("granted");
    agent.close().await;
    let mut options = house.options();
    options.client_suffix = Some("other".to_owned());
    let (sender, _) = Agent::connect(identity.clone(), options).expect("starts");
    let sent = sender
        .publish("devices/cam-1/c", "wake", Qos::AtLeastOnce)
        .await
        .expect("taken");
    assert!(sent.reason().await.expect("an answer") < 0x80);
    let (_agent, mut events) = Agent::connect(identity, house.options()).expect("starts");
    let present = wait_for(&mut events, |event| match event {
        Event::Connected {
            session_present, ..
        } => Some(*session_present),
        _ => None,
    });
    assert!(present.await);
    assert_eq!(&message(&mut events).await.payload[..], b"wake");
}

#[tokio::test]
async fn an_application_that_does_not_read_holds_messages_back_and_loses_none() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let mut options = house.options();
    options.events = 4;
    options.keep_alive = Duration::from_secs(1);
    let (agent, mut events) = Agent::connect(identity.clone(), options).expect("starts");
    agent
        .subscribe("devices/cam-1/t", Qos::AtLeastOnce)
        .await
        .expect("granted");
    let mut options = house.options();
    options.client_suffix = Some("sender".to_owned());
    let (sender, _) = Agent::connect(identity, options).expect("starts");
    for number in 0..200 {
        let sent = sender.publish("devices/cam-1/t", number.to_string(), Qos::AtLeastOnce);
        sent.await.expect("taken");
    }
    assert!(timeout(PATIENCE, sender.drained()).await.expect("in time"));
    // Longer than the keep-alive: the line must stay up meanwhile.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for number in 0..200 {
        assert_eq!(message(&mut events).await.payload, number.to_string());
    }
    assert_eq!(agent.status().connections, 1);
    assert_eq!(agent.status().missed, 0);
}

#[tokio::test]
async fn the_will_is_published_when_the_agent_dies_and_not_when_it_is_closed() {
    let house = House::open().await;
    let identity = house.enrol("cam-1").await;
    let mut options = house.options();
    options.client_suffix = Some("watcher".to_owned());
    let (watcher, mut events) = Agent::connect(identity.clone(), options).expect("starts");
    watcher
        .subscribe("devices/cam-1/gone", Qos::AtLeastOnce)
        .await
        .expect("granted");
    let mut options = house.options();
    options.will = Some(Will {
        topic: "devices/cam-1/gone".to_owned(),
        payload: "gone".into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        delay: Duration::ZERO,
    });
    let (closed, _) = Agent::connect(identity.clone(), options.clone()).expect("starts");
    connected(&closed).await;
    closed.close().await;
    // A runtime that is torn down leaves no time for a farewell.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (agent, _) = Agent::connect(identity, options).expect("starts");
            connected(&agent).await;
            std::mem::forget(agent);
        });
        runtime.shutdown_background();
    })
    .join()
    .expect("ends");
    assert_eq!(&message(&mut events).await.payload[..], b"gone");
    assert!(events.try_next().is_none(), "once");
}

#[tokio::test]
async fn fifty_agents_live_in_one_process_and_report_themselves() {
    let house = House::open().await;
    let mut agents = Vec::new();
    for number in 0..50 {
        let identity = house.enrol(&format!("cam-{number}")).await;
        agents.push(Agent::connect(identity, house.options()).expect("starts"));
    }
    for (agent, _) in &agents {
        connected(agent).await;
    }
    let reported = house
        .event(|event| matches!(event.kind, EventKind::AgentReport { .. }))
        .await;
    let EventKind::AgentReport { version, facts } = reported.kind else {
        panic!("{reported:?}");
    };
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(facts.contains_key("kernel"), "{facts:?}");
    for (agent, _) in agents {
        agent.close().await;
    }
}
