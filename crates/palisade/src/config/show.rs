//! `palisade config`.

use clap::Subcommand;

use super::{Config, DEFAULTS, template};
use crate::{data::ConfigArgs, failure::Failure, output::Output};

/// Shows or checks the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the configuration as it is in force, with every key explained
    #[command(after_help = "Examples:
  palisade config show --data /var/lib/palisade
  palisade config show --defaults > palisade.toml")]
    Show {
        #[command(flatten)]
        from: ConfigArgs,
        /// Print the defaults, whatever is configured
        #[arg(long)]
        defaults: bool,
    },
    /// Say whether the configuration is valid
    #[command(after_help = "Examples:
  palisade config check --data /var/lib/palisade
  palisade config check --config ./palisade.toml")]
    Check {
        #[command(flatten)]
        from: ConfigArgs,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Show { defaults: true, .. } if output.is_json() => {
                output.json(&serde_json::to_value(Config::default())?)
            }
            Self::Show { defaults: true, .. } => output.text(DEFAULTS.trim_end()),
            Self::Show { from, .. } => {
                let config = from.load()?;
                match output.is_json() {
                    true => output.json(&serde_json::to_value(&config)?),
                    false => output.text(template::render(&config)?.trim_end()),
                }
            }
            Self::Check { from } => {
                from.load()?;
                let file = from.file()?;
                let what = match &file {
                    Some(path) => format!("{} is valid", path.display()),
                    None => "there is no configuration file; the defaults are valid".to_owned(),
                };
                let answer = serde_json::json!({ "valid": true, "file": file });
                output.done(&answer, &what)
            }
        }
    }
}
