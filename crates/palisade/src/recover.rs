//! `palisade recover`.

use clap::Args;
use palisade_api::setup;
use palisade_core::SystemClock;
use serde_json::json;

use crate::{
    act,
    config::Config,
    data::{DataArgs, DataDir, MoreConfigArgs},
    database,
    failure::{Context, Failure},
    output::Output,
    serve,
};

/// `palisade recover`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade recover --data /var/lib/palisade
  palisade login --server https://localhost:8443 --ca /var/lib/palisade/root.pem

The server must be stopped before (`systemctl stop palisade`) and started before the login. What was there stays: tokens, devices, policies. That it was done is an entry
of the ledger.")]
pub(crate) struct RecoverCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    more: MoreConfigArgs,
}

impl RecoverCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let data = DataDir::at(&self.data.data);
        let root = data.root_certificate();
        if !root.try_exists().context(root.display())? {
            let why = format!(
                "{} is no data directory: it has no root certificate",
                data.path().display()
            );
            return Err(Failure::usage(why));
        }
        let config = self.more.load(Some(data.path()))?;
        let token = serve::runtime()?.block_on(recover(&config, &data))?;
        output.done(
            &json!({ "setup_token": token }),
            &format!(
                "{token}\n\nStart the server, and give this to `palisade login` within a day. It works once."
            ),
        )
    }
}

async fn recover(config: &Config, data: &DataDir) -> Result<String, Failure> {
    // The store's lock keeps a running server apart.
    let store = database::open(config, data).await?;
    act::record(&store, "setup.recover", "set-up token".to_owned(), None).await?;
    let token = setup::make_setup_token(&store, &SystemClock).await?;
    store.close().await;
    Ok(token)
}
