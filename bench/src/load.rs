//! Messages through a broker: some publishers, some subscribers, a bounded number under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{io::AsyncWriteExt, sync::Semaphore, task::JoinSet};

use crate::{
    broker::{Broker, topic},
    client::{Client, Frame, publish_packet},
};

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Clients that publish.
    pub publishers: usize,
    /// Clients that receive everything.
    pub subscribers: usize,
    /// Quality of service of publications and subscriptions.
    pub qos: u8,
    /// Payload bytes.
    pub size: usize,
    /// Messages published, in all.
    pub messages: u64,
    /// Messages that a publisher writes at once.
    pub burst: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Deliveries to subscribers per second.
    pub per_second: f64,
    /// Broker processor time per delivery, in microseconds.
    pub cpu_us: f64,
}

/// Messages published and not yet delivered everywhere, at most. Small enough that no broker drops.
const UNDER_WAY: usize = 960;

impl Load {
    /// Runs the load once.
    pub async fn run(self, broker: &dyn Broker) -> Result<Outcome> {
        let credits = Arc::new(Semaphore::new(UNDER_WAY));
        let delivered = Arc::new(AtomicU64::new(0));
        let expected = self.messages * self.subscribers as u64;
        let mut receivers = JoinSet::new();
        for index in 0..self.subscribers {
            let identity = broker.subscriber(index);
            let mut client =
                Client::connect(broker.address(), None, &identity.tls, &identity.client_id).await?;
            client.subscribe("devices/+/telemetry", self.qos).await?;
            receivers.spawn(receive(client, self, credits.clone(), delivered.clone()));
        }
        let mut clients = Vec::new();
        for index in 0..self.publishers {
            let identity = broker.publisher(index);
            clients.push(
                Client::connect(broker.address(), None, &identity.tls, &identity.client_id).await?,
            );
        }
        let (cpu_before, started) = (broker.server().cpu()?, Instant::now());
        let mut senders = JoinSet::new();
        let share = self.messages / self.publishers as u64;
        for (index, client) in clients.into_iter().enumerate() {
            senders.spawn(send(client, self, topic(index), share, credits.clone()));
        }
        let all_received = async {
            while let Some(received) = receivers.join_next().await {
                received??;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(120), all_received)
            .await
            .with_context(|| {
                format!(
                    "{} delivered {} of {expected} messages in two minutes",
                    broker.name(),
                    delivered.load(Ordering::Relaxed)
                )
            })??;
        let elapsed = started.elapsed().as_secs_f64();
        let cpu = broker.server().cpu()?.saturating_sub(cpu_before);
        senders.abort_all();
        Ok(Outcome {
            per_second: expected as f64 / elapsed,
            cpu_us: cpu.as_secs_f64() * 1e6 / expected as f64,
        })
    }
}

async fn receive(
    client: Client,
    load: Load,
    credits: Arc<Semaphore>,
    delivered: Arc<AtomicU64>,
) -> Result<()> {
    let (mut reader, mut write) = client.split();
    let (mut own, subscribers) = (0, load.subscribers as u64);
    let mut acks = Vec::new();
    while own < load.messages {
        let (mut count, mut ids) = (0, Vec::new());
        let open = reader
            .frames(|frame| {
                if let Frame::Publish(id) = frame {
                    count += 1;
                    ids.extend(id);
                }
            })
            .await?;
        anyhow::ensure!(open, "the broker closed a subscriber after {own} messages");
        own += count;
        let before = delivered.fetch_add(count, Ordering::Relaxed);
        // A message is done when every subscriber has it, on average.
        let done = (before + count) / subscribers - before / subscribers;
        credits.add_permits(done as usize);
        for id in ids {
            acks.extend([0x40, 2, (id >> 8) as u8, id as u8]);
        }
        if !acks.is_empty() {
            write.write_all(&acks).await?;
            write.flush().await?;
            acks.clear();
        }
    }
    Ok(())
}

async fn send(
    client: Client,
    load: Load,
    topic: String,
    messages: u64,
    credits: Arc<Semaphore>,
) -> Result<()> {
    let (mut reader, mut write) = client.split();
    let acks = tokio::spawn(async move { while reader.frames(|_| ()).await.unwrap_or(false) {} });
    let plain = publish_packet(&topic, load.size, (load.qos > 0).then_some(0));
    let id_at = plain.len() - load.size - 2;
    let (mut sent, mut id) = (0, 0u16);
    let mut batch = Vec::with_capacity(plain.len() * load.burst as usize);
    while sent < messages {
        let count = (messages - sent).min(load.burst);
        credits.acquire_many(count as u32).await?.forget();
        batch.clear();
        for _ in 0..count {
            let at = batch.len();
            batch.extend_from_slice(&plain);
            if load.qos > 0 {
                id = id.checked_add(1).unwrap_or(1);
                batch[at + id_at..at + id_at + 2].copy_from_slice(&id.to_be_bytes());
            }
        }
        write.write_all(&batch).await?;
        write.flush().await?;
        sent += count;
    }
    // Held open until the run is over: closing would be work for the broker too.
    acks.await?;
    Ok(())
}
