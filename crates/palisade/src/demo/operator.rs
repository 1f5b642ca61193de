//! The operator of the demo: everything it does goes through the public REST API, with a token.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use palisade_core::DeviceId;
use rand::Rng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    picture::{Counts, Picture, Suspect},
    server::Server,
};
use crate::{
    client::{Client, path},
    failure::Failure,
};

/// The product whose devices the demo makes.
pub(super) const PRODUCT: &str = "thermostat";

/// Speaks to the REST API.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    client: Arc<Client>,
    // The devices' door, where the CRL is for everybody.
    devices: Arc<Client>,
    token: String,
}

/// Draws rates until dropped.
#[derive(Debug)]
pub(super) struct Watch {
    stop: CancellationToken,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Operator {
    /// Uses the set-up token, and makes the product and its grants.
    pub(super) async fn set_up(server: &Server) -> Result<Self, Failure> {
        let (url, root) = (server.people_url(), server.root_pem());
        let stranger = Client::new(&url, root, None)?;
        let setup = json!({"token": server.setup_token(), "name": "demo"});
        let made = blocking(move || stranger.post(path(&["setup"])).json(&setup).send()).await?;
        let secret = made["secret"].as_str().unwrap_or_default().to_owned();
        let client = Arc::new(Client::new(&url, root, Some(secret.clone()))?);
        let devices = Arc::new(Client::new(&server.devices_url(), root, None)?);
        let operator = Self {
            client,
            devices,
            token: secret,
        };
        let product = json!({"description": "the demo's thermostat"});
        operator.put(&["products", PRODUCT], product).await?;
        for (pattern, actions) in [
            ("devices/{device}/telemetry/#", json!({"publish": true})),
            (
                "devices/{device}/commands/#",
                json!({"subscribe": true, "receive": true}),
            ),
        ] {
            let scope = json!({"type": "product", "id": PRODUCT});
            let grant = json!({"scope": scope, "pattern": pattern, "actions": actions});
            operator.post(&["grants"], grant).await?;
        }
        Ok(operator)
    }

    async fn get(&self, parts: &[&str]) -> Result<Value, Failure> {
        let (client, path) = (self.client.clone(), path(parts));
        blocking(move || client.get(path).send()).await
    }

    async fn post(&self, parts: &[&str], body: Value) -> Result<Value, Failure> {
        let (client, path) = (self.client.clone(), path(parts));
        blocking(move || client.post(path).json(&body).send()).await
    }

    async fn put(&self, parts: &[&str], body: Value) -> Result<Value, Failure> {
        let (client, path) = (self.client.clone(), path(parts));
        blocking(move || client.put(path).json(&body).send()).await
    }

    /// Makes an owner who may look around in the console, with a first password, which is returned.
    pub(super) async fn make_owner(&self, name: &str) -> Result<String, Failure> {
        let password = passphrase();
        let wanted = json!({"name": name, "roles": ["owner"], "password": password});
        self.post(&["accounts"], wanted).await?;
        Ok(password)
    }

    /// A token that so many devices can enrol with.
    pub(super) async fn enrolment_token(&self, devices: u16) -> Result<String, Failure> {
        let wanted = json!({"product": PRODUCT, "uses": devices, "ttl_s": 600, "note": "demo"});
        let made = self.post(&["enrolment-tokens"], wanted).await?;
        Ok(made["secret"].as_str().unwrap_or_default().to_owned())
    }

    /// What is thought of a device now.
    pub(super) async fn suspect(&self, device: &DeviceId) -> Result<Suspect, Failure> {
        let found = self.get(&["devices", device.as_str()]).await?;
        let posture = &found["posture"];
        let reasons = posture["reasons"].as_array().cloned().unwrap_or_default();
        Ok(Suspect {
            id: device.to_string(),
            trust: posture["trust"]
                .as_u64()
                .and_then(|trust| trust.try_into().ok())
                .unwrap_or(0),
            lifecycle: posture["lifecycle"].as_str().unwrap_or_default().to_owned(),
            reasons: reasons
                .iter()
                .filter_map(|reason| reason["detail"].as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// Why the device may not connect, in the server's words.
    pub(super) async fn explain_connect(&self, device: &DeviceId) -> Result<String, Failure> {
        let principal = json!({"type": "device", "id": device});
        let asked = json!({"principal": principal, "action": "connect"});
        let explained = self.post(&["policy", "explain"], asked).await?;
        Ok(explained["summary"].as_str().unwrap_or_default().to_owned())
    }

    /// What was found about a device, the newest first.
    pub(super) async fn findings(&self, device: &DeviceId) -> Result<Value, Failure> {
        let (client, id) = (self.client.clone(), device.to_string());
        let ask = move || {
            client
                .get(path(&["findings"]))
                .query("device", Some(id))
                .send()
        };
        blocking(ask).await
    }

    /// What is done about a device, or waits to be.
    pub(super) async fn actions(
        &self,
        device: &DeviceId,
        name: &'static str,
    ) -> Result<Value, Failure> {
        let (client, target) = (self.client.clone(), format!("device/{device}"));
        let ask = move || {
            let actions = client.get(path(&["actions"])).query("target", Some(target));
            actions.query("action", Some(name)).send()
        };
        blocking(ask).await
    }

    /// Revokes the device: its certificates with it.
    pub(super) async fn revoke(&self, device: &DeviceId) -> Result<(), Failure> {
        let reason = json!({"reason": "the demo's device misbehaved"});
        self.post(&["devices", device.as_str(), "revoke"], reason)
            .await?;
        Ok(())
    }

    /// The token that it acts with.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Waits until a certificate is on the CRL, as anybody can fetch it; when it was seen there.
    pub(super) async fn wait_on_crl(
        &self,
        certificate: &[u8],
        patience: Duration,
    ) -> Result<Option<Instant>, Failure> {
        let issuer = self.get(&["ca"]).await?["issuer_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let (client, path) = (self.devices.clone(), format!("/crl/{issuer}.crl"));
            let crl = blocking(move || client.get(path).bytes()).await?;
            if is_listed(&crl, certificate)? {
                return Ok(Some(Instant::now()));
            }
        }
        Ok(None)
    }

    /// Reads the whole ledger again.
    pub(super) async fn verify_ledger(&self) -> Result<Value, Failure> {
        self.post(&["ledger", "verify"], json!({})).await
    }

    /// How the fleet fares at the end.
    pub(super) async fn summary(&self, devices: u16, took: Duration) -> Result<Value, Failure> {
        let gateway = self.get(&["status"]).await?["gateway"].take();
        Ok(json!({
            "devices": devices,
            // All but the one that is shut out.
            "expected": devices - 1,
            "connected": gateway["connected"],
            "messages": gateway["messages_in"],
            "denied": gateway["denied"],
            "seconds": (took.as_secs_f64() * 10.0).round() / 10.0,
        }))
    }

    /// Draws the server's own rates into the picture.
    pub(super) fn watch(&self, picture: Arc<Picture>) -> Watch {
        let stop = CancellationToken::new();
        let (operator, until) = (self.clone(), stop.clone());
        tokio::spawn(async move {
            until
                .run_until_cancelled(operator.draw_rates(&picture))
                .await;
        });
        Watch { stop }
    }

    async fn draw_rates(&self, picture: &Picture) {
        const BETWEEN: Duration = Duration::from_millis(250);
        let mut before: Option<(Instant, Counts)> = None;
        loop {
            if let Ok(status) = self.get(&["status"]).await {
                let gateway = &status["gateway"];
                let count = |key: &str| gateway[key].as_f64().unwrap_or_default();
                let total = Counts {
                    allowed: count("messages_in"),
                    denied: count("denied"),
                };
                let now = Instant::now();
                if let Some((then, old)) = before {
                    let seconds = now.duration_since(then).as_secs_f64();
                    let rates = Counts {
                        allowed: (total.allowed - old.allowed) / seconds,
                        denied: (total.denied - old.denied) / seconds,
                    };
                    picture.count(total, rates);
                }
                before = Some((now, total));
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

/// The client waits for its answers; it does so on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await?
}

fn is_listed(crl: &[u8], certificate: &[u8]) -> Result<bool, Failure> {
    let unreadable = |what: &str| Failure::new(format!("{what} cannot be read"));
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| unreadable("the device's certificate"))?;
    let (_, crl) = x509_parser::parse_x509_crl(crl).map_err(|_| unreadable("the CRL"))?;
    let mut listed = crl.iter_revoked_certificates();
    Ok(listed.any(|revoked| revoked.raw_serial() == certificate.raw_serial()))
}

/// Twenty-four random letters, in groups that can be typed.
fn passphrase() -> String {
    let mut random = rand::rng();
    let groups = (0..6).map(|_| {
        let letters = (0..4).map(|_| char::from(random.random_range(b'a'..=b'z')));
        letters.collect::<String>()
    });
    groups.collect::<Vec<_>>().join("-")
}
