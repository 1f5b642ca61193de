//! The server of the demo: the real one, on ports of its own.

use std::{net::SocketAddr, path::Path, time::Duration};

use palisade_api::{Phase, doctor::Memory};

use crate::{
    config::Config,
    data::DataDir,
    failure::{Context, Failure},
    serve::{House, Tasks},
};

/// How long the server may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server.
pub(super) struct Server {
    house: House,
    keepers: Tasks,
    doors: [Tasks; 2],
    data: DataDir,
    root_pem: String,
    setup_token: String,
}

impl Server {
    /// Starts a server whose authority, keys and databases are new.
    pub(super) async fn start(directory: &Path) -> Result<Self, Failure> {
        let data = DataDir::create(&directory.join("data"))?;
        let house = House::open(&config(), &data, Memory::default()).await?;
        let root_pem = std::fs::read_to_string(data.root_certificate())
            .context(data.root_certificate().display())?;
        let setup_token = house
            .setup_token()
            .await?
            .ok_or_else(|| Failure::new("a new server has no set-up token"))?;
        let keepers = house.keepers();
        let doors = house.doors();
        house.api.set_phase(Phase::Serving);
        Ok(Self {
            house,
            keepers,
            doors,
            data,
            root_pem,
            setup_token,
        })
    }

    pub(super) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    pub(super) fn setup_token(&self) -> &str {
        &self.setup_token
    }

    /// Where people and programs reach it.
    pub(super) fn people_url(&self) -> String {
        format!("https://localhost:{}", port(&self.house.api.people_addrs()))
    }

    /// Where devices enrol.
    pub(super) fn devices_url(&self) -> String {
        format!(
            "https://localhost:{}",
            port(&self.house.api.devices_addrs())
        )
    }

    /// Where devices speak MQTT.
    pub(super) fn mqtt(&self) -> String {
        format!("localhost:{}", port(&self.house.gateway.local_addrs()))
    }

    /// Tells people what is there to be used while it runs.
    pub(super) fn how_to_reach_it(
        &self,
        token: &str,
        (owner, password): (&str, &str),
    ) -> Result<String, Failure> {
        let program = std::env::current_exe().context("the path of this program")?;
        Ok(format!(
            "
It keeps running until Ctrl-C. Let your browser trust the root certificate below, open the console and sign in as
{owner} with the password {password} (you choose another, and a second factor, at once):

    {people}/

In another terminal:

    export PALISADE_SERVER={people}
    export PALISADE_CA={root}
    export PALISADE_TOKEN={token}
    {program} device list
    {program} events --follow

MQTT is on {mqtt}, enrolment (EST) on {devices}, metrics on http://127.0.0.1:{metrics}/metrics.",
            program = program.display(),
            people = self.people_url(),
            root = self.data.root_certificate().display(),
            mqtt = self.mqtt(),
            devices = self.devices_url(),
            metrics = port(&self.house.api.operators_addrs()),
        ))
    }

    /// Stops it.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.house.api.set_phase(Phase::Draining);
        for tasks in self.doors.into_iter().chain([self.keepers]) {
            if let Some(ended) = tasks.stop(PATIENCE).await.first() {
                return Err(Failure::new(format!(
                    "the {} did not end well: {}",
                    ended.part, ended.why
                )));
            }
        }
        self.house.close().await;
        Ok(())
    }
}

fn config() -> Config {
    let any_port = || vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let mut config = Config::default();
    config.gateway.listen = any_port();
    config.gateway.drain_timeout_s = 2;
    config.devices.listen = any_port();
    config.people.listen = any_port();
    config.operators.listen = any_port();
    config
}

fn port(addresses: &[SocketAddr]) -> u16 {
    addresses.first().map_or(0, SocketAddr::port)
}
