//! The attacks. Each goes on until it is told to stop or is shut out, and says how it was shut out.

use std::time::{Duration, Instant};

use palisade_agent::{
    Agent, AgentOptions, BackoffOptions, Cause, DeviceIdentity, Event, Events, Qos, WhenFull,
};
use tokio::time::{sleep, timeout};

use super::{Ground, Scenario};
use crate::failure::Failure;

/// How an attack was ended, and when.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) at: Instant,
    pub(super) how: String,
}

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// Between two tries of a scan.
const SCAN_PACE: Duration = Duration::from_millis(10);
/// Between two guesses.
const GUESS_PACE: Duration = Duration::from_millis(20);
/// Between two messages of a beacon.
const BEACON_PACE: Duration = Duration::from_millis(500);
/// A large message.
const LARGE: usize = 60 * 1024;
/// Reason codes of MQTT 5 that mean that the server does not want this client (section 2.4): not
/// authorized, banned, administrative action.
const UNWANTED: [u8; 3] = [0x87, 0x8a, 0x98];
/// Those that mean that it does not want so much of it: message rate too high, quota exceeded.
const TOO_MUCH: [u8; 2] = [0x96, 0x97];

/// Runs the attack of a scenario; ends only when it was shut out.
pub(super) async fn run(
    ground: &Ground<'_>,
    scenario: Scenario,
    identity: Option<DeviceIdentity>,
) -> Result<Ended, Failure> {
    let Some(identity) = identity else {
        return Ok(guess(ground).await);
    };
    let device = identity.device().to_string();
    let (agent, mut events) = connect(ground, &identity, None).await?;
    let attack = async {
        match scenario {
            Scenario::TopicScan => scan(&agent).await,
            Scenario::Flood => flood(&agent, &device).await,
            Scenario::Exfiltration => exfiltrate(&agent, &device).await,
            Scenario::SlowBeacon => beacon(&agent, &device).await,
            Scenario::StolenCertificate => steal(ground, &identity).await,
            Scenario::CredentialStuffing => Ok(()),
        }
    };
    let ended = tokio::select! {
        ended = shut_out(&mut events) => ended,
        failed = attack => match failed {
            // The attacker has nothing more to do; what comes now is the server's answer.
            Ok(()) => shut_out(&mut events).await,
            Err(failure) => return Err(failure),
        },
    };
    agent.close().await;
    Ok(ended)
}

async fn connect(
    ground: &Ground<'_>,
    identity: &DeviceIdentity,
    source: Option<std::net::IpAddr>,
) -> Result<(Agent, Events), Failure> {
    let mut options = AgentOptions::new(ground.mqtt.clone());
    options.report = false;
    options.renew = false;
    options.session_expiry = Duration::ZERO;
    options.source = source;
    options.queue.when_full = WhenFull::Wait;
    // An attacker does not wait.
    options.backoff = BackoffOptions {
        first_ms: 50,
        max_ms: 500,
        refused_first_ms: 50,
        refused_max_ms: 500,
        ..BackoffOptions::default()
    };
    let (agent, events) = Agent::connect(identity.clone(), options)?;
    match timeout(CONNECT, agent.connected()).await {
        Ok(true) => Ok((agent, events)),
        _ => Err(Failure::new(format!(
            "{} cannot connect to {}",
            identity.device(),
            ground.mqtt
        ))
        .next("give the doors with --mqtt and --devices")),
    }
}

/// Waits until the server shuts the attacker out.
async fn shut_out(events: &mut Events) -> Ended {
    loop {
        let Some(event) = events.next().await else {
            return Ended {
                at: Instant::now(),
                how: "the connection is gone".to_owned(),
            };
        };
        let Event::Disconnected { cause, .. } = event else {
            continue;
        };
        let is_end = match &cause {
            Cause::Closed { reason, .. } => UNWANTED.contains(reason) || TOO_MUCH.contains(reason),
            Cause::Refused { reason, .. } => UNWANTED.contains(reason),
            Cause::Tls(_) => true,
            _ => false,
        };
        if is_end {
            return Ended {
                at: Instant::now(),
                how: cause.to_string(),
            };
        }
    }
}

async fn scan(agent: &Agent) -> Result<(), Failure> {
    let _ = agent.subscribe("#", Qos::AtMostOnce).await;
    for number in 0.. {
        let topic = format!("devices/neighbour-{number}/commands/open");
        agent.publish(&topic, "1", Qos::AtLeastOnce).await?;
        if number % 5 == 0 {
            let filter = format!("devices/neighbour-{number}/#");
            let asked = agent.subscribe(&filter, Qos::AtMostOnce);
            let _ = timeout(SCAN_PACE, asked).await;
        }
        sleep(SCAN_PACE).await;
    }
    Ok(())
}

async fn flood(agent: &Agent, device: &str) -> Result<(), Failure> {
    let topic = format!("devices/{device}/telemetry/t");
    loop {
        agent.publish(&topic, "flood", Qos::AtMostOnce).await?;
        tokio::task::yield_now().await;
    }
}

async fn exfiltrate(agent: &Agent, device: &str) -> Result<(), Failure> {
    let topic = format!("devices/{device}/telemetry/log");
    loop {
        agent
            .publish(&topic, vec![0x5a; LARGE], Qos::AtLeastOnce)
            .await?;
        sleep(SCAN_PACE).await;
    }
}

async fn beacon(agent: &Agent, device: &str) -> Result<(), Failure> {
    let topic = format!("devices/{device}/telemetry/b");
    loop {
        agent.publish(&topic, "beacon", Qos::AtMostOnce).await?;
        sleep(BEACON_PACE).await;
    }
}

/// The thief's connection takes the owner's session over, the owner comes back, and so on.
async fn steal(ground: &Ground<'_>, identity: &DeviceIdentity) -> Result<(), Failure> {
    let (_thief, mut events) = connect(ground, identity, Some(ground.second_address)).await?;
    shut_out(&mut events).await;
    Ok(())
}

async fn guess(ground: &Ground<'_>) -> Ended {
    for number in 0.. {
        let refused = ground.guess(&format!("pet_guess-{number}")).await;
        let how = refused.err().unwrap_or_default();
        let is_shut_out = how.contains("429") || how.contains("refused") && !how.contains("401");
        if is_shut_out {
            let at = Instant::now();
            return Ended { at, how };
        }
        sleep(GUESS_PACE).await;
    }
    Ended {
        at: Instant::now(),
        how: "there are no more numbers".to_owned(),
    }
}
