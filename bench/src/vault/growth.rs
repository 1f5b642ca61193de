//! Whether reading one device grows with what else is there: more messages of as many devices, and as many messages of
//! more devices. Each layout is made by the vault itself, with all its days merged, and read with nothing in memory.

use std::time::Instant;

use anyhow::{Result, ensure};
use palisade_core::{DeviceId, ManualClock, Timestamp};
use palisade_vault::Query;

use super::{BEGIN_S, fill, forget_cached, open};
use crate::{
    Options,
    report::{median, table},
};

/// Devices that are read in each layout.
const READ: u64 = 7;

/// Measures and prints.
pub async fn measure(options: &Options) -> Result<()> {
    let most = options.messages;
    println!("## One device read out of many, nothing in memory, up to 1,000 of its messages\n");
    let layouts = [
        (most / 100, 1_000),
        (most / 10, 1_000),
        (most, 1_000),
        (most, 10_000),
        (most, 100_000),
    ];
    let mut rows = Vec::new();
    for (messages, devices) in layouts {
        rows.push(layout(messages, devices).await?);
    }
    let header = [
        "messages",
        "devices",
        "files",
        "MiB",
        "messages read",
        "ms, median",
        "ms, worst",
    ];
    println!("{}", table(&header, &rows));
    Ok(())
}

async fn layout(messages: u64, devices: u64) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let clock = ManualClock::new(Timestamp::from_second(BEGIN_S)?);
    let house = open(folder.path(), &clock).await?;
    fill(&house, messages, devices).await?;
    house.vault.roll_all().await?;
    clock.advance_millis(86_400_000);
    house.vault.compact().await?;
    let objects = house.objects().await?;
    let bytes: u64 = objects.iter().map(|object| object.bytes).sum();
    house.close().await;
    let (mut times, mut read) = (Vec::new(), Vec::new());
    for number in 0..READ {
        forget_cached(folder.path())?;
        let house = open(folder.path(), &clock).await?;
        let device = devices / READ * number + number % 7;
        let query = Query {
            device: DeviceId::parse(&format!("sensor-{device}"))?,
            from_at: None,
            until_at: None,
            topics: None,
            after: None,
            limit: 1_000,
        };
        let started = Instant::now();
        let found = house.vault.read(&query).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        ensure!(!found.rows.is_empty(), "nothing is read of sensor-{device}");
        read.push(found.rows.len() as f64);
        house.close().await;
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        messages.to_string(),
        devices.to_string(),
        objects.len().to_string(),
        format!("{:.0}", bytes as f64 / 1_048_576.0),
        format!("{:.0}", median(&read)),
        format!("{:.1}", median(&times)),
        format!("{worst:.1}"),
    ])
}
