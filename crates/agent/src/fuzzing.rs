//! What fuzz targets and nothing else call: each parser of bytes from outside, end to end. No part of the
//! interface.

use bytes::BytesMut;

use crate::{
    certificate::Facts,
    mqtt::{session::Session, wire::Wire},
    pkcs7, queue,
};

/// The body of an EST answer, and the certificates in it.
pub fn est_answer(body: &[u8]) {
    for certificate in pkcs7::certificates(body).unwrap_or_default() {
        let _ = Facts::read(&certificate);
    }
}

/// What a server sends after CONNACK.
pub fn server_packets(bytes: &[u8]) {
    const MAX_IN: u32 = 4096;
    let mut wire = Wire::new(MAX_IN);
    let mut session = Session::new();
    let mut input = BytesMut::from(bytes);
    while let Ok(Some(packet)) = wire.decode(&mut input) {
        if session.receive(packet).is_err() {
            return;
        }
    }
}

/// A file of the queue.
pub fn queue_file(bytes: &[u8]) {
    queue::scan(bytes);
}
