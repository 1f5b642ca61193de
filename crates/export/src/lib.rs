//! Events out. Each export reads the event stream under a cursor of its own and hands it to one place: a
//! file, a syslog receiver, an HTTP collector. What the place has not taken is handed over again, after a
//! crash too; a place that does not answer holds up nobody but itself. This crate also decides how long the
//! stream is kept. It never changes an event and decides nothing about one. Begin with [`Exports`].

mod config;
mod exporter;
mod exports;
mod plan;
mod record;
mod retention;
mod sink;
mod stats;
mod tls;

pub use config::{EventsConfig, ExportConfig, ExportsConfig, Format, HttpBody, SinkKind, Start};
pub use exports::{ExportParts, Exports, TestError};
pub use plan::{PlanError, check};
pub use sink::SinkError;
pub use stats::{ExportState, ExportStatus, RetentionStats};
