//! Devices that turn bad among many that are healthy: how long each goes on until it is contained, with
//! nobody at the wheel.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{io::AsyncWriteExt, sync::watch, task::JoinSet};

use crate::{
    broker::{Broker, Identity, topic},
    client::{Client, Frame, publish_packet},
    sessions::source_address,
};

/// How the attack is made.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// Devices that only hold a session.
    pub healthy: usize,
    /// Devices that attack, one after the other in lanes.
    pub attackers: usize,
    /// How many attack at the same time.
    pub lanes: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Contained {
    /// Milliseconds from the first bad message until the attacker was served no more, and not let in again.
    pub times_ms: Vec<f64>,
    /// Attackers that were still served after [`PATIENCE`].
    pub missed: usize,
    /// Healthy sessions that ended, or whose ping at the end was not answered.
    pub touched: usize,
}

/// An attacker that is served for so long was not contained.
const PATIENCE: Duration = Duration::from_secs(20);
/// A broker that does not answer a ping for so long is out of the attacker's reach.
const SILENCE: Duration = Duration::from_millis(1_000);
/// The attacker's pace.
const PACE: Duration = Duration::from_millis(2);
const PINGREQ: [u8; 2] = [0xc0, 0];

impl Attack {
    /// Runs the attack once. The first `healthy` publishers are healthy, those after them attack.
    pub async fn run(self, broker: &dyn Broker) -> Result<Contained> {
        let over = watch::Sender::new(false);
        let mut crowd = JoinSet::new();
        let ids: Vec<usize> = (0..self.healthy).collect();
        for part in ids.chunks(64) {
            let mut opening = JoinSet::new();
            for &index in part {
                let identity = tokio::task::block_in_place(|| broker.publisher(index));
                opening.spawn(open(broker.address(), identity, source_address(index)));
            }
            while let Some(client) = opening.join_next().await {
                crowd.spawn(stay(client??, over.subscribe()));
            }
        }
        let (mut times_ms, mut missed) = (Vec::new(), 0);
        let attackers: Vec<usize> = (0..self.attackers).collect();
        for part in attackers.chunks(self.lanes) {
            let mut attacks = JoinSet::new();
            for &number in part {
                let index = self.healthy + number;
                let identity = tokio::task::block_in_place(|| broker.publisher(index));
                let attacker = Attacker {
                    address: broker.address(),
                    identity: identity.clone(),
                    source: bad_address(number),
                    topic: topic(number % self.healthy.max(1)),
                };
                let client = open(attacker.address, identity, attacker.source).await?;
                attacks.spawn(attacker.run(client));
            }
            while let Some(time) = attacks.join_next().await {
                match time?? {
                    Some(time) => times_ms.push(time.as_secs_f64() * 1e3),
                    None => missed += 1,
                }
            }
        }
        over.send_replace(true);
        let served = crowd.join_all().await.into_iter().filter(|served| *served);
        let touched = self.healthy - served.count();
        ensure!(
            times_ms.len() + missed == self.attackers,
            "attacks were lost"
        );
        Ok(Contained {
            times_ms,
            missed,
            touched,
        })
    }
}

async fn open(address: SocketAddr, identity: Identity, source: SocketAddr) -> Result<Client> {
    Client::connect(address, Some(source), &identity.tls, &identity.client_id)
        .await
        .with_context(|| format!("{} cannot connect", identity.client_id))
}

/// Holds a session until it is over, and pings then; `true` where it is still served.
async fn stay(client: Client, mut over: watch::Receiver<bool>) -> bool {
    let (mut reader, mut write) = client.split();
    loop {
        tokio::select! {
            open = reader.frames(|_| ()) => if !open.unwrap_or(false) {
                return false;
            },
            _ = over.changed() => break,
        }
    }
    let mut answered = false;
    let ping = async {
        write.write_all(&PINGREQ).await?;
        write.flush().await?;
        while !answered
            && reader
                .frames(|frame| answered |= frame == Frame::Other(13))
                .await?
        {}
        anyhow::Ok(())
    };
    let _ = tokio::time::timeout(PATIENCE, ping).await;
    answered
}

/// One device that turned bad.
struct Attacker {
    address: SocketAddr,
    identity: Identity,
    source: SocketAddr,
    topic: String,
}

/// How one session of an attacker ended.
enum End {
    /// It was closed, then.
    Closed(Instant),
    /// Nothing was answered any more, after this answer.
    Silent(Instant),
    /// It did not end: it is served still.
    Served,
}

impl Attacker {
    /// Attacks, and comes back each time that it is thrown out, until it is not let in any more or hears
    /// nothing. Gives the time from its first message to the last thing that the broker did for it, or `None`
    /// where it is served still.
    async fn run(self, first: Client) -> Result<Option<Duration>> {
        let (started, mut client) = (Instant::now(), first);
        loop {
            let last = match self.session(client, started).await {
                End::Silent(last) => return Ok(Some(last.duration_since(started))),
                End::Served => return Ok(None),
                End::Closed(last) => last,
            };
            let again = open(self.address, self.identity.clone(), self.source);
            client = match tokio::time::timeout(SILENCE, again).await {
                Ok(Ok(client)) => client,
                _ => return Ok(Some(last.duration_since(started))),
            };
        }
    }

    /// Publishes to another device's topic and pings after each, until nothing is answered.
    async fn session(&self, client: Client, started: Instant) -> End {
        let (mut reader, mut write) = client.split();
        let mut shot = publish_packet(&self.topic, 64, None);
        shot.extend(PINGREQ);
        let answered = Arc::new(parking_lot::Mutex::new((Instant::now(), false)));
        let heard = answered.clone();
        let listening = tokio::spawn(async move {
            loop {
                let open = reader
                    .frames(|frame| {
                        if matches!(frame, Frame::Other(13)) {
                            heard.lock().0 = Instant::now();
                        }
                    })
                    .await
                    .unwrap_or(false);
                if !open {
                    *heard.lock() = (Instant::now(), true);
                    return;
                }
            }
        });
        let end = loop {
            let (last, closed) = *answered.lock();
            if closed {
                break End::Closed(last);
            }
            if last.elapsed() > SILENCE {
                break End::Silent(last);
            }
            if started.elapsed() > PATIENCE {
                break End::Served;
            }
            // A peer that drops packets lets writes wait for ever; what counts is what is answered.
            let _ = tokio::time::timeout(PACE, async {
                write.write_all(&shot).await?;
                write.flush().await
            })
            .await;
            tokio::time::sleep(PACE).await;
        };
        listening.abort();
        end
    }
}

/// Attackers have addresses of their own: a ban of one must not be a ban of a healthy one.
fn bad_address(number: usize) -> SocketAddr {
    let octets = [
        127,
        200 + (number / 62_500) as u8,
        (number / 250 % 250) as u8,
        (number % 250 + 2) as u8,
    ];
    SocketAddr::from((Ipv4Addr::from(octets), 0))
}
