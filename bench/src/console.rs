//! The console as a browser first gets it: bytes, and time until somebody can type. Chromium measures.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    Options,
    palisade::Palisade,
    report::{median, table},
};

/// Measures and prints.
pub fn measure(options: &Options) -> Result<()> {
    println!(
        "## First load of the console in Chromium, nothing cached, until its reader can type\n"
    );
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("console.cjs");
    let done = Command::new("node")
        .arg(script)
        .arg(format!("https://{}/", palisade.people_address()))
        .arg(options.runs.to_string())
        .stderr(Stdio::inherit())
        .output()
        .context("node is missing")?;
    ensure!(
        done.status.success(),
        "the browser could not measure: is playwright-core in NODE_PATH, and chromium installed?"
    );
    let text = String::from_utf8(done.stdout)?;
    let runs = text.lines().map(serde_json::from_str);
    let runs = runs.collect::<Result<Vec<Value>, _>>()?;
    let of = |who: &str, what: &str| {
        let found = runs.iter().filter_map(|run| run[who][what].as_f64());
        median(&found.collect::<Vec<_>>())
    };
    let row = vec![
        format!("{:.1}", of("fast", "bytes") / 1e3),
        format!("{:.0}", of("fast", "ms")),
        format!("{:.0}", of("slow", "ms")),
    ];
    let header = [
        "kB",
        "ms here",
        "ms on a slow laptop (processor / 4, 10 Mbit/s, 40 ms)",
    ];
    println!("{}", table(&header, &[row]));
    Ok(())
}
