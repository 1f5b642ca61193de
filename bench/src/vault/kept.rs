//! What it costs the gateway that messages are kept: the same load through two servers, of which one has a grant that
//! says so. A burst is over before much of the log is rolled into sealed files; a sustained load is measured while that
//! goes on, and once more until nothing waits to be rolled.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    Options,
    broker::Broker,
    load::{Load, Outcome},
    palisade::Palisade,
    report::{median, table},
};

const DAYS: u16 = 90;
/// So many bursts make a sustained load.
const BURSTS: u64 = 20;
/// No log takes longer than this to be rolled.
const PATIENCE: Duration = Duration::from_secs(300);

/// Rates, and processor time a message in microseconds.
#[derive(Default)]
struct Found {
    rates: Vec<f64>,
    costs: Vec<f64>,
}

impl Found {
    fn add(&mut self, outcome: Outcome) {
        self.rates.push(outcome.per_second);
        self.costs.push(outcome.cpu_us);
    }

    fn row(&self, name: &str, without: &Self) -> Vec<String> {
        let [rate, cost] = [median(&self.rates), median(&self.costs)];
        let [rate_without, cost_without] = [median(&without.rates), median(&without.costs)];
        vec![
            name.to_owned(),
            format!("{rate:.0}"),
            format!("{:.2}", rate / rate_without),
            format!("{cost:.2}"),
            format!("{:.2}", cost - cost_without),
            format!("{:.2}", cost / cost_without),
        ]
    }
}

/// Measures and prints.
pub async fn measure(options: &Options) -> Result<()> {
    let burst = Load {
        publishers: 20,
        subscribers: 1,
        qos: 1,
        size: 256,
        messages: options.messages,
        burst: options.burst.max(1),
    };
    let sustained = Load {
        messages: burst.messages * BURSTS,
        ..burst
    };
    println!(
        "## The gateway with and without the vault: 20 publishers to 1 subscriber, QoS 1, 256 bytes\n\nA burst is {} \
         messages, a sustained load {}. \"Until all is rolled\" counts the time and the processor until the log has one \
         file, the open one.\n",
        burst.messages, sustained.messages
    );
    let [
        mut without,
        mut without_long,
        mut kept,
        mut kept_long,
        mut rolled,
    ]: [Found; 5] = Default::default();
    // By turns, so that what else the machine does meets all of them.
    for _ in 0..options.runs {
        without.add(run(options, burst, None).await?.0);
        kept.add(run(options, burst, Some(DAYS)).await?.0);
        without_long.add(run(options, sustained, None).await?.0);
        let (while_it_rolls, until_rolled) = run(options, sustained, Some(DAYS)).await?;
        kept_long.add(while_it_rolls);
        rolled.add(until_rolled);
    }
    let rows = [
        without.row("burst, without", &without),
        kept.row("burst, every message kept", &without),
        without_long.row("sustained, without", &without_long),
        kept_long.row("sustained, every message kept", &without_long),
        rolled.row("sustained, until all is rolled", &without_long),
    ];
    let header = [
        "",
        "msg/s",
        "against without",
        "CPU us/msg",
        "on top",
        "against without",
    ];
    println!("{}", table(&header, &rows));
    Ok(())
}

/// The load, and the load with what it left to be rolled.
async fn run(options: &Options, load: Load, days: Option<u16>) -> Result<(Outcome, Outcome)> {
    let folder = tempfile::tempdir()?;
    let palisade = Palisade::start_keeping(&options.palisade, folder.path(), days)?;
    let outcome = load.run(&palisade).await?;
    let (cpu, ended) = (palisade.server().cpu()?, Instant::now());
    while waiting(palisade.data())? > 1 {
        ensure!(ended.elapsed() < PATIENCE, "the log is not rolled");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let messages = load.messages as f64;
    let seconds = messages / outcome.per_second + ended.elapsed().as_secs_f64();
    let later = palisade.server().cpu()?.saturating_sub(cpu);
    let rolled = Outcome {
        per_second: messages / seconds,
        cpu_us: outcome.cpu_us + later.as_secs_f64() * 1e6 / messages,
    };
    Ok((outcome, rolled))
}

/// How many files the log has.
fn waiting(data: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in std::fs::read_dir(data.join("vault/log"))? {
        let is_log = entry?.path().extension().is_some_and(|end| end == "wal");
        files += usize::from(is_log);
    }
    Ok(files)
}
