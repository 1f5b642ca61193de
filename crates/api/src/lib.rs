//! The HTTPS doors: one for devices (enrolment, CRLs, reports), one for people and programs (the REST
//! API and the console), one for operators (health, metrics). Every act is authenticated, scoped and
//! recorded, and the OpenAPI document says all that the REST door does. This crate has no rule of its own:
//! it asks policy, identity, the ledger and the gateway, and never reaches around them.

mod api;
mod config;
mod console;
mod devices;
pub mod doctor;
#[doc(hidden)]
pub mod fuzzing;
mod operators;
pub mod people;
pub mod problem;
pub mod serve;
mod tls;

pub use api::{Api, ApiError, ApiParts};
pub use config::{
    ApiConfig, ApiConfigError, DevicesConfig, HttpLimits, OperatorsConfig, PeopleConfig,
};
pub use operators::{MetricsRender, Phase};
pub use people::setup;
