//! What `rmqtt-codec` 0.3.1 lets pass and the standard does not: checked on the raw bytes before it
//! sees them.

use super::{DecodeError, Version, frame::Cursor};

const USERNAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS: u8 = 0x18;
const WILL: u8 = 0x04;
const RESERVED: u8 = 0x01;

/// Where the connect flags stand in a CONNECT packet's remaining bytes.
pub(super) const FLAGS_AT: usize = 7;
/// The flag for a clean start.
pub(super) const CLEAN_START: u8 = 0x02;

/// What was found out about a CONNECT packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guarded {
    pub(super) version: Version,
    pub(super) clean_start: bool,
}

/// Reads name and level of the protocol.
pub(super) fn version(cursor: &mut Cursor<'_>) -> Result<Version, DecodeError> {
    match (cursor.binary()?, cursor.u8()?) {
        (b"MQTT", 4) => Ok(Version::V3),
        (b"MQTT", 5) => Ok(Version::V5),
        _ => Err(DecodeError::UnsupportedVersion),
    }
}

/// Walks a CONNECT packet's remaining bytes: version, flags that contradict each other, texts with a
/// NUL, and bytes after the end.
pub(super) fn connect(body: &[u8]) -> Result<Guarded, DecodeError> {
    let mut cursor = Cursor::new(body);
    let version = version(&mut cursor)?;
    let flags = cursor.u8()?;
    if flags & RESERVED != 0 {
        return Err(DecodeError::Malformed("the reserved connect flag is set"));
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 {
        return Err(DecodeError::Malformed("will flags without a will"));
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(DecodeError::Malformed("a will of quality of service 3"));
    }
    if version == Version::V3 && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(DecodeError::Protocol("a password without a user name"));
    }
    cursor.u16()?;
    let skip_properties = |cursor: &mut Cursor<'_>| -> Result<(), DecodeError> {
        if version == Version::V5 {
            let len = cursor.varint()? as usize;
            properties(cursor.take(len)?)?;
        }
        Ok(())
    };
    skip_properties(&mut cursor)?;
    cursor.text()?;
    if flags & WILL != 0 {
        skip_properties(&mut cursor)?;
        cursor.text()?;
        cursor.binary()?;
    }
    if flags & USERNAME != 0 {
        cursor.text()?;
    }
    if flags & PASSWORD != 0 {
        cursor.binary()?;
    }
    end(&cursor)?;
    Ok(Guarded {
        version,
        clean_start: flags & CLEAN_START != 0,
    })
}

/// Checks every text among properties for NUL and UTF-8; which properties may stand where is the
/// codec's to say.
fn properties(raw: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(raw);
    while !cursor.is_empty() {
        match cursor.u8()? {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => {
                cursor.u8()?;
            }
            0x13 | 0x21 | 0x22 | 0x23 => {
                cursor.u16()?;
            }
            0x02 | 0x11 | 0x18 | 0x27 => {
                cursor.u32()?;
            }
            0x03 | 0x08 | 0x12 | 0x15 | 0x1A | 0x1C | 0x1F => {
                cursor.text()?;
            }
            0x09 | 0x16 => {
                cursor.binary()?;
            }
            0x0B => {
                cursor.varint()?;
            }
            0x26 => {
                cursor.text()?;
                cursor.text()?;
            }
            _ => return Err(DecodeError::Malformed("a property that does not exist")),
        }
    }
    Ok(())
}

/// Walks a SUBSCRIBE packet's remaining bytes: reserved option bits, which the codec ignores in 3.1.1.
pub(super) fn subscribe(version: Version, body: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(body);
    cursor.u16()?;
    if version == Version::V5 {
        let len = cursor.varint()? as usize;
        properties(cursor.take(len)?)?;
    }
    while !cursor.is_empty() {
        cursor.text()?;
        let options = cursor.u8()?;
        let allowed = match version {
            Version::V3 => 0b0000_0011,
            Version::V5 => 0b0011_1111,
        };
        if options & !allowed != 0 || options & 0b11 == 0b11 {
            return Err(DecodeError::Malformed(
                "reserved subscription options are set",
            ));
        }
    }
    Ok(())
}

/// Walks an UNSUBSCRIBE packet's remaining bytes.
pub(super) fn unsubscribe(version: Version, body: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(body);
    cursor.u16()?;
    if version == Version::V5 {
        let len = cursor.varint()? as usize;
        properties(cursor.take(len)?)?;
    }
    while !cursor.is_empty() {
        cursor.text()?;
    }
    Ok(())
}

/// Refuses bytes where a packet has none: PINGREQ, and DISCONNECT in 3.1.1.
pub(super) fn empty(body: &[u8]) -> Result<(), DecodeError> {
    end(&Cursor::new(body))
}

fn end(cursor: &Cursor<'_>) -> Result<(), DecodeError> {
    if cursor.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Malformed("bytes after the end"))
    }
}
