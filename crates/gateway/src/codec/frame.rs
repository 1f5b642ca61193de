//! Where a packet begins and ends in a stream of bytes, checked before anything else looks at it.

use super::DecodeError;

/// The first bytes of a packet: its type, its flags and its length (MQTT 5, section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type (upper four bits) and flags (lower four).
    pub first: u8,
    /// Bytes of this header.
    pub header_len: usize,
    /// Bytes of the whole packet, this header included.
    pub total_len: usize,
}

impl Header {
    /// Reads a header; `None` when more bytes are needed for it.
    ///
    /// # Errors
    /// When the length is not a variable byte integer, or the packet would be larger than `max_len`.
    pub fn peek(bytes: &[u8], max_len: usize) -> Result<Option<Self>, DecodeError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let Some((remaining, used)) = read_varint(&bytes[1..])? else {
            return Ok(None);
        };
        let header_len = 1 + used;
        let total_len = header_len + remaining as usize;
        if total_len > max_len {
            return Err(DecodeError::TooLarge {
                size: total_len,
                max: max_len,
            });
        }
        Ok(Some(Self {
            first,
            header_len,
            total_len,
        }))
    }
}

/// Reads a variable byte integer (section 1.5.5) and says how many bytes it took; `None` when it is
/// not yet complete.
///
/// # Errors
/// When a fifth byte would be needed.
pub fn read_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0u32;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 4 {
        Err(DecodeError::Malformed(
            "a length takes more than four bytes",
        ))
    } else {
        Ok(None)
    }
}

/// Writes a variable byte integer; a value beyond 268,435,455 does not occur, as packets are bounded
/// long before.
pub fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    debug_assert!(value <= 0x0fff_ffff, "packets are bounded");
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// How many bytes [`put_varint`] writes.
#[must_use]
pub fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// A place in a packet's bytes, from which fields are taken in order.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Begins at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(DecodeError::Malformed("a field is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// Takes a two-byte integer.
    ///
    /// # Errors
    /// When fewer than two bytes are left.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Takes a four-byte integer.
    ///
    /// # Errors
    /// When fewer than four bytes are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Takes an eight-byte integer.
    ///
    /// # Errors
    /// When fewer than eight bytes are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    /// Takes a variable byte integer.
    ///
    /// # Errors
    /// When it is cut off or too long.
    pub fn varint(&mut self) -> Result<u32, DecodeError> {
        let (value, used) =
            read_varint(self.0)?.ok_or(DecodeError::Malformed("a length is cut off"))?;
        self.take(used)?;
        Ok(value)
    }

    /// Takes binary data with a two-byte length.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Takes a text with a two-byte length.
    ///
    /// # Errors
    /// When it is cut off, is not UTF-8 or has a NUL (section 1.5.4).
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| DecodeError::NotUtf8)?;
        if text.as_bytes().contains(&0) {
            return Err(DecodeError::NotUtf8);
        }
        Ok(text)
    }
}
