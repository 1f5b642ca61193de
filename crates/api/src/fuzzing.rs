//! For the fuzz targets in `fuzz/`: the way of an inventory's bytes to its devices, and nothing else.

/// Reads an inventory as an import does, in pieces of so many bytes. Returns how many lines name a
/// device.
#[must_use]
pub fn read_inventory(bytes: &[u8], piece: usize) -> usize {
    crate::people::read_inventory(bytes, piece)
}
