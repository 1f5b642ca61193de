//! A PostgreSQL server of a measurement's own, which the user `postgres` runs where we are root. It keeps what it acknowledges.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// A running server; it ends with this.
pub struct PostgreSql {
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl PostgreSql {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let server = Self {
            programs: programs()?,
            folder: tempfile::tempdir()?,
        };
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(server.socket()))?;
        }
        let data = server.data();
        run(server
            .as_server("initdb")
            .args(["-A", "trust", "-U", "bench", "-E", "UTF8", "-D"])
            .arg(&data))?;
        let options = format!("-c listen_addresses= -k {}", server.socket().display());
        let log = server.socket().join("log");
        run(server
            .pg_ctl("start")
            .arg("-l")
            .arg(&log)
            .args(["-o", &options]))?;
        Ok(server)
    }

    /// The folder with its socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// Where its files are.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The address of its database, as Palisade takes it.
    pub fn url(&self) -> String {
        format!(
            "postgres://bench@localhost/postgres?host={}",
            self.socket().display()
        )
    }

    /// One of its own programs.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    fn as_server(&self, program: &str) -> Command {
        if !rustix::process::geteuid().is_root() {
            return self.program(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(self.programs.join(program));
        command
    }

    fn pg_ctl(&self, what: &str) -> Command {
        let mut command = self.as_server("pg_ctl");
        command.args([what, "-w", "-D"]).arg(self.data());
        command
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        // One that did not start is not to be stopped.
        if self.data().join("postmaster.pid").exists()
            && let Err(error) = run(self.pg_ctl("stop").args(["-m", "fast"]))
        {
            eprintln!("PostgreSQL was not stopped: {error:#}");
        }
    }
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

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Result<()> {
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
