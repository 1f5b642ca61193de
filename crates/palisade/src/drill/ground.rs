//! Where a drill takes place: a product, a segment and grants of its own.

use std::net::IpAddr;

use palisade_agent::{DeviceIdentity, Endpoint, enroll_in_memory};
use palisade_core::{DeviceId, EventId};
use serde_json::{Value, json};

use super::{RunArgs, Scenario};
use crate::{
    client::{Call, Session, path},
    failure::{Context, Failure},
};

/// The name of the product and of the segment.
const DRILL: &str = "drill";
/// What a drill's devices may do: what any device may.
const GRANTS: [(&str, &str); 2] = [
    ("devices/{device}/telemetry/#", "publish"),
    ("devices/{device}/commands/#", "subscribe"),
];

/// A server that is ready for a drill.
pub(super) struct Ground<'a> {
    session: &'a Session,
    pub(super) devices_url: String,
    pub(super) mqtt: Endpoint,
    pub(super) second_address: IpAddr,
    pub(super) patience: std::time::Duration,
    root: String,
}

impl<'a> Ground<'a> {
    /// Makes product, segment and grants where they are not there yet.
    pub(super) fn prepare(session: &'a Session, args: &RunArgs) -> Result<Self, Failure> {
        let host = session.host()?;
        let devices_url = match &args.devices {
            Some(url) => url.clone(),
            None => format!("https://{host}:{}", Endpoint::DEVICES_PORT),
        };
        let mqtt = match &args.mqtt {
            Some(address) => address.parse()?,
            None => format!("{host}:8883").parse()?,
        };
        let ground = Self {
            session,
            devices_url,
            mqtt,
            second_address: args.second_address,
            patience: args.patience.duration(),
            root: session.root_pem().to_owned(),
        };
        let segment = json!({"description": "attackers of drills"});
        ground.ask(session.put(path(&["segments", DRILL])).json(&segment))?;
        let product = json!({"description": "attackers of drills", "default_segment": DRILL});
        ground.ask(session.put(path(&["products", DRILL])).json(&product))?;
        let standing = ground.ask(session.get(path(&["grants"])).query("limit", Some(1000)))?;
        for (pattern, action) in GRANTS {
            let is_there = standing["items"].as_array().is_some_and(|grants| {
                grants
                    .iter()
                    .any(|grant| grant["scope"]["id"] == DRILL && grant["pattern"] == pattern)
            });
            if !is_there {
                let scope = json!({"type": "product", "id": DRILL});
                let grant = json!({"scope": scope, "pattern": pattern, "actions": {action: true}});
                ground.ask(session.post(path(&["grants"])).json(&grant))?;
            }
        }
        Ok(ground)
    }

    /// Waits for an answer without holding up the attackers.
    pub(super) fn ask(&self, call: Call<'_>) -> Result<Value, Failure> {
        tokio::task::block_in_place(|| call.send())
    }

    /// Enrols an attacker.
    pub(super) async fn enrol(&self, scenario: Scenario) -> Result<DeviceIdentity, Failure> {
        let number = EventId::generate().to_string().to_lowercase();
        let id = DeviceId::parse(&format!("drill-{}-{}", scenario.name(), &number[18..]))?;
        let device = json!({
            "id": id, "product": DRILL, "segment": DRILL, "labels": {DRILL: scenario.name()},
        });
        self.ask(self.session.post(path(&["devices"])).json(&device))?;
        let token = json!({"device": id, "uses": 1, "ttl_s": 300, "note": "drill"});
        let token = self.ask(self.session.post(path(&["enrolment-tokens"])).json(&token))?;
        let secret = token["secret"].as_str().unwrap_or_default().to_owned();
        enroll_in_memory(&self.devices_url, &self.root, &id, &secret)
            .await
            .context(&id)
    }

    /// Tries to enrol with a token that is none; the error says how that ended.
    pub(super) async fn guess(&self, token: &str) -> Result<(), String> {
        let id = DeviceId::parse("drill-credential-stuffing").map_err(|error| error.to_string())?;
        match enroll_in_memory(&self.devices_url, &self.root, &id, token).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The newest findings.
    pub(super) fn findings(&self, subject: Option<&str>) -> Result<Vec<Value>, Failure> {
        let call = self.session.get(path(&["findings"]));
        let mut found = self.ask(call.query("subject", subject))?;
        Ok(match found["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
    }

    /// Takes an attacker out of service for good.
    pub(super) fn retire(&self, device: &DeviceId) -> Result<(), Failure> {
        let reason = json!({"reason": "the drill is over"});
        let retire = path(&["devices", device.as_str(), "retire"]);
        self.ask(self.session.post(retire).json(&reason)).map(drop)
    }
}
