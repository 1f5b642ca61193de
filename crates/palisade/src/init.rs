//! `palisade init`.

use clap::Args;
use serde_json::json;

use crate::{
    config::DEFAULTS,
    data::{DataArgs, DataDir, MoreConfigArgs, write_whole},
    failure::{Context, Failure},
    output::Output,
    serve,
};

/// `palisade init`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade init --data /var/lib/palisade
  palisade init --data ./data --set identity.trust_domain=fleet.example

It makes the directory, a configuration file with every key explained, the keys and the CA. What is there
already stays as it is.")]
pub(crate) struct InitCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    more: MoreConfigArgs,
}

impl InitCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let data = DataDir::create(&self.data.data)?;
        let file = data.config_file();
        if self.more.config.is_none() && !file.try_exists().context(file.display())? {
            let text = match self.more.set.is_empty() {
                true => DEFAULTS.to_owned(),
                // What was said now is to hold at every start.
                false => crate::config::render(&self.more.load(Some(data.path()))?)?,
            };
            write_whole(&file, text.as_bytes(), 0o600).context(file.display())?;
        }
        let config = self.more.load(Some(data.path()))?;
        serve::runtime()?.block_on(serve::prepare(&config, &data))?;
        let shown = data.path().display();
        let answer = json!({
            "data": data.path(),
            "config": file,
            "root_certificate": data.root_certificate(),
            "trust_domain": config.identity.trust_domain,
        });
        let next = format!(
            "{shown} is ready: configuration, keys and CA of {domain}.

Next:
  1. Read {file}; set identity.server_names to the names under which devices reach this server.
  2. Start the server: palisade serve --data {shown}
     Its first start prints a set-up token.
  3. Log in: palisade login --server https://localhost:{port} --ca {root}

Back up {shown}, and the key that seals its keys apart from it.",
            domain = config.identity.trust_domain,
            file = file.display(),
            port = config
                .people
                .listen
                .first()
                .map_or(8443, std::net::SocketAddr::port),
            root = data.root_certificate().display(),
        );
        output.done(&answer, &next)
    }
}
