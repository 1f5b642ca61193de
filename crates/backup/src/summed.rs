//! A checksum over a whole file, sealed or not.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};
use palisade_core::hex;

/// Writes, and knows the SHA-256 of what was written.
pub struct Summed<W> {
    inner: W,
    hash: Context,
}

impl<W: Write> Summed<W> {
    /// Nothing was written yet.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Context::new(&SHA256),
        }
    }

    /// What was written to, and the checksum in hexadecimal.
    pub fn finish(self) -> (W, String) {
        let sum = hex(self.hash.finish().as_ref());
        (self.inner, sum)
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The SHA-256 of what is read to its end, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sum(mut source: impl Read) -> io::Result<String> {
    let mut summed = Summed::new(io::sink());
    io::copy(&mut source, &mut summed)?;
    Ok(summed.finish().1)
}
