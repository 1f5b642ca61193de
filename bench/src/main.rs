//! Measures Palisade against its peers and prints the ratios. Both run here, in the same run, one after
//! the other in turns; each figure is the median of the runs.

mod attack;
mod audit;
mod broker;
mod client;
mod console;
mod containment;
mod decision;
mod engines;
mod fail2ban;
mod https;
mod ledger;
mod load;
mod mosquitto;
mod nab;
mod palisade;
mod people;
mod postgres;
mod process;
mod registry;
mod report;
mod rest;
mod rules;
mod sessions;
mod sigmahq;
mod vault;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use broker::Broker;
use load::Load;
use mosquitto::Mosquitto;
use palisade::Palisade;
use report::{machine, median, percentile, table};

/// Measures Palisade against its peers and prints the ratios.
#[derive(Parser)]
#[command(after_help = "Example:\n  cargo build --release -p palisade\n  \
    cargo run --release -p palisade-bench -- messages handshakes\n\n\
    mosquitto is needed for messages, handshakes and idle (Debian: apt-get install mosquitto).")]
struct Options {
    /// What to measure; everything where nothing is named.
    what: Vec<What>,
    /// The server under test.
    #[arg(long, default_value = "target/release/palisade")]
    palisade: PathBuf,
    /// Runs of each measurement; the median is printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Messages that a publisher writes at once.
    #[arg(long, default_value_t = 16)]
    burst: u64,
    /// Messages of each load.
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Idle sessions.
    #[arg(long, default_value_t = 20_000)]
    sessions: usize,
    /// Registered devices for decisions and import.
    #[arg(long, default_value_t = 1_000_000)]
    devices: usize,
    /// Devices that turn bad, in the loop.
    #[arg(long, default_value_t = 1_000)]
    attackers: usize,
    /// Live sessions during containment.
    #[arg(long, default_value_t = 10_000)]
    live: usize,
    /// Where the Numenta Anomaly Benchmark is (its data/ and labels/).
    #[arg(long, value_name = "DIR")]
    nab: Option<PathBuf>,
    /// Where SigmaHQ's rules and their regression data are (a checkout of SigmaHQ/sigma).
    #[arg(long, value_name = "DIR")]
    sigma: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Messages through the gateway, against mosquitto.
    Messages,
    /// Full TLS handshakes, against mosquitto.
    Handshakes,
    /// Memory of an idle session, against mosquitto.
    Idle,
    /// The price of a policy decision.
    Decision,
    /// A fleet in SQLite and in PostgreSQL: opening, letting devices in.
    Engines,
    /// From quarantine to closed session.
    Containment,
    /// From the first bad message to the closed session, with nobody at the wheel, against fail2ban.
    Loop,
    /// The peer of the loop alone; needs a network namespace of its own.
    #[value(hide = true)]
    LoopPeer,
    /// Sigma rules, against sigma-rust.
    Rules,
    /// Enrolments over EST, against the signatures alone.
    Enrolment,
    /// Import of an inventory.
    Import,
    /// Many log-ins at once, against the hashes alone.
    LogIns,
    /// What a console reads of a large fleet.
    Reads,
    /// The event stream to many open consoles.
    Streams,
    /// The Numenta Anomaly Benchmark, against EWMA-z and a windowed Gaussian; needs --nab.
    Nab,
    /// What the rules of SigmaHQ must match; needs --sigma.
    SigmaHq,
    /// An audit of a large fleet.
    Audit,
    /// The ledger: durable appends, proofs, verification.
    Ledger,
    /// The vault: durable messages, sealed files, a device's day, against SQLite, SQLCipher and PostgreSQL.
    Vault,
    /// What it costs the gateway that messages are kept.
    Kept,
    /// Sealed against plain Parquet.
    Parquet,
    /// One device read out of ever more messages and devices.
    Growth,
    /// The console's first load in Chromium; needs node, with playwright-core in NODE_PATH.
    Console,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    raise_file_limit()?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let all = What::value_variants().iter().copied();
    let all = all.filter(|what| *what != What::LoopPeer).collect();
    let what = if options.what.is_empty() {
        all
    } else {
        options.what.clone()
    };
    if what != [What::LoopPeer] {
        println!(
            "Machine: {}; medians of {} runs.\n",
            machine(),
            options.runs
        );
    }
    for one in what {
        match one {
            What::Messages => messages(&options).await?,
            What::Handshakes => handshakes(&options).await?,
            What::Idle => idle(&options).await?,
            What::Decision => decision(&options).await?,
            What::Engines => in_engines(&options).await?,
            What::Containment => contain(&options).await?,
            What::Loop => close_the_loop(&options).await?,
            What::LoopPeer => loop_peer(&options).await?,
            What::Rules => evaluate_rules(&options)?,
            What::Enrolment => enrol(&options).await?,
            What::Import => import(&options).await?,
            What::LogIns => people::print_log_ins(&options).await?,
            What::Reads => people::print_reads(&options).await?,
            What::Streams => people::print_streams(&options).await?,
            What::Nab => nab::measure(options.nab.as_deref())?,
            What::SigmaHq => sigmahq::measure(options.sigma.as_deref())?,
            What::Ledger => ledger::measure(&options).await?,
            What::Vault => vault::measure(&options).await?,
            What::Kept => vault::kept(&options).await?,
            What::Parquet => vault::sealed_and_plain(&options)?,
            What::Growth => vault::growth(&options).await?,
            What::Console => tokio::task::block_in_place(|| console::measure(&options))?,
            What::Audit => tokio::task::block_in_place(|| audit::measure(&options))?,
        }
    }
    Ok(())
}

fn raise_file_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}

/// Both brokers, each in a directory of its own.
struct Pair {
    palisade: Palisade,
    mosquitto: Mosquitto,
    _directories: [tempfile::TempDir; 2],
}

impl Pair {
    fn start(options: &Options) -> Result<Self> {
        let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
        Ok(Self {
            palisade: Palisade::start(&options.palisade, directories[0].path())?,
            mosquitto: Mosquitto::start(directories[1].path())?,
            _directories: directories,
        })
    }

    fn each(&self) -> [&dyn Broker; 2] {
        [&self.palisade, &self.mosquitto]
    }
}

async fn messages(options: &Options) -> Result<()> {
    println!("## Messages of 256 bytes, TLS 1.3, client certificates, access control\n");
    let mut rows = Vec::new();
    for (name, publishers, subscribers) in [("20 to 1", 20, 1), ("1 to 20", 1, 20)] {
        for qos in [0, 1] {
            let messages = options.messages / subscribers as u64;
            let load = Load {
                publishers,
                subscribers,
                qos,
                size: 256,
                messages,
                burst: options.burst.max(1),
            };
            let mut found = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
            for _ in 0..options.runs {
                let pair = Pair::start(options)?;
                for (broker, (rates, costs)) in pair.each().into_iter().zip(&mut found) {
                    let outcome = load.run(broker).await?;
                    rates.push(outcome.per_second);
                    costs.push(outcome.cpu_us);
                }
            }
            let [(own_rates, own_costs), (their_rates, their_costs)] = &found;
            let (own, their) = (median(own_rates), median(their_rates));
            let (own_cost, their_cost) = (median(own_costs), median(their_costs));
            rows.push(vec![
                format!("{name}, QoS {qos}"),
                format!("{own:.0}"),
                format!("{their:.0}"),
                format!("{:.2}", own / their),
                format!("{own_cost:.2}"),
                format!("{their_cost:.2}"),
                format!("{:.2}", own_cost / their_cost),
            ]);
        }
    }
    let header = [
        "load",
        "palisade msg/s",
        "mosquitto msg/s",
        "ratio",
        "palisade CPU us/msg",
        "mosquitto CPU us/msg",
        "ratio",
    ];
    println!("{}", table(&header, &rows));
    Ok(())
}

async fn handshakes(options: &Options) -> Result<()> {
    println!("## Full handshakes to CONNACK (X25519MLKEM768 here, X25519 there)\n");
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..options.runs {
        let pair = Pair::start(options)?;
        for (broker, costs) in pair.each().into_iter().zip(&mut found) {
            costs.push(sessions::handshake_cpu_us(broker, 2_000, 32).await?);
        }
    }
    print_pair(&found, "CPU us a connection", 0);
    Ok(())
}

async fn idle(options: &Options) -> Result<()> {
    println!(
        "## Resident memory of an idle TLS session, {} sessions\n",
        options.sessions
    );
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..options.runs {
        let pair = Pair::start(options)?;
        for (broker, costs) in pair.each().into_iter().zip(&mut found) {
            costs.push(sessions::idle_session_kib(broker, options.sessions).await?);
        }
    }
    print_pair(&found, "KiB a session", 1);
    Ok(())
}

fn print_pair(found: &[Vec<f64>; 2], unit: &str, digits: usize) {
    let (own, their) = (median(&found[0]), median(&found[1]));
    let row = vec![
        format!("{own:.digits$}"),
        format!("{their:.digits$}"),
        format!("{:.2}", own / their),
    ];
    let header = [
        format!("palisade, {unit}"),
        format!("mosquitto, {unit}"),
        "ratio".to_owned(),
    ];
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    println!("{}", table(&header, &[row]));
}

async fn decision(options: &Options) -> Result<()> {
    println!(
        "## Decisions, shipped policies, {} devices registered\n",
        options.devices
    );
    let bench = decision::Bench::new(options.devices).await?;
    let mut found = Vec::new();
    for _ in 0..options.runs {
        found.push(bench.run().await?);
    }
    let of =
        |price: fn(&decision::Prices) -> f64| median(&found.iter().map(price).collect::<Vec<_>>());
    let row = vec![
        format!("{:.0}", of(|prices| prices.cached_ns)),
        format!("{:.1}", of(|prices| prices.first_ns) / 1e3),
        format!("{:.1}", of(|prices| prices.other_topic_ns) / 1e3),
        format!("{:.1}", of(|prices| prices.reading_ns) / 1e3),
    ];
    let header = [
        "cached, ns",
        "first of a device, us",
        "another topic, us",
        "a policy reads each message, us",
    ];
    println!("{}", table(&header, &[row]));
    Ok(())
}

async fn in_engines(options: &Options) -> Result<()> {
    println!("## {} registered devices in each engine\n", options.devices);
    let mut found = [Vec::new(), Vec::new()];
    for _ in 0..options.runs {
        found[0].push(engines::sqlite(options.devices).await?);
        found[1].push(engines::postgres(options.devices).await?);
    }
    let rows = ["SQLite", "PostgreSQL"].iter().zip(&found);
    let rows: Vec<_> = rows
        .map(|(engine, runs)| {
            let of = |cost: &dyn Fn(&engines::Costs) -> f64| {
                median(&runs.iter().map(cost).collect::<Vec<_>>())
            };
            let share = |share: f64| of(&|costs| percentile(&costs.admission_us, share));
            vec![
                (*engine).to_owned(),
                format!("{:.1}", of(&|costs| costs.register_s)),
                format!("{:.3}", of(&|costs| costs.open_s)),
                format!("{:.0}", share(0.5)),
                format!("{:.0}", share(0.99)),
                format!("{:.0}", of(&|costs| costs.resident)),
            ]
        })
        .collect();
    let header = [
        "",
        "register all, s",
        "open, s",
        "admission p50, us",
        "admission p99, us",
        "memory of one let in, bytes",
    ];
    println!("{}", table(&header, &rows));
    Ok(())
}

async fn contain(options: &Options) -> Result<()> {
    println!(
        "## Quarantine ordered over REST until the session is closed, {} live\n",
        options.live
    );
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    let times = containment::containment_ms(&palisade, options.live, 200).await?;
    let row = vec![
        format!("{:.1}", percentile(&times, 0.5)),
        format!("{:.1}", percentile(&times, 0.99)),
        times.len().to_string(),
    ];
    println!("{}", table(&["p50 ms", "p99 ms", "samples"], &[row]));
    Ok(())
}

fn evaluate_rules(options: &Options) -> Result<()> {
    println!("## Sigma rules: events a second of one core\n");
    let mut rows = Vec::new();
    let shipped = palisade_detect::rules::shipped().len();
    for more in [200, 3_000_usize.saturating_sub(shipped)] {
        let (mut own, mut their) = (Vec::new(), Vec::new());
        let (mut rules, mut unread) = (0, 0);
        for _ in 0..options.runs {
            let rates = rules::run(more)?;
            own.push(rates.palisade);
            their.push(rates.sigma_rust);
            (rules, unread) = (rates.rules, rates.unread);
        }
        let (own, their) = (median(&own), median(&their));
        rows.push(vec![
            rules.to_string(),
            format!("{own:.0}"),
            format!("{their:.0}"),
            format!("{:.1}", own / their),
            unread.to_string(),
        ]);
    }
    let header = [
        "rules",
        "palisade events/CPU-s",
        "sigma-rust events/CPU-s",
        "ratio",
        "detections it cannot read",
    ];
    println!("{}", table(&header, &rows));
    Ok(())
}

/// How many attack at once.
const LANES: usize = 8;

async fn close_the_loop(options: &Options) -> Result<()> {
    println!(
        "## First bad message until it is answered no more and let in no more: {} attacks among {} healthy devices\n",
        options.attackers, options.live
    );
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    let attack = attack::Attack {
        healthy: options.live,
        attackers: options.attackers,
        lanes: LANES,
    };
    let own = loop_row("palisade", &attack.run(&palisade).await?);
    drop(palisade);
    let (live, attackers) = (options.live.to_string(), options.attackers.to_string());
    let arguments = ["--live", &live, "--attackers", &attackers, "loop-peer"];
    let arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
    let peer = tokio::task::block_in_place(|| fail2ban::in_own_network(&arguments))?;
    let peer = peer.lines().find_map(|line| line.strip_prefix("row: "));
    let peer = peer.context("the peer printed no row")?;
    let peer = peer.split('|').map(str::to_owned).collect();
    let header = [
        "who",
        "p50 ms",
        "p99 ms",
        "contained",
        "missed",
        "healthy touched",
    ];
    println!("{}", table(&header, &[own, peer]));
    Ok(())
}

async fn loop_peer(options: &Options) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("denials.log");
    std::fs::File::create(&log)?;
    let mosquitto = Mosquitto::start_with_log(directory.path(), &log)?;
    let _fail2ban = fail2ban::Fail2ban::start(directory.path(), &log)?;
    let attack = attack::Attack {
        healthy: options.live,
        attackers: options.attackers,
        lanes: LANES,
    };
    let contained = attack.run(&mosquitto).await?;
    println!(
        "row: {}",
        loop_row("mosquitto, fail2ban, nft", &contained).join("|")
    );
    Ok(())
}

fn loop_row(who: &str, contained: &attack::Contained) -> Vec<String> {
    let times = &contained.times_ms;
    vec![
        who.to_owned(),
        format!("{:.1}", percentile(times, 0.5)),
        format!("{:.1}", percentile(times, 0.99)),
        times.len().to_string(),
        contained.missed.to_string(),
        contained.touched.to_string(),
    ]
}

async fn enrol(options: &Options) -> Result<()> {
    println!("## Enrolment over EST (TLS, token, request, certificate, ledger)\n");
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    let (mut costs, mut floors) = (Vec::new(), Vec::new());
    for run in 0..options.runs {
        let found = tokio::task::block_in_place(|| registry::enrolments(&palisade, run, 500))?;
        costs.push(found.cpu_us);
        floors.push(found.signatures_us);
    }
    let (cost, floor) = (median(&costs), median(&floors));
    let row = vec![
        format!("{cost:.0}"),
        format!("{:.0}", 1e6 / cost),
        format!("{floor:.0}"),
        format!("{:.1}", cost / floor),
    ];
    let header = ["CPU us", "per CPU second", "signatures alone, us", "ratio"];
    println!("{}", table(&header, &[row]));
    Ok(())
}

async fn import(options: &Options) -> Result<()> {
    println!(
        "## Import of an inventory of {} devices (CSV over REST)\n",
        options.devices
    );
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    let (mut seconds, mut memory) = (Vec::new(), Vec::new());
    for run in 0..options.runs.min(3) {
        let found =
            tokio::task::block_in_place(|| registry::import(&palisade, run, options.devices))?;
        seconds.push(found.seconds);
        memory.push(found.memory_mib);
    }
    let database =
        std::fs::metadata(palisade.data().join("palisade.db")).map_or(0, |file| file.len());
    let row = vec![
        format!("{:.1}", median(&seconds)),
        format!("{:.0}", median(&memory)),
        format!("{}", database >> 20),
    ];
    println!(
        "{}",
        table(
            &["seconds", "memory, MiB", "database after all runs, MiB"],
            &[row]
        )
    );
    Ok(())
}
