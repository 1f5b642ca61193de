//! The MQTT door: MQTT 3.1.1 and 5 over TLS 1.3 with client certificates. Whoever connects is named by
//! a certificate and by nothing else, and policy is asked at CONNECT, at each PUBLISH, at each SUBSCRIBE,
//! at each delivery, and when a Will fires; a changed posture or policy re-decides what is open already.
//! What was acknowledged is on disk. This crate has no rule of its own and opens no session that the
//! journal does not know of. Begin with [`Gateway`].

mod access;
mod blocks;
mod broker;
mod codec;
mod config;
mod connection;
mod effect;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod limits;
mod line;
mod link;
mod message;
mod notices;
mod persist;
mod routing;
mod sealed;
mod session;
mod tap;

pub use broker::GatewayStats;
pub use config::{ConfigError, GatewayConfig, PrincipalLimits, SourceLimits};
pub use effect::effectors;
pub use gateway::{
    Gateway, GatewayError, GatewayParts, Presence, SessionInfo, Submission, SubmitError, Submitted,
};
pub use tap::{
    MAX_WATCHERS, Passed, TooManyWatchers, WATCHED_PER_SECOND, WatchStats, Watching, Way,
};
