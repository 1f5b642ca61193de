//! MQTT 5 as a client speaks it: packets on the wire, and the session as a state machine without I/O.

pub(crate) mod connect;
pub(crate) mod session;
pub(crate) mod wire;
