//! Memory that is wiped.

use std::{fmt, ops::Deref};

use zeroize::{Zeroize, Zeroizing};

/// Bytes that are wiped when they are dropped, and where they move as they grow. `Zeroizing<Vec<u8>>` promises the
/// first alone, and wipes byte by byte, which costs more than sealing them does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wiped(Vec<u8>);

impl Wiped {
    /// None yet, with room for so many.
    #[must_use]
    pub fn with_capacity(room: usize) -> Self {
        Self(Vec::with_capacity(room))
    }

    /// Puts bytes behind the others.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Forgets what stands behind the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        if let Some(behind) = self.0.get_mut(len..) {
            behind.zeroize();
            self.0.truncate(len);
        }
    }

    /// Room for exactly so many bytes, to be written over; what they are before that does not matter.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        self.make_room(len.saturating_sub(self.0.len()));
        self.0.resize(len, 0);
        &mut self.0
    }

    /// Forgets all of them and keeps the room.
    pub(crate) fn wipe(&mut self) {
        self.blank();
        self.0.clear();
    }

    fn blank(&mut self) {
        // As slices: of a vector each byte would be written apart.
        self.0.as_mut_slice().zeroize();
        self.0.spare_capacity_mut().zeroize();
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    #[inline]
    fn make_room(&mut self, more: usize) {
        if self.0.capacity() - self.0.len() < more {
            self.grow(more);
        }
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let needed = self.0.len() + more;
        let mut larger = Self::with_capacity(needed.max(self.0.capacity() * 2));
        larger.0.extend_from_slice(&self.0);
        *self = larger;
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Wiped {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Zeroizing<Vec<u8>>> for Wiped {
    fn from(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(std::mem::take(&mut *bytes))
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wiped_is_not_there_any_more_and_the_room_is() {
        let mut bytes = Wiped::with_capacity(64);
        bytes.put(b"a secret");
        bytes.blank();
        assert_eq!(&*bytes, &[0; 8]);
        bytes.put(b"another");
        bytes.wipe();
        assert_eq!((bytes.len(), bytes.capacity()), (0, 64));
    }

    #[test]
    fn what_grows_keeps_what_it_held_and_what_is_cut_is_gone() {
        let mut bytes = Wiped::default();
        for _ in 0..100 {
            bytes.put(b"0123456789");
        }
        assert_eq!(bytes.len(), 1000);
        assert!(bytes.starts_with(b"0123") && bytes.ends_with(b"6789"));
        bytes.truncate(4);
        assert_eq!(&*bytes, b"0123");
        assert_eq!(format!("{bytes:?}"), "4 bytes");
    }
}
