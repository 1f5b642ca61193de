//! From the operator's order to the closed session, with many sessions open.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{broker::Broker, client::Client, palisade::Palisade, sessions::source_address};

/// Opens `live` sessions, and then quarantines `victims` devices one after the other. Gives the
/// milliseconds from before the order is sent until the device's connection ends.
pub async fn containment_ms(palisade: &Palisade, live: usize, victims: usize) -> Result<Vec<f64>> {
    let crowd = palisade.device("crowd")?;
    let mut held = Vec::with_capacity(live);
    while held.len() < live {
        let mut tasks = tokio::task::JoinSet::new();
        for lane in held.len()..(held.len() + 64).min(live) {
            let (tls, address) = (crowd.clone(), palisade.address());
            tasks.spawn(async move {
                Client::connect(
                    address,
                    Some(source_address(lane)),
                    &tls,
                    &format!("crowd:{lane}"),
                )
                .await
            });
        }
        while let Some(client) = tasks.join_next().await {
            held.push(client??);
        }
    }
    let mut times = Vec::with_capacity(victims);
    for victim in 0..victims {
        let id = format!("victim-{victim}");
        let tls = palisade.device(&id)?;
        let client = Client::connect(palisade.address(), None, &tls, &id).await?;
        let (mut reader, write) = client.split();
        let closed = tokio::spawn(async move {
            while reader.frames(|_| ()).await.unwrap_or(false) {}
            let at = Instant::now();
            drop(write);
            at
        });
        let rest = palisade.rest().clone();
        let started = Instant::now();
        let path = format!("/api/v1/devices/{id}/quarantine");
        tokio::task::spawn_blocking(move || rest.post(&path, &json!({"reason": "bench"})))
            .await??;
        let wait = std::time::Duration::from_secs(10);
        let at = tokio::time::timeout(wait, closed)
            .await
            .context("the session stays open")??;
        times.push(at.duration_since(started).as_secs_f64() * 1e3);
    }
    ensure!(!times.is_empty(), "no victims");
    Ok(times)
}
