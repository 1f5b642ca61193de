//! Webhooks: signed JSON to places that the configuration names.
//!
//! `Palisade-Signature: t=<seconds>,v1=<hex>` is HMAC-SHA256 over `<seconds>.<body>` with the destination's
//! secret; the receiver refuses what is old. `Palisade-Delivery` is the action's name and the same each time
//! that a delivery is tried again.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use palisade_core::{
    Clock, Impact, Order, Target, hex,
    port::{BoxFuture, EffectError, Effector, Parameters},
};
use serde_json::Value;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::{
    destination::{DestinationError, read_own, roots},
    message, only, wrong,
};
use crate::WebhookConfig;

/// The longest that one delivery takes, from the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest body that is sent, in bytes.
const MAX_BODY: usize = 256 * 1024;
const MIN_SECRET: usize = 16;
const MAX_SECRET: usize = 4_096;
/// The destinations, by name.
pub(crate) struct Webhooks {
    by_name: BTreeMap<String, Destination>,
    clock: Arc<dyn Clock>,
}

struct Destination {
    url: String,
    key: hmac::Key,
    bearer: Option<String>,
    agent: Agent,
}

impl Webhooks {
    /// Reads secrets and roots.
    pub(crate) fn open(
        configured: &BTreeMap<String, WebhookConfig>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DestinationError> {
        let mut by_name = BTreeMap::new();
        for (name, webhook) in configured {
            by_name.insert(name.clone(), Destination::open(name, webhook)?);
        }
        Ok(Self { by_name, clock })
    }

    /// Whether there is a destination of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Sends a body, and says why it did not arrive.
    async fn send(
        self: Arc<Self>,
        to: String,
        delivery: String,
        body: String,
    ) -> Result<(), EffectError> {
        if body.len() > MAX_BODY {
            let why = format!("a message has at most {MAX_BODY} bytes");
            return Err(EffectError::NotApplicable(why));
        }
        let task = tokio::task::spawn_blocking(move || {
            let Some(destination) = self.by_name.get(&to) else {
                let why = format!("there is no webhook {to:?} in the configuration");
                return Err(EffectError::NotApplicable(why));
            };
            let now = self.clock.now().as_second();
            destination.post(now, &delivery, &body)
        });
        task.await
            .unwrap_or_else(|error| Err(EffectError::Failed(Box::new(error))))
    }
}

impl Destination {
    fn open(name: &str, webhook: &WebhookConfig) -> Result<Self, DestinationError> {
        let key = format!("respond.webhooks.{name}");
        let value = |why: String| DestinationError::value(&key, why);
        let secret = match (&webhook.secret_file, &webhook.secret_env) {
            (Some(path), _) => read_own(&key, path)?,
            (None, Some(variable)) => std::env::var(variable)
                .map_err(|_| value(format!("the environment has no {variable}")))?,
            (None, None) => return Err(value("name one of secret_file and secret_env".to_owned())),
        };
        let secret = secret.trim_end_matches(['\r', '\n']);
        if !(MIN_SECRET..=MAX_SECRET).contains(&secret.len()) {
            let why = format!("its secret has {MIN_SECRET} to {MAX_SECRET} bytes");
            return Err(value(why));
        }
        let bearer = webhook.bearer_file.as_ref();
        let bearer = bearer.map(|path| read_own(&key, path)).transpose()?;
        let bearer = bearer.map(|token| format!("Bearer {}", token.trim()));
        let roots = match webhook.url.starts_with("https://") {
            true => roots(&key, webhook.ca.as_ref())?,
            false => Vec::new(),
        };
        Ok(Self {
            url: webhook.url.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            bearer,
            agent: agent(&roots),
        })
    }

    fn post(&self, now: i64, delivery: &str, body: &str) -> Result<(), EffectError> {
        let signed = hmac::sign(&self.key, format!("{now}.{body}").as_bytes());
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header(
                "user-agent",
                concat!("palisade/", env!("CARGO_PKG_VERSION")),
            )
            .header("palisade-delivery", delivery)
            .header(
                "palisade-signature",
                format!("t={now},v1={}", hex(signed.as_ref())),
            );
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", bearer);
        }
        // An error of the transport may name the address and nothing that is sent.
        let answer = request
            .send(body)
            .map_err(|error| EffectError::Failed(Box::new(error)))?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            status => Err(EffectError::Failed(
                format!("the destination answered {status}").into(),
            )),
        }
    }
}

fn agent(roots: &[Vec<u8>]) -> Agent {
    let roots: Vec<Certificate<'static>> = roots
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .build()
        .new_agent()
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// Tells somebody of a case.
pub(super) struct Notify(pub(super) Option<Arc<Webhooks>>);

/// Opens a ticket with a system that has its own idea of what that is.
pub(super) struct Ticket(pub(super) Option<Arc<Webhooks>>);

/// The name of the destination, if there is one of that name.
fn destination<'a>(
    parameters: &'a Parameters,
    webhooks: Option<&Arc<Webhooks>>,
) -> Result<&'a str, EffectError> {
    let to = parameters.get("to").and_then(Value::as_str);
    let to = to.ok_or_else(|| wrong("to", "name a webhook of the configuration"))?;
    match webhooks {
        // The shipped playbooks tell whoever is called so, who need not be there.
        Some(webhooks) if to != "default" && !webhooks.has(to) => {
            let names: Vec<&str> = webhooks.by_name.keys().map(String::as_str).collect();
            let why = match names.is_empty() {
                true => "the configuration has no [respond.webhooks]".to_owned(),
                false => format!("there is no such webhook; there is {}", names.join(", ")),
            };
            Err(wrong("to", why))
        }
        _ => Ok(to),
    }
}

async fn deliver(
    webhooks: Option<&Arc<Webhooks>>,
    order: &Order,
    body: Value,
) -> Result<Option<Value>, EffectError> {
    let Some(webhooks) = webhooks else {
        return Err(EffectError::NotApplicable(
            "there are no webhooks here".to_owned(),
        ));
    };
    let to = destination(&order.parameters, Some(webhooks))?.to_owned();
    let (delivery, body) = (order.id.to_string(), body.to_string());
    webhooks.clone().send(to, delivery, body).await?;
    Ok(None)
}

impl Effector for Notify {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn summary(&self) -> &'static str {
        "Sends the case as signed JSON to a configured webhook."
    }

    fn impact(&self) -> Impact {
        Impact::None
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        only(parameters, &["to"])?;
        destination(parameters, self.0.as_ref()).map(drop)
    }

    fn applies_to(&self, _: &Target) -> bool {
        true
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(deliver(
            self.0.as_ref(),
            order,
            message::notification(order),
        ))
    }

    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async { Ok(()) })
    }
}

impl Effector for Ticket {
    fn name(&self) -> &'static str {
        "ticket"
    }

    fn summary(&self) -> &'static str {
        "Sends JSON of your own making to a configured webhook, to open a ticket."
    }

    fn impact(&self) -> Impact {
        Impact::None
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        only(parameters, &["to", "fields"])?;
        if !parameters.get("fields").is_some_and(Value::is_object) {
            return Err(wrong("fields", "an object: what the ticket is made of"));
        }
        destination(parameters, self.0.as_ref()).map(drop)
    }

    fn applies_to(&self, _: &Target) -> bool {
        true
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        let template = order.parameters.get("fields").unwrap_or(&Value::Null);
        Box::pin(deliver(
            self.0.as_ref(),
            order,
            message::fill(template, order),
        ))
    }

    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async { Ok(()) })
    }
}
