//! The MQTT door.
#![deny(missing_docs)]
#![allow(dead_code)]
mod codec;
