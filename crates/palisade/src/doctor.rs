//! `palisade doctor`: looks at everything that an installation stands on, changes nothing, and says how to
//! mend what it finds.

mod authority;
mod database;
mod doors;
mod files;
mod folders;
mod whose;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::{
    config::Config,
    data::{DataArgs, DataDir, MoreConfigArgs},
    failure::{Exit, Failure},
    output::Output,
    serve,
};

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, but not for long or not well.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    level: Level,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            detail: detail.into(),
            mend: None,
        }
    }

    pub(crate) fn warn(
        check: &'static str,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            check,
            level: Level::Warn,
            detail: detail.into(),
            mend: Some(mend.into()),
        }
    }

    pub(crate) fn fail(
        check: &'static str,
        detail: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Fail,
            ..Self::warn(check, detail, mend)
        }
    }
}

/// `palisade doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade doctor --data /var/lib/palisade
  palisade doctor --data /var/lib/palisade --json

It changes nothing. The exit code is 0 where nothing fails.")]
pub(crate) struct DoctorCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    more: MoreConfigArgs,
}

impl DoctorCommand {
    pub(crate) fn run(self, output: &Output) -> Result<ExitCode, Failure> {
        let data = DataDir::at(&self.data.data);
        let findings = match self.more.load(Some(data.path())) {
            Ok(config) => {
                let mut findings = vec![Finding::ok("configuration", "it is valid")];
                findings.extend(serve::runtime()?.block_on(examine(&config, &data)));
                findings
            }
            Err(failure) => vec![Finding::fail(
                "configuration",
                failure.message(),
                "correct it; `palisade config show --defaults` explains every key",
            )],
        };
        print(&findings, output)?;
        let failed = findings.iter().any(|finding| finding.level == Level::Fail);
        Ok(match failed {
            true => ExitCode::from(Exit::Failure as u8),
            false => ExitCode::SUCCESS,
        })
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
    findings.extend(database::examine(data, running).await);
    let doors = tokio::task::block_in_place(|| doors::examine(config, data, running));
    findings.extend(doors);
    findings
}

fn print(findings: &[Finding], output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let worst = findings.iter().map(|finding| finding.level).max();
        return output.json(&json!({ "worst": worst, "findings": findings }));
    }
    for finding in findings {
        let (word, code) = match finding.level {
            Level::Ok => ("ok  ", "32"),
            Level::Warn => ("warn", "33"),
            Level::Fail => ("FAIL", "31"),
        };
        let word = match output.colour() {
            true => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
            false => word.to_owned(),
        };
        output.text(&format!("{word}  {}: {}", finding.check, finding.detail))?;
        if let Some(mend) = &finding.mend {
            output.text(&format!("      -> {mend}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
