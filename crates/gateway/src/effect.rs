//! What can be done about a client at this door: its sessions closed, its address refused.

use std::{
    net::IpAddr,
    sync::{Arc, Weak},
};

use palisade_core::{
    Impact, Network, Order, Principal, Target,
    port::{BoxFuture, EffectError, Effector, Objection, Parameters},
};
use palisade_store::Block;
use serde_json::{Value, json};

use crate::Gateway;

/// No larger networks than these are blocked: a prefix that is left out by mistake must not shut the door.
const SHORTEST_V4: u64 = 16;
const SHORTEST_V6: u64 = 48;

/// What can be done about a client at the MQTT door: `close-sessions` and `block-address`.
#[must_use]
pub fn effectors(gateway: &Weak<Gateway>) -> Vec<Arc<dyn Effector>> {
    vec![
        Arc::new(CloseSessions(gateway.clone())),
        Arc::new(BlockAddress(gateway.clone())),
    ]
}

struct CloseSessions(Weak<Gateway>);

struct BlockAddress(Weak<Gateway>);

fn open(gateway: &Weak<Gateway>) -> Result<Arc<Gateway>, EffectError> {
    gateway
        .upgrade()
        .ok_or_else(|| EffectError::Failed("the server is shutting down".into()))
}

impl Effector for CloseSessions {
    fn name(&self) -> &'static str {
        "close-sessions"
    }

    fn summary(&self) -> &'static str {
        "Closes a device's MQTT sessions; it may come back at once."
    }

    fn impact(&self) -> Impact {
        Impact::Partial
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        match parameters.keys().next() {
            Some(name) => Err(EffectError::Parameter {
                name: name.clone(),
                why: "there is no such parameter; this action has none".to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Device(_))
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            let Target::Device(device) = &order.target else {
                return Err(EffectError::NotApplicable("it is no device".to_owned()));
            };
            let closed = open(&self.0)?.close_sessions(&Principal::from(device.clone()));
            tracing::debug!(%device, closed, "sessions were closed by an action");
            Ok(None)
        })
    }

    fn undo<'a>(&'a self, _: &'a Order, _: &'a Value) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async { Ok(()) })
    }
}

impl Effector for BlockAddress {
    fn name(&self) -> &'static str {
        "block-address"
    }

    fn summary(&self) -> &'static str {
        "Refuses connections from a source address at the doors for devices, and closes MQTT sessions."
    }

    fn impact(&self) -> Impact {
        Impact::Full
    }

    fn check(&self, parameters: &Parameters) -> Result<(), EffectError> {
        if let Some(name) = parameters
            .keys()
            .find(|name| *name != "prefix_v4" && *name != "prefix_v6")
        {
            return Err(EffectError::Parameter {
                name: name.clone(),
                why: "there is no such parameter; there are prefix_v4 and prefix_v6".to_owned(),
            });
        }
        prefix(parameters, "prefix_v4", SHORTEST_V4, 32, 32)?;
        prefix(parameters, "prefix_v6", SHORTEST_V6, 128, 64).map(drop)
    }

    fn applies_to(&self, target: &Target) -> bool {
        matches!(target, Target::Address(_))
    }

    fn objection<'a>(
        &'a self,
        target: &'a Target,
        parameters: &'a Parameters,
    ) -> BoxFuture<'a, Option<Objection>> {
        Box::pin(async move {
            let Target::Address(address) = target else {
                return None;
            };
            let network = network(*address, parameters).ok()?;
            let gateway = self.0.upgrade()?;
            never(&gateway, &network).map(Objection::Impossible)
        })
    }

    fn apply<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<Option<Value>, EffectError>> {
        Box::pin(async move {
            let Target::Address(address) = &order.target else {
                return Err(EffectError::NotApplicable("it is no address".to_owned()));
            };
            let gateway = open(&self.0)?;
            let network = network(*address, &order.parameters)?;
            if let Some(why) = never(&gateway, &network) {
                return Err(EffectError::NotApplicable(why));
            }
            let block = Block {
                action: order.id,
                network: network.to_string(),
                reason: order.reason.clone(),
                since: gateway.broker.clock.now(),
            };
            let blocked = gateway.broker.blocks.add(&block).await;
            match blocked {
                Ok(true) => {}
                Ok(false) => {
                    let why = format!("{} networks are blocked already", crate::blocks::MAX_BLOCKS);
                    return Err(EffectError::NotApplicable(why));
                }
                Err(error) => return Err(EffectError::Failed(Box::new(error))),
            }
            gateway.close_sessions_from(&network);
            Ok(Some(json!({ "network": network.to_string() })))
        })
    }

    fn undo<'a>(
        &'a self,
        order: &'a Order,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<(), EffectError>> {
        Box::pin(async move {
            let gateway = open(&self.0)?;
            let removed = gateway.broker.blocks.remove(order.id).await;
            removed.map_err(|error| EffectError::Failed(Box::new(error)))
        })
    }
}

/// Why a network is never blocked, if it is not.
fn never(gateway: &Gateway, network: &Network) -> Option<String> {
    let never = &gateway.broker.config.never_block;
    let found = never.iter().find(|never| never.overlaps(network));
    found.map(|never| format!("gateway.never_block has {never}"))
}

fn network(address: IpAddr, parameters: &Parameters) -> Result<Network, EffectError> {
    let address = address.to_canonical();
    let prefix = match address {
        IpAddr::V4(_) => prefix(parameters, "prefix_v4", SHORTEST_V4, 32, 32)?,
        IpAddr::V6(_) => prefix(parameters, "prefix_v6", SHORTEST_V6, 128, 64)?,
    };
    Network::new(address, prefix).map_err(|error| EffectError::NotApplicable(error.to_string()))
}

fn prefix(
    parameters: &Parameters,
    name: &str,
    min: u64,
    max: u64,
    default: u8,
) -> Result<u8, EffectError> {
    let Some(found) = parameters.get(name) else {
        return Ok(default);
    };
    let number = found.as_u64().filter(|bits| (min..=max).contains(bits));
    number
        .and_then(|bits| u8::try_from(bits).ok())
        .ok_or_else(|| EffectError::Parameter {
            name: name.to_owned(),
            why: format!("a whole number of {min} to {max}"),
        })
}
