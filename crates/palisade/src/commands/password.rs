//! `palisade password`: judged here, by the configuration of this machine, with no server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use palisade_people::Context as For;

use crate::{
    client::password,
    data::ConfigArgs,
    failure::{Context, Exit, Failure},
    output::Output,
};

/// Passwords: whether one may be used.
#[derive(Debug, Subcommand)]
pub(crate) enum PasswordCommand {
    /// Judge a password, of a person or a device; it is read from standard input
    #[command(after_help = "Examples:
  palisade password check
  palisade password check --json --own cam-0001 --own camera < device-password

Exit codes: 0 it may be used, 6 it may not; what to do stands beside each rule that it breaks.")]
    Check(CheckArgs),
}

/// For whom a password is.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A word of whom it is for, which it must not hold (a name, a device's id); may be repeated
    #[arg(long, value_name = "WORD")]
    own: Vec<String>,
    /// A second factor stands beside it
    #[arg(long)]
    second_factor: bool,
    #[command(flatten)]
    from: ConfigArgs,
}

impl PasswordCommand {
    pub(crate) fn run(self, output: &Output) -> Result<ExitCode, Failure> {
        let Self::Check(args) = self;
        let config = args.from.load()?;
        let data = args.from.data_path();
        let policy = palisade_people::policy(&config.accounts, &data).context("the policy")?;
        let candidate = password("Password")?;
        let context = For {
            own: args.own,
            second_factor: args.second_factor,
            previous: Vec::new(),
        };
        let verdict = policy.judge(&candidate, &context);
        match output.is_json() {
            true => output.json(&serde_json::to_value(&verdict)?)?,
            false if verdict.acceptable => output.text("The password may be used.")?,
            false => {
                let lines = verdict.failing.iter().map(|one| format!("- {}", one.mend));
                let lines: Vec<_> = lines.collect();
                output.text(&format!(
                    "The password may not be used:\n{}",
                    lines.join("\n")
                ))?;
            }
        }
        Ok(match verdict.acceptable {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(Exit::NotCompliant as u8),
        })
    }
}
