//! One message on disk. A record says where it begins and carries a checksum over all of itself, so that a
//! damaged one is known, costs no other, and is passed over.

use bytes::Bytes;
use bytestring::ByteString;
use crc::{CRC_32_ISCSI, Crc};
use palisade_core::Topic;

use super::Seq;
use crate::message::{MAX_PAYLOAD, Outgoing, Qos};

/// Bytes before topic and payload.
pub(super) const HEADER: usize = 4 + 4 + 8 + 1 + 2 + 4;
const MARK: [u8; 4] = *b"PqR1";
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const QOS: u8 = 0b01;
const RETAIN: u8 = 0b10;

/// A record as it was read back.
pub(super) struct Record {
    pub(super) seq: Seq,
    pub(super) message: Outgoing,
    /// Bytes on disk.
    pub(super) len: usize,
}

/// How many bytes the record of a message has.
pub(super) fn len(message: &Outgoing) -> usize {
    HEADER + message.topic.len() + message.payload.len()
}

/// Writes a record.
pub(super) fn encode(seq: Seq, message: &Outgoing) -> Vec<u8> {
    let mut record = Vec::with_capacity(len(message));
    record.extend_from_slice(&MARK);
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&seq.to_be_bytes());
    let qos = if message.qos == Qos::AtLeastOnce {
        QOS
    } else {
        0
    };
    let retain = if message.retain { RETAIN } else { 0 };
    record.push(qos | retain);
    // INVARIANT: `Outgoing::new` bounds topic and payload far below these integers.
    record.extend_from_slice(&(message.topic.len() as u16).to_be_bytes());
    record.extend_from_slice(&(message.payload.len() as u32).to_be_bytes());
    record.extend_from_slice(message.topic.as_bytes());
    record.extend_from_slice(&message.payload);
    let checksum = CHECKSUM.checksum(&record[8..]);
    record[4..8].copy_from_slice(&checksum.to_be_bytes());
    record
}

/// How long the record is whose header stands at the start of `bytes`; `None` when none does.
pub(super) fn len_of(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    let topic = usize::from(u16::from_be_bytes(header[17..19].try_into().ok()?));
    let payload = u32::from_be_bytes(header[19..HEADER].try_into().ok()?) as usize;
    match header[..4] == MARK && payload <= MAX_PAYLOAD {
        true => Some(HEADER + topic + payload),
        false => None,
    }
}

/// Reads the record at the start of `bytes`; `None` when no whole and undamaged one is there.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let len = len_of(bytes)?;
    let record = bytes.get(..len)?;
    let checksum = u32::from_be_bytes(record[4..8].try_into().ok()?);
    if CHECKSUM.checksum(&record[8..]) != checksum {
        return None;
    }
    let seq = Seq::from_be_bytes(record[8..16].try_into().ok()?);
    let flags = record[16];
    let topic_len = usize::from(u16::from_be_bytes(record[17..19].try_into().ok()?));
    let (topic, payload) = record[HEADER..].split_at(topic_len);
    let topic = std::str::from_utf8(topic).ok()?;
    Topic::parse(topic).ok()?;
    let message = Outgoing {
        topic: ByteString::from(topic),
        payload: Bytes::copy_from_slice(payload),
        qos: match flags & QOS {
            0 => Qos::AtMostOnce,
            _ => Qos::AtLeastOnce,
        },
        retain: flags & RETAIN != 0,
    };
    Some(Record { seq, message, len })
}

/// Where the next undamaged record begins, from `from` on.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(rest) = bytes.get(at..) {
        let step = rest.windows(MARK.len()).position(|four| four == MARK)?;
        at += step;
        if decode(&bytes[at..]).is_some() {
            return Some(at);
        }
        at += 1;
    }
    None
}
