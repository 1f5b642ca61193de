//! A broker under test and the identities that its clients carry.

use std::{net::SocketAddr, sync::Arc};

use rustls::ClientConfig;

use crate::process::Server;

/// What one client of the load connects as.
#[derive(Clone)]
pub struct Identity {
    /// Its TLS configuration with its certificate.
    pub tls: Arc<ClientConfig>,
    /// Its MQTT client id.
    pub client_id: String,
}

/// A running broker with TLS 1.3, client certificates and access control.
pub trait Broker {
    /// Its name in the tables.
    fn name(&self) -> &'static str;
    /// Where its MQTT port is.
    fn address(&self) -> SocketAddr;
    /// The process that is measured.
    fn server(&self) -> &Server;
    /// The identity of publisher `index`: it may publish to `devices/pub-<index>/telemetry` alone.
    fn publisher(&self, index: usize) -> Identity;
    /// The identity of subscriber `index`: it may subscribe to `devices/+/telemetry`.
    fn subscriber(&self, index: usize) -> Identity;
}

/// The topic of publisher `index`.
pub fn topic(index: usize) -> String {
    format!("devices/pub-{index}/telemetry")
}
