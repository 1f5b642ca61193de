//! `palisade doctor`: looks at everything that an installation stands on, changes nothing, and says how to
//! mend what it finds. At a data directory it looks for itself; without one it asks the server that one is logged in
//! to. What both look at is judged in one place (`palisade_api::doctor`).

mod authority;
mod database;
mod doors;
mod files;
mod folders;
mod objects;
mod root;
mod whose;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use palisade_api::doctor::{Finding, Level, dangers};
use serde_json::{Value, json};

use crate::{
    client::{ConnectionArgs, Session, path},
    config::Config,
    data::{DataDir, MoreConfigArgs},
    failure::{Exit, Failure},
    output::{Output, sanitise},
    serve,
};

/// `palisade doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade doctor --data /var/lib/palisade
  palisade doctor --data /var/lib/palisade --json
  palisade doctor

With a data directory it looks at that, on the machine of the server, running or not. Without one it asks the server that
you are logged in to, which looks at itself. It changes nothing; where sealed files are it writes a file, reads it back and
takes it away. The exit code is 0 where nothing fails.")]
pub(crate) struct DoctorCommand {
    /// The data directory; without it the server is asked
    #[arg(long, value_name = "DIR", env = "PALISADE_DATA")]
    data: Option<PathBuf>,
    #[command(flatten)]
    more: MoreConfigArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl DoctorCommand {
    pub(crate) fn run(self, output: &Output) -> Result<ExitCode, Failure> {
        let findings = match &self.data {
            Some(data) => self.look(&DataDir::at(data))?,
            None => self.ask(output)?,
        };
        print(&findings, output)?;
        let failed = findings.iter().any(|one| one["level"] == "fail");
        Ok(match failed {
            true => ExitCode::from(Exit::Failure as u8),
            false => ExitCode::SUCCESS,
        })
    }

    fn look(&self, data: &DataDir) -> Result<Vec<Value>, Failure> {
        let findings = match self.more.load(Some(data.path())) {
            Ok(config) => {
                let mut findings = vec![Finding::ok("configuration", "it is valid")];
                findings.extend(serve::runtime()?.block_on(examine(&config, data)));
                findings
            }
            Err(failure) => vec![Finding::fail(
                "configuration",
                failure.message(),
                "correct it; `palisade config show --defaults` explains every key",
            )],
        };
        let values = findings.iter().map(serde_json::to_value);
        Ok(values.collect::<Result<_, _>>()?)
    }

    fn ask(&self, output: &Output) -> Result<Vec<Value>, Failure> {
        let session = Session::open(&self.connection, *output)?;
        let answer = session.get(path(&["doctor"])).send()?;
        let findings = answer["findings"].as_array();
        Ok(findings.cloned().unwrap_or_default())
    }
}

async fn examine(config: &Config, data: &DataDir) -> Vec<Finding> {
    let mut findings = files::examine(data);
    if findings.iter().any(|finding| finding.level == Level::Fail) {
        return findings;
    }
    findings.push(files::key(&config.keys, data));
    findings.extend(folders::examine(config, data));
    let running = match palisade_store::Store::is_in_use(data.path()) {
        Ok(running) => running,
        Err(error) => {
            let mend = "run the doctor as the user that the server runs as";
            findings.push(Finding::fail("data directory", error.to_string(), mend));
            return findings;
        }
    };
    findings.push(objects::examine(config, data).await);
    findings.extend(tokio::task::block_in_place(|| root::examine(config, data)));
    findings.extend(database::examine(config, data, running).await);
    let doors = tokio::task::block_in_place(|| doors::examine(config, data, running));
    findings.extend(doors);
    let insecure = config.gateway.insecure_loopback;
    findings.extend(dangers(insecure, &config.operators.listen));
    findings
}

fn print(findings: &[Value], output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let worst = ["fail", "warn", "ok"]
            .into_iter()
            .find(|level| findings.iter().any(|one| one["level"] == *level));
        return output.json(&json!({ "worst": worst, "findings": findings }));
    }
    for finding in findings {
        let (word, code) = match finding["level"].as_str() {
            Some("ok") => ("ok  ", "32"),
            Some("warn") => ("warn", "33"),
            _ => ("FAIL", "31"),
        };
        let word = match output.colour() {
            true => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
            false => word.to_owned(),
        };
        let text = |name: &str| sanitise(finding[name].as_str().unwrap_or_default());
        output.text(&format!("{word}  {}: {}", text("check"), text("detail")))?;
        if finding["mend"].is_string() {
            output.text(&format!("      -> {}", text("mend")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
