use std::path::PathBuf;

use palisade_agent::{Agent, AgentOptions, PublishError, Qos, QueueOptions, SyncPolicy, WhenFull};
use tokio::time::timeout;

use crate::{
    connection::{connected, message},
    house::{House, PATIENCE},
};

fn with_queue(mut options: AgentOptions, dir: PathBuf) -> AgentOptions {
    options.queue_dir = Some(dir);
    options
}

#[tokio::test]
async fn what_was_published_while_the_server_was_away_arrives_in_order() {
    let mut house = House::open().await;
    let dir = tempfile::tempdir().expect("a directory");
    let identity = house.enrol("cam-1").await;
    let options = with_queue(house.options(), dir.path().join("queue"));
    let (agent, mut events) = Agent::connect(identity, options).expect("starts");
    agent
        .subscribe("devices/cam-1/t", Qos::AtLeastOnce)
        .await
        .expect("granted");
    house.stop().await;
    let mut deliveries = Vec::new();
    for number in 0..100 {
        let qos = if number % 10 == 0 {
            Qos::AtMostOnce
        } else {
            Qos::AtLeastOnce
        };
        let delivery = agent
            .publish("devices/cam-1/t", number.to_string(), qos)
            .await;
        deliveries.push(delivery.expect("taken"));
    }
    assert!(agent.status().queue.messages >= 90);
    house.start().await;
    for delivery in deliveries {
        let reason = timeout(PATIENCE, delivery.reason()).await.expect("in time");
        assert!(reason.expect("an answer") < 0x80);
    }
    let mut last = -1;
    for _ in 0..100 {
        let message = message(&mut events).await;
        let number: i32 = std::str::from_utf8(&message.payload)
            .expect("text")
            .parse()
            .expect("a number");
        assert!(number >= last, "{number} after {last}");
        last = number;
        if number == 99 {
            break;
        }
    }
    assert_eq!(last, 99);
    assert_eq!(agent.status().queue.messages, 0);
}

#[tokio::test]
async fn what_was_taken_survives_the_death_of_the_agent() {
    let mut house = House::open().await;
    let dir = tempfile::tempdir().expect("a directory");
    let identity = house.enrol("cam-1").await;
    let options = with_queue(house.options(), dir.path().to_owned());
    let mut watching = house.options();
    watching.client_suffix = Some("watcher".to_owned());
    let (watcher, mut events) = Agent::connect(identity.clone(), watching).expect("starts");
    watcher
        .subscribe("devices/cam-1/t", Qos::AtLeastOnce)
        .await
        .expect("granted");
    house.stop().await;
    let (dying, again) = (options.clone(), identity.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let (agent, _) = Agent::connect(again, dying).expect("starts");
            for number in 0..20 {
                let text = number.to_string();
                agent
                    .publish("devices/cam-1/t", text, Qos::AtLeastOnce)
                    .await
                    .expect("taken");
            }
        });
        runtime.shutdown_background();
    })
    .join()
    .expect("ends");
    house.start().await;
    connected(&watcher).await;
    let (agent, _) = retry_connect(identity, options).await;
    assert!(timeout(PATIENCE, agent.drained()).await.expect("in time"));
    for number in 0..20 {
        assert_eq!(message(&mut events).await.payload, number.to_string());
    }
}

/// A runtime that dies lets go of the queue's lock a moment later.
async fn retry_connect(
    identity: palisade_agent::DeviceIdentity,
    options: AgentOptions,
) -> (Agent, palisade_agent::Events) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match Agent::connect(identity.clone(), options.clone()) {
            Ok(agent) => return agent,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_full_queue_refuses_drops_or_waits_as_it_is_told() {
    let mut house = House::open().await;
    let identity = house.enrol("cam-1").await;
    house.stop().await;
    let options = |when_full| {
        let mut options = house.options();
        options.queue = QueueOptions {
            max_messages: 3,
            when_full,
            sync: SyncPolicy::Never,
            ..QueueOptions::default()
        };
        options
    };
    let publish = async |agent: &Agent, number: usize| {
        let text = number.to_string();
        agent
            .publish("devices/cam-1/t", text, Qos::AtLeastOnce)
            .await
    };

    let (agent, _) = Agent::connect(identity.clone(), options(WhenFull::Refuse)).expect("starts");
    for number in 0..3 {
        publish(&agent, number).await.expect("room");
    }
    let full = publish(&agent, 3).await;
    assert!(matches!(full, Err(PublishError::Queue(_))), "{full:?}");
    agent.close().await;

    let (agent, _) =
        Agent::connect(identity.clone(), options(WhenFull::DropOldest)).expect("starts");
    let first = publish(&agent, 0).await.expect("room");
    for number in 1..5 {
        publish(&agent, number).await.expect("room is made");
    }
    assert!(
        first.reason().await.is_err(),
        "the oldest went, and its sender knows"
    );
    assert_eq!(agent.status().queue.dropped, 2);
    agent.close().await;

    let (agent, _) = Agent::connect(identity, options(WhenFull::Wait)).expect("starts");
    for number in 0..3 {
        publish(&agent, number).await.expect("room");
    }
    let waiting = publish(&agent, 3);
    tokio::pin!(waiting);
    let early = timeout(std::time::Duration::from_millis(50), &mut waiting).await;
    assert!(early.is_err(), "it waits");
    house.start().await;
    let delivery = timeout(PATIENCE, waiting)
        .await
        .expect("in time")
        .expect("room");
    let reason = timeout(PATIENCE, delivery.reason()).await.expect("in time");
    assert!(reason.expect("an answer") < 0x80);
}

#[tokio::test]
async fn an_agent_that_ends_leaves_nobody_waiting() {
    let mut house = House::open().await;
    let identity = house.enrol("cam-1").await;
    house.stop().await;
    let (agent, mut events) = Agent::connect(identity, house.options()).expect("starts");
    let delivery = agent
        .publish("devices/cam-1/t", "x", Qos::AtLeastOnce)
        .await
        .expect("taken");
    let other = agent.clone();
    agent.close().await;
    assert!(delivery.reason().await.is_err());
    let late = other
        .publish("devices/cam-1/t", "x", Qos::AtLeastOnce)
        .await;
    assert!(matches!(late, Err(PublishError::Ended)), "{late:?}");
    assert!(
        other
            .subscribe("devices/cam-1/t", Qos::AtLeastOnce)
            .await
            .is_err()
    );
    assert!(!other.connected().await);
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn what_waited_is_sent_below_the_limits_of_the_server() {
    let mut house = House::open().await;
    let dir = tempfile::tempdir().expect("a directory");
    let identity = house.enrol("cam-1").await;
    let options = with_queue(house.options(), dir.path().join("queue"));
    let (agent, _events) = Agent::connect(identity, options).expect("starts");
    assert!(timeout(PATIENCE, agent.connected()).await.expect("in time"));
    house.stop().await;
    let mut deliveries = Vec::new();
    for number in 0..2_000 {
        // Both kinds wait in the queue while the server is away.
        let qos = match number % 4 {
            0 => Qos::AtMostOnce,
            _ => Qos::AtLeastOnce,
        };
        let delivery = agent
            .publish("devices/cam-1/t", number.to_string(), qos)
            .await;
        deliveries.push(delivery.expect("taken"));
    }
    house.start().await;
    for delivery in deliveries {
        let reason = timeout(PATIENCE, delivery.reason()).await.expect("in time");
        assert!(reason.expect("an answer") < 0x80);
    }
    assert_eq!(house.parts().gateway.stats().throttled, 0);
}
