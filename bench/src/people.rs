//! The door of people: how many can log in at once, how long a console waits for what it reads of a large fleet,
//! and how soon all open consoles see what happened.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use rustls::ClientConfig;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    LANES, Options,
    broker::Broker,
    https::Https,
    palisade::Palisade,
    registry,
    report::{median, percentile, table},
};

const PASSWORD: &str = "tanzbar loewe kiste fenster";

/// What many log-ins at once cost.
#[derive(Debug, Clone, Copy)]
pub struct LogIns {
    /// Log-ins a second.
    pub per_second: f64,
    /// Hashes of a password a second on as many cores, with nothing around them.
    pub hashes_per_second: f64,
    /// The most resident memory seen, beyond that before, in MiB.
    pub memory_mib: f64,
    /// Who was told to come back later.
    pub later: usize,
}

/// Makes `count` accounts and logs them all in at once, each from an address of its own. Who is told that the
/// server is busy asks again.
pub async fn log_ins(palisade: &Palisade, run: usize, count: usize) -> Result<LogIns> {
    let name = |index: usize| format!("person-{run}-{index}");
    for index in 0..count {
        let wanted = json!({"name": name(index), "password": PASSWORD, "roles": ["auditor"]});
        palisade.rest().post("/api/v1/accounts", &wanted)?;
    }
    let tls = palisade.browser()?;
    let before = palisade.server().resident_kib()?;
    palisade.server().reset_peak()?;
    let started = Instant::now();
    let mut people = JoinSet::new();
    for index in 0..count {
        let (tls, address) = (tls.clone(), palisade.people_address());
        let body = json!({"account": name(index), "password": PASSWORD}).to_string();
        people.spawn(async move {
            // Each from an address of its own, as people are.
            let source =
                SocketAddr::from(([127, 1, (index / 250) as u8, (index % 250 + 1) as u8], 0));
            let source = Some(source);
            let mut later = 0_usize;
            loop {
                let mut one = Https::connect(address, source, &tls, "").await?;
                let answer = one.call("POST", "/api/v1/session", &body).await?;
                match answer.status {
                    200 => return anyhow::Ok(later),
                    503 => later += 1,
                    status => anyhow::bail!(
                        "a log-in was answered {status}: {}",
                        String::from_utf8_lossy(&answer.body)
                    ),
                }
            }
        });
    }
    let mut later = 0;
    while let Some(one) = people.join_next().await {
        later += one??;
    }
    let seconds = started.elapsed().as_secs_f64();
    let peak = palisade.server().peak_kib()?;
    Ok(LogIns {
        per_second: count as f64 / seconds,
        hashes_per_second: hashes_per_second(count)?,
        memory_mib: peak.saturating_sub(before) as f64 / 1024.0,
        later,
    })
}

/// The hash of a password with the server's parameters, on all cores.
fn hashes_per_second(count: usize) -> Result<f64> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let params = Params::new(32 * 1024, 2, 1, None).map_err(anyhow::Error::msg)?;
    let each = count.div_ceil(cores);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let params = &params;
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(move || {
                    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
                    let mut out = [0; 32];
                    (0..each).try_for_each(|_| {
                        hasher.hash_password_into(PASSWORD.as_bytes(), &[7; 16], &mut out)
                    })
                })
            })
            .collect();
        for worker in workers {
            let done = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker died"))?;
            done.map_err(anyhow::Error::msg)?;
        }
        anyhow::Ok(())
    })?;
    Ok((each * cores) as f64 / started.elapsed().as_secs_f64())
}

/// What is asked for, by the number of a device.
type PathOf = fn(usize) -> String;

/// How long one kind of reading took, in milliseconds.
pub struct Reading {
    /// What was read.
    pub what: &'static str,
    /// Each time.
    pub times_ms: Vec<f64>,
}

/// Registers `devices` devices and reads of them as a console does, over `lanes` connections at once.
pub async fn readings(
    palisade: &Palisade,
    devices: usize,
    lanes: usize,
    each: usize,
) -> Result<Vec<Reading>> {
    tokio::task::block_in_place(|| registry::import(palisade, 0, devices))?;
    let kinds: [(&str, PathOf); 6] = [
        ("first page of 50", |_| "?limit=50".to_owned()),
        ("a page in the middle", |at| {
            // A cursor is the last key that was seen, in hexadecimal digits.
            let key = format!("import-0-{at}");
            let cursor: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("?limit=50&after={cursor}")
        }),
        ("a page of one site", |at| {
            format!("?limit=50&label=site%3Dplant-{}", at % 100)
        }),
        ("search by the beginning of an id", |at| {
            format!("?limit=50&search=import-0-{at}")
        }),
        ("search for what is nowhere", |at| {
            format!("?limit=50&search=nowhere-{at}")
        }),
        ("one device", |at| format!("/import-0-{at}")),
    ];
    let mut found = Vec::new();
    for (what, path) in kinds {
        let mut workers = JoinSet::new();
        for lane in 0..lanes {
            let (tls, address) = (palisade.browser()?, palisade.people_address());
            let headers = palisade.rest().authorization();
            workers.spawn(async move {
                let mut one = Https::connect(address, None, &tls, &headers).await?;
                let mut times = Vec::new();
                for index in 0..each {
                    // A walk that touches the whole fleet, in no order that a cache could love.
                    let at = (lane * each + index) * 7_919 % devices;
                    let path = format!("/api/v1/devices{}", path(at));
                    let started = Instant::now();
                    let answer = one.call("GET", &path, "").await?;
                    times.push(started.elapsed().as_secs_f64() * 1e3);
                    ensure!(answer.status == 200, "{path}: {}", answer.status);
                }
                anyhow::Ok(times)
            });
        }
        let mut times_ms = Vec::new();
        while let Some(worker) = workers.join_next().await {
            times_ms.extend(worker??);
        }
        found.push(Reading { what, times_ms });
    }
    Ok(found)
}

/// What the event stream costs with many consoles open.
pub struct Streams {
    /// From before the act is ordered until the last console has its event, in milliseconds.
    pub last_ms: Vec<f64>,
    /// Resident memory of one open console, in KiB.
    pub kib: f64,
}

/// Opens `consoles` streams and lets `acts` things happen.
pub async fn streams(palisade: &Palisade, consoles: usize, acts: usize) -> Result<Streams> {
    let before = palisade.server().resident_kib()?;
    let tls = palisade.browser()?;
    let mut open = Vec::new();
    for _ in 0..consoles {
        let headers = palisade.rest().authorization();
        let mut one = Https::connect(palisade.people_address(), None, &tls, &headers).await?;
        one.follow("/api/v1/events").await?;
        open.push(one);
    }
    let kib = palisade.server().resident_kib()?.saturating_sub(before) as f64 / consoles as f64;
    let mut last_ms = Vec::new();
    for act in 0..acts {
        let wanted = format!("stream-{act}-product");
        let mut readers = JoinSet::new();
        for mut one in open.drain(..) {
            let wanted = wanted.clone();
            readers.spawn(async move {
                one.until(&wanted).await?;
                anyhow::Ok((one, Instant::now()))
            });
        }
        let rest = palisade.rest().clone();
        let started = Instant::now();
        let path = format!("/api/v1/products/{wanted}");
        tokio::task::spawn_blocking(move || rest.put(&path, &json!({"description": "bench"})))
            .await??;
        let mut last = started;
        while let Some(reader) = readers.join_next().await {
            let (one, at) = reader??;
            last = last.max(at);
            open.push(one);
        }
        last_ms.push(last.duration_since(started).as_secs_f64() * 1e3);
    }
    Ok(Streams { last_ms, kib })
}

/// A row of times.
pub fn times_row(what: &str, times: &[f64]) -> Vec<String> {
    vec![
        what.to_owned(),
        format!("{:.1}", percentile(times, 0.5)),
        format!("{:.1}", percentile(times, 0.99)),
        times.len().to_string(),
    ]
}

/// What a browser without a certificate trusts.
pub fn browser(root: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for root in rustls_pemfile::certs(&mut root.as_bytes()) {
        roots.add(root.context("no PEM")?)?;
    }
    Ok(Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    ))
}

/// Measures and prints [`log_ins`].
pub async fn print_log_ins(options: &Options) -> Result<()> {
    const PEOPLE: usize = 200;
    println!("## {PEOPLE} log-ins at once, password and argon2id\n");
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    let mut found = Vec::new();
    for run in 0..options.runs {
        found.push(log_ins(&palisade, run, PEOPLE).await?);
    }
    let of = |what: fn(&LogIns) -> f64| median(&found.iter().map(what).collect::<Vec<_>>());
    let (own, hashes) = (of(|one| one.per_second), of(|one| one.hashes_per_second));
    let row = vec![
        format!("{own:.1}"),
        format!("{hashes:.1}"),
        format!("{:.2}", own / hashes),
        format!("{:.0}", of(|one| one.memory_mib)),
        format!("{:.0}", of(|one| one.later as f64)),
    ];
    let header = [
        "log-ins/s",
        "hashes alone/s",
        "ratio",
        "memory, MiB",
        "told to come later",
    ];
    println!("{}", table(&header, &[row]));
    Ok(())
}

/// Measures and prints [`readings`].
pub async fn print_reads(options: &Options) -> Result<()> {
    for lanes in [1, LANES] {
        println!(
            "## REST reads, {} devices registered, {lanes} at once\n",
            options.devices
        );
        let directory = tempfile::tempdir()?;
        let palisade = Palisade::start(&options.palisade, directory.path())?;
        let found = readings(&palisade, options.devices, lanes, 500).await?;
        let rows = found.iter().map(|one| times_row(one.what, &one.times_ms));
        let rows: Vec<_> = rows.collect();
        println!("{}", table(&["what", "p50 ms", "p99 ms", "samples"], &rows));
    }
    Ok(())
}

/// Measures and prints [`streams`].
pub async fn print_streams(options: &Options) -> Result<()> {
    const CONSOLES: usize = 200;
    println!("## An act until all of {CONSOLES} open consoles have its event\n");
    let directory = tempfile::tempdir()?;
    let palisade = Palisade::start(&options.palisade, directory.path())?;
    let found = streams(&palisade, CONSOLES, 100).await?;
    let mut row = times_row("the last console", &found.last_ms);
    row.push(format!("{:.1}", found.kib));
    let header = ["what", "p50 ms", "p99 ms", "samples", "KiB a console"];
    println!("{}", table(&header, &[row]));
    Ok(())
}
