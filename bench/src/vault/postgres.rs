//! The same rows in PostgreSQL: a server of its own, which the user `postgres` runs where we are root.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{BEGIN_S, Cost, STEP_NANOS};

/// Runs the statement once.
pub fn rows(messages: u64, devices: u64) -> Result<Cost> {
    let programs = programs()?;
    let folder = tempfile::tempdir()?;
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        run(Command::new("chown").arg("postgres").arg(folder.path()))?;
    }
    let as_server = |program: &str| match is_root {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(programs.join(program));
            command
        }
        false => Command::new(programs.join(program)),
    };
    run(as_server("initdb")
        .args(["-A", "trust", "-U", "bench", "-D"])
        .arg(&data))?;
    let options = format!("-c listen_addresses= -k {}", folder.path().display());
    let pg_ctl = |what: &str| {
        let mut command = as_server("pg_ctl");
        command.args([what, "-w", "-D"]).arg(&data);
        command
    };
    run(pg_ctl("start").arg("-l").arg(&log).args(["-o", &options]))?;
    let measured = statement(&programs, folder.path(), &data, (messages, devices));
    run(pg_ctl("stop").args(["-m", "fast"]))?;
    measured
}

fn statement(
    programs: &Path,
    socket: &Path,
    data: &Path,
    (messages, devices): (u64, u64),
) -> Result<Cost> {
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
    let server: u32 = std::fs::read_to_string(data.join("postmaster.pid"))?
        .lines()
        .next()
        .context("no postmaster")?
        .parse()?;
    let (before, started) = (cpu(server)?, Instant::now());
    let mut psql = Command::new(programs.join("psql"));
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
    psql.arg(socket);
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
        bytes: size(&data.join("base"))?,
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

/// Where Debian keeps the programs of its newest PostgreSQL.
fn programs() -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql")
        .context("PostgreSQL is needed (Debian: apt-get install postgresql)")?
    {
        found.push(entry?.path().join("bin"));
    }
    found.sort();
    found
        .pop()
        .context("PostgreSQL is needed (Debian: apt-get install postgresql)")
}

fn run(command: &mut Command) -> Result<()> {
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let told = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{command:?}: {told}");
    Ok(())
}
