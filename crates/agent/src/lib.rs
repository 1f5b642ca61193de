//! The device agent: it gets a device its identity, keeps it, and speaks for it.
//!
//! An [`Enrolment`] makes a key and buys the first certificate with a token, over EST. A
//! [`DeviceIdentity`] is what comes of it; a [`StateDir`] keeps it so that no crash can lose it. An
//! [`Agent`] holds the MQTT 5 connection: it reconnects with patience, queues what is published while the
//! line is down, renews the certificate at two thirds of its life and reports basic facts.
//!
//! It never needs a server crate, never trusts on first use, and the key never leaves the device.
//!
//! ```no_run
//! use palisade_agent::{Agent, AgentOptions, Endpoint, Event, Qos, enroll_in_memory};
//! use palisade_core::DeviceId;
//!
//! # async fn example(root_pem: &str, token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let device = DeviceId::parse("sensor-1")?;
//! let identity = enroll_in_memory("https://localhost:8444", root_pem, &device, token).await?;
//! let mut options = AgentOptions::new("localhost:8883".parse()?);
//! options.devices = Some(Endpoint::parse_url("https://localhost:8444", Endpoint::DEVICES_PORT)?);
//! let (agent, mut events) = Agent::connect(identity, options)?;
//! agent.connected().await;
//! agent.subscribe("devices/sensor-1/commands/#", Qos::AtLeastOnce).await?;
//! let delivery = agent.publish("devices/sensor-1/telemetry/t", "21", Qos::AtLeastOnce).await?;
//! println!("the server says 0x{:02x}", delivery.reason().await?);
//! while let Some(event) = events.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{}: {} bytes", message.topic, message.payload.len());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod agent;
mod backoff;
mod certificate;
mod endpoint;
mod est;
mod event;
mod file;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod identity;
mod key;
mod link;
mod message;
mod mqtt;
mod offline;
mod options;
mod pace;
mod pem;
mod pkcs7;
mod queue;
mod report;
mod state;
#[cfg(test)]
mod testing;
mod tls;

pub use agent::{Agent, AgentError, Delivery, PublishError, Status, SubscribeError, Undelivered};
pub use backoff::BackoffOptions;
pub use certificate::CertificateError;
pub use endpoint::{Endpoint, EndpointError};
pub use est::{EnrolError, Enrolment, Trust, enroll_in_memory, renew};
pub use event::{Cause, Event, Events, reason_name};
pub use http::HttpError;
pub use identity::{DeviceIdentity, IdentityError};
pub use key::KeyError;
pub use message::{MAX_PAYLOAD, Message, MessageError, Qos, QosError};
pub use offline::OfflineQueue;
pub use options::{AgentOptions, Will};
pub use pace::PaceOptions;
pub use palisade_envelope::{ReaderKeyError, ReaderPublicKey, SealError, seal};
pub use pkcs7::Pkcs7Error;
pub use queue::{QueueError, QueueOptions, QueueStats, SyncPolicy, WhenFull};
pub use report::facts;
pub use state::{Servers, StateDir, StateError};
pub use tls::TlsError;
