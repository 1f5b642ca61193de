use std::time::Duration;

use palisade_agent::{Agent, Cause, Event, Qos, Servers, StateDir};

use crate::{
    connection::{connected, wait_for},
    house::House,
};

#[tokio::test]
async fn an_agent_renews_keeps_the_new_identity_and_comes_back_with_it() {
    // As it reaches back five minutes, a certificate of one minute is due when it comes.
    let house = House::with_validity(Duration::from_secs(60)).await;
    let old = house.enrol("cam-1").await;
    let dir = tempfile::tempdir().expect("a directory");
    let state = StateDir::create(dir.path()).expect("made");
    let servers = Servers {
        gateway: house.gateway(),
        devices: house.devices(),
    };
    state.save(&old, &servers).expect("saved");
    let mut options = house.options();
    options.state = Some(state.clone());
    let (agent, mut events) = Agent::connect(old.clone(), options).expect("starts");
    wait_for(&mut events, |event| {
        matches!(event, Event::Renewed { .. }).then_some(())
    })
    .await;
    wait_for(&mut events, |event| match event {
        Event::Disconnected { cause, .. } => matches!(cause, Cause::Renewed).then_some(()),
        // Renewed before the first connection was up: that one has the new certificate already.
        Event::Connected { .. } => Some(()),
        _ => None,
    })
    .await;
    connected(&agent).await;
    let delivery = agent
        .publish("devices/cam-1/t", "x", Qos::AtLeastOnce)
        .await
        .expect("taken");
    assert!(delivery.reason().await.expect("an answer") < 0x80);
    let kept = state.identity().expect("kept");
    assert_ne!(kept.chain()[0], old.chain()[0]);
    assert!(kept.not_after() >= old.not_after());
    agent.close().await;
}

#[tokio::test]
async fn a_renewal_that_fails_is_told_and_the_old_certificate_serves_on() {
    let house = House::with_validity(Duration::from_secs(60)).await;
    let identity = house.enrol("cam-1").await;
    let mut options = house.options();
    options.devices = Some("127.0.0.1:1".parse().expect("an endpoint"));
    let (agent, mut events) = Agent::connect(identity, options).expect("starts");
    let why = wait_for(&mut events, |event| match event {
        Event::RenewalFailed { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert!(why.await.contains("127.0.0.1:1"));
    connected(&agent).await;
}
