//! Certificate serial numbers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A certificate serial number: 1 to 20 bytes, big endian, without leading zeros (RFC 5280, 4.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial {
    len: u8,
    bytes: [u8; 20],
}

/// Why bytes or a text are not a serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    /// Zero, empty, or longer than 20 bytes.
    #[error("a serial number has 1 to 20 significant bytes, this one has {0}")]
    Length(usize),
    /// Not hexadecimal.
    #[error("a serial number is written in hexadecimal digits")]
    NotHex,
}

impl Serial {
    /// Reads a big-endian unsigned integer; leading zero bytes (as DER may carry) are dropped.
    ///
    /// # Errors
    /// When nothing or more than 20 bytes remain.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let significant = &bytes[zeros..];
        if significant.is_empty() || significant.len() > 20 {
            return Err(SerialError::Length(significant.len()));
        }
        let mut serial = Self {
            len: significant.len() as u8,
            bytes: [0; 20],
        };
        serial.bytes[..significant.len()].copy_from_slice(significant);
        Ok(serial)
    }

    /// The significant bytes, big endian.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    /// Reads hexadecimal, in either case, with or without colons.
    fn from_str(text: &str) -> Result<Self, SerialError> {
        let mut digits: Vec<u8> = Vec::with_capacity(40);
        for c in text.chars().filter(|c| *c != ':') {
            digits.push(c.to_digit(16).ok_or(SerialError::NotHex)? as u8);
            if digits.len() > 64 {
                return Err(SerialError::Length(digits.len() / 2));
            }
        }
        if digits.len() % 2 == 1 {
            digits.insert(0, 0);
        }
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        Self::from_bytes(&bytes)
    }
}

impl TryFrom<String> for Serial {
    type Error = SerialError;
    fn try_from(text: String) -> Result<Self, SerialError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> String {
        serial.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_reads_back_what_it_wrote() {
        let serial = Serial::from_bytes(&[0, 0x7f, 1, 0xff]).expect("valid");
        assert_eq!(serial.to_string(), "7f01ff");
        assert_eq!("7F:01:FF".parse::<Serial>(), Ok(serial));
        assert_eq!("07f01ff".parse::<Serial>(), Ok(serial));
    }

    #[test]
    fn zero_empty_and_long_serials_are_refused() {
        assert!(Serial::from_bytes(&[0]).is_err());
        assert!(Serial::from_bytes(&[1; 21]).is_err());
        assert!("".parse::<Serial>().is_err());
        assert!("zz".parse::<Serial>().is_err());
    }
}
