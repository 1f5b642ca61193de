//! The same rows in PostgreSQL.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{BEGIN_S, Cost, STEP_NANOS};
use crate::postgres::{PostgreSql, run};

/// Runs the statement once.
pub fn rows(messages: u64, devices: u64) -> Result<Cost> {
    let postgres = PostgreSql::start()?;
    let sql = format!(
        "CREATE TABLE telemetry (number BIGINT PRIMARY KEY, at BIGINT, device TEXT, product TEXT, topic TEXT, \
         qos SMALLINT, retain BOOLEAN, payload BYTEA);\n\
         CREATE INDEX by_device ON telemetry (device, at);\n\
         INSERT INTO telemetry SELECT n, {BEGIN_S}::BIGINT * 1000000000 + n * {STEP_NANOS}, 'sensor-' || (n % {devices}), \
         'sensor', 'devices/sensor-' || (n % {devices}) || '/telemetry', 1, false, convert_to('{{\"seq\":' || n || \
         ',\"temperature\":' || (n * 7919 % 4000) || ',\"humidity\":' || (n * 104729 % 1000) || '}}', 'UTF8') \
         FROM generate_series(0::BIGINT, {messages} - 1) AS n;\n\
         CHECKPOINT;\n"
    );
    let server: u32 = std::fs::read_to_string(postgres.data().join("postmaster.pid"))?
        .lines()
        .next()
        .context("no postmaster")?
        .parse()?;
    let (before, started) = (cpu(server)?, Instant::now());
    let mut psql = postgres.program("psql");
    psql.args([
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        "bench",
        "-d",
        "postgres",
        "-h",
    ]);
    psql.arg(postgres.socket());
    // Each by itself: one text of several is one transaction, and a checkpoint is none of it.
    for statement in sql.lines() {
        psql.args(["-c", statement]);
    }
    run(&mut psql)?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu(server)?.saturating_sub(before).as_secs_f64();
    Ok(Cost {
        seconds,
        cpu,
        bytes: size(&postgres.data().join("base"))?,
    })
}

/// Processor time of a server: its own, that of children that have ended, and of those that it has.
fn cpu(server: u32) -> Result<Duration> {
    let children = format!("/proc/{server}/task/{server}/children");
    let children = std::fs::read_to_string(children)?;
    let mut ticks = ticks(server, 13..17)?;
    for child in children.split_whitespace() {
        // One that ended in between is counted with its parent the next time.
        ticks += self::ticks(child.parse()?, 13..15).unwrap_or(0);
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// Fields of stat(5), counted from 0: utime and stime are 13 and 14, those of children that ended 15 and 16.
fn ticks(process: u32, fields: std::ops::Range<usize>) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit_once(')').context("unreadable /proc stat")?.1;
    let all: Vec<&str> = after_name.split_whitespace().collect();
    let wanted = fields.map(|field| all.get(field - 2).copied().unwrap_or("0").parse::<u64>());
    Ok(wanted.sum::<Result<u64, _>>()?)
}

fn size(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        size += match entry.file_type()?.is_dir() {
            true => self::size(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(size)
}
