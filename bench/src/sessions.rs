//! Connections: the price of a handshake, the memory of an idle session.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{broker::Broker, client::Client};

/// Broker processor time for one connection (TCP, full TLS 1.3 handshake with client certificate, MQTT
/// CONNECT), in microseconds, over `count` connections, `parallel` at a time.
pub async fn handshake_cpu_us(broker: &dyn Broker, count: usize, parallel: usize) -> Result<f64> {
    let identity = broker.publisher(0);
    let before = broker.server().cpu()?;
    let mut done = 0;
    while done < count {
        let mut tasks = tokio::task::JoinSet::new();
        for lane in 0..parallel.min(count - done) {
            let (identity, address) = (identity.clone(), broker.address());
            let source = source_address(lane);
            tasks.spawn(async move {
                let client_id = identity.client_id.clone() + &suffix(lane);
                Client::connect(address, Some(source), &identity.tls, &client_id)
                    .await
                    .map(drop)
            });
        }
        while let Some(result) = tasks.join_next().await {
            result??;
            done += 1;
        }
    }
    let cpu = broker.server().cpu()?.saturating_sub(before);
    Ok(cpu.as_secs_f64() * 1e6 / count as f64)
}

/// Resident memory that each of `count` idle sessions adds, in KiB.
pub async fn idle_session_kib(broker: &dyn Broker, count: usize) -> Result<f64> {
    let identity = broker.publisher(0);
    let before = broker.server().resident_kib()?;
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let mut tasks = tokio::task::JoinSet::new();
        for lane in held.len()..(held.len() + 64).min(count) {
            let (identity, address) = (identity.clone(), broker.address());
            tasks.spawn(async move {
                let client_id = identity.client_id.clone() + &suffix(lane);
                Client::connect(
                    address,
                    Some(source_address(lane)),
                    &identity.tls,
                    &client_id,
                )
                .await
            });
        }
        while let Some(client) = tasks.join_next().await {
            held.push(client?.with_context(|| format!("after {} sessions", held.len()))?);
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = broker.server().resident_kib()?;
    Ok((after.saturating_sub(before)) as f64 / count as f64)
}

fn suffix(lane: usize) -> String {
    format!(":{lane}")
}

/// Loopback has 16 million addresses: no source runs out of ports, none is rate limited alone.
pub fn source_address(lane: usize) -> SocketAddr {
    let host = 2 + lane / 200;
    SocketAddr::from((
        Ipv4Addr::new(127, 0, (host / 250) as u8, (host % 250 + 2) as u8),
        0,
    ))
}
