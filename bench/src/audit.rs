//! An audit of a large fleet: all checks over all devices.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::{
    Options,
    broker::Broker,
    palisade::{Palisade, request},
    registry,
    report::{median, table},
};

/// Devices that have a certificate; a key and a certificate for each of a million take too long to make.
const ENROLLED: usize = 5_000;
const LONGEST: Duration = Duration::from_secs(1_800);
const PAUSE: Duration = Duration::from_millis(50);

/// Measures audits and prints what they cost.
pub fn measure(options: &Options) -> Result<()> {
    println!(
        "## An audit, all checks, {} devices registered, {ENROLLED} of them enrolled\n",
        options.devices
    );
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    registry::import(&palisade, 0, options.devices - ENROLLED)?;
    for index in 0..ENROLLED {
        let id = format!("enrolled-{index}");
        palisade.enrol(&request(&id, &KeyPair::generate()?)?)?;
    }
    let (mut seconds, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs.min(3) {
        let server = palisade.server();
        let (resident, before) = (server.resident_kib()?, server.cpu()?);
        server.reset_peak()?;
        seconds.push(audit(&palisade)?.as_secs_f64());
        cpu.push(server.cpu()?.saturating_sub(before).as_secs_f64());
        memory.push(server.peak_kib()?.saturating_sub(resident) as f64 / 1024.0);
    }
    let row = vec![
        format!("{:.1}", median(&seconds)),
        format!("{:.1}", median(&cpu)),
        format!("{:.0}", median(&memory)),
    ];
    let header = ["seconds", "processor seconds", "memory, MiB"];
    println!("{}", table(&header, &[row]));
    Ok(())
}

/// Asks for an audit and waits for its end.
fn audit(palisade: &Palisade) -> Result<Duration> {
    let started = Instant::now();
    let run = palisade.rest().post("/api/v1/audits/run", &json!({}))?;
    let id = run["id"].as_str().context("the run has no id")?;
    let path = format!("/api/v1/audits/runs/{id}");
    loop {
        let run = palisade
            .rest()
            .send("GET", &path, "application/json", &[], b"")?;
        if run["ended_at"] != Value::Null {
            ensure!(run["interrupted"] == false, "the run was interrupted");
            every_check_looked(&run)?;
            return Ok(started.elapsed());
        }
        ensure!(started.elapsed() < LONGEST, "the audit does not end");
        sleep(PAUSE);
    }
}

fn every_check_looked(run: &Value) -> Result<()> {
    let results = run["results"]
        .as_array()
        .context("the run has no results")?;
    for result in results {
        ensure!(result["state"] != "failed", "a check failed: {result}");
    }
    Ok(())
}
