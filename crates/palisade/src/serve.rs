//! `palisade serve`: the server, made of its parts.
//!
//! The order of an end is the reverse of the beginning: the server says that it is not ready, the door for MQTT lets
//! nobody in and sends away whom it has, the other doors drain, what kept the capabilities fresh stops, the ledger writes what it holds, the database
//! closes. Each task has an owner here that awaits it.

mod drills;
mod house;
pub(crate) mod logs;
mod memory;
mod metrics;
mod notify;
pub(crate) mod signals;
mod tasks;
mod telemetry;

use std::time::Duration;

use clap::Args;
use palisade_api::{
    Phase,
    doctor::{Memory, dangers},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    data::{DataArgs, DataDir, MoreConfigArgs},
    failure::{Context, Failure},
};

pub(crate) use drills::host;
pub(crate) use house::{House, VAULT_ROOT, prepare};
pub(crate) use tasks::Tasks;
use telemetry::Telemetry;

/// How long parts may take to end, beyond what the gateway's own drain takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// `palisade serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade serve --data /var/lib/palisade
  palisade serve --data ./data --set log.format=json
  PALISADE_GATEWAY__LISTEN=127.0.0.1:8883 palisade serve --data ./data

The first start makes keys, CA and database, and prints a set-up token for `palisade login`.
SIGTERM or an interrupt ends it gracefully (operators.drain_notice_s, gateway.drain_spread_s); a second one
ends it at once.")]
pub(crate) struct ServeCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    more: MoreConfigArgs,
}

impl ServeCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = self.more.load(Some(&self.data.data))?;
        let telemetry = Telemetry::open(&config.telemetry)?;
        logs::install(&config.log, telemetry.as_ref())?;
        let data = DataDir::create(&self.data.data)?;
        raise_file_limit();
        // Before there is a key in it.
        let memory = memory::guard(&config.memory).map_err(Failure::new)?;
        let served = runtime()?.block_on(serve(&config, &data, memory));
        if let Some(telemetry) = telemetry {
            telemetry.close();
        }
        served
    }
}

/// The runtime of everything that is not a REST client.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime")
}

/// Every session is an open file; the soft limit of most systems is for interactive programs.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

async fn serve(config: &Config, data: &DataDir, memory: Memory) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    signals::watch(stop.clone())?;
    warn_of_dangers(config);
    let house = House::open(config, data, memory).await?;
    let mut keepers = house.keepers();
    let [mut mqtt, mut https] = house.doors();
    house.welcome(data).await?;
    house.api.set_phase(Phase::Serving);
    notify::send("READY=1");
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %data.path().display(), "palisade serves");
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = mqtt.first() => Err(ended),
        ended = https.first() => Err(ended),
        ended = keepers.first() => Err(ended),
    };
    match &ended {
        Ok(()) => tracing::info!("palisade stops"),
        Err(ended) => tracing::error!(
            part = ended.part,
            error = ended.why,
            "a part ended; palisade stops"
        ),
    }
    notify::send("STOPPING=1");
    house.api.set_phase(Phase::Draining);
    if ended.is_ok() {
        tokio::time::sleep(Duration::from_secs(config.operators.drain_notice_s)).await;
    }
    let gateway = &config.gateway;
    let drain = Duration::from_secs(gateway.drain_spread_s + gateway.drain_timeout_s) + PATIENCE;
    close(house, [mqtt, https, keepers], drain).await;
    ended.map_err(|ended| Failure::new(format!("the {} ended: {}", ended.part, ended.why)))
}

async fn close(house: House, parts: [Tasks; 3], drain: Duration) {
    for tasks in parts {
        for ended in tasks.stop(drain).await {
            tracing::error!(
                part = ended.part,
                error = ended.why,
                "a part did not end well"
            );
        }
    }
    house.close().await;
    tracing::info!("palisade has stopped");
}

fn warn_of_dangers(config: &Config) {
    for found in dangers(config.gateway.insecure_loopback, &config.operators.listen) {
        tracing::warn!(mend = found.mend, "{}", found.detail);
    }
}
