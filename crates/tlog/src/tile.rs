//! Tiles (C2SP tlog-tiles): 256 hashes, or entries, under a path of their own.

use std::{fmt, str::FromStr};

use crate::tree::Subtree;

/// How many hashes or entries a full tile has.
pub const TILE: u64 = 256;
/// The largest entry that a tile of entries can hold, in bytes.
pub const MAX_ENTRY: usize = u16::MAX as usize;
/// The height of a tile's own tree.
const HEIGHT: u8 = 8;
/// Above this no tree of 2^64 leaves has a tile.
const MAX_LEVEL: u8 = 7;
/// Three digits each; 2^64 / 256 has 17 digits.
const MAX_PARTS: usize = 6;

/// Why a path names no tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tile is <level or entries>/<index> with an optional .p/<width>; an index is written x001/x234/067"
)]
pub struct TileError;

/// What a tile is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes over `256^level` leaves each.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// A tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// What it is made of.
    pub kind: TileKind,
    /// Which it is, counted from 0.
    pub index: u64,
    /// How many hashes or entries of it are meant: 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The full tile that holds, or leads to, the hash of a subtree; and the hashes of the tile under it.
    #[must_use]
    pub fn over(subtree: Subtree) -> (Self, std::ops::Range<usize>) {
        let (level, above) = (subtree.height / HEIGHT, subtree.height % HEIGHT);
        let first = subtree.index << above;
        let at = (first % TILE) as usize;
        let tile = Self {
            kind: TileKind::Hashes(level),
            index: first / TILE,
            width: TILE as u16,
        };
        (tile, at..at + (1 << above))
    }

    /// How many of its hashes or entries a tree of `size` leaves has: at most [`TILE`].
    #[must_use]
    pub fn filled(&self, size: u64) -> u16 {
        let all = match self.kind {
            TileKind::Hashes(level) => size >> (HEIGHT * level),
            TileKind::Entries => size,
        };
        all.saturating_sub(self.index.saturating_mul(TILE))
            .min(TILE) as u16
    }

    /// The first of its hashes or entries, counted over its level.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.index.saturating_mul(TILE)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "{level}/")?,
            TileKind::Entries => f.write_str("entries/")?,
        }
        let (mut parts, mut rest) = (vec![format!("{:03}", self.index % 1000)], self.index / 1000);
        while rest > 0 {
            parts.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        parts.reverse();
        f.write_str(&parts.join("/"))?;
        match u64::from(self.width) {
            TILE => Ok(()),
            width => write!(f, ".p/{width}"),
        }
    }
}

impl FromStr for Tile {
    type Err = TileError;

    /// Reads what follows `tile/` in its path.
    fn from_str(path: &str) -> Result<Self, TileError> {
        let (kind, rest) = path.split_once('/').ok_or(TileError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => match number(level, u64::from(MAX_LEVEL)) {
                Some(level) => TileKind::Hashes(level as u8),
                None => return Err(TileError),
            },
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE),
            Some((index, width)) => match number(width, TILE - 1) {
                Some(width) if width > 0 => (index, width),
                _ => return Err(TileError),
            },
        };
        let index = read_index(index).ok_or(TileError)?;
        let width = width as u16;
        Ok(Self { kind, index, width })
    }
}

/// A number without zeros before it.
fn number(text: &str, most: u64) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= most && number.to_string() == text).then_some(number)
}

fn read_index(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split('/').take(MAX_PARTS + 1).collect();
    let (last, before) = parts.split_last()?;
    let digits = |part: &str| {
        let is_part = part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_part.then(|| part.parse::<u64>().ok()).flatten()
    };
    if parts.len() > MAX_PARTS || parts.len() > 1 && before.first() == Some(&"x000") {
        return None;
    }
    let mut index = 0u64;
    for part in before {
        index = index * 1000 + digits(part.strip_prefix('x')?)?;
    }
    index = index * 1000 + digits(last)?;
    (index <= u64::MAX / TILE).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_standard() {
        let tile = |kind, index, width| Tile { kind, index, width };
        for (path, wanted) in [
            ("0/000", tile(TileKind::Hashes(0), 0, 256)),
            (
                "1/x001/x234/067.p/8",
                tile(TileKind::Hashes(1), 1_234_067, 8),
            ),
            ("entries/x001/000", tile(TileKind::Entries, 1_000, 256)),
        ] {
            assert_eq!(path.parse(), Ok(wanted));
            assert_eq!(wanted.to_string(), path);
        }
        for path in [
            "",
            "0",
            "0/",
            "0/0",
            "00/000",
            "8/000",
            "-1/000",
            "data/000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "0/001/000",
            "0/x000/001",
            "0/x001",
            "0/x001/+12",
            "0/000/",
            "0//000",
            "0/x999/x999/x999/x999/x999/999",
            "0/x001/x001/x001/x001/x001/x001/001",
            "entries/../0",
        ] {
            assert_eq!(path.parse::<Tile>(), Err(TileError), "{path:?}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_that_the_standard_says() {
        let filled = |kind, index| {
            Tile {
                kind,
                index,
                width: 256,
            }
            .filled(70_000)
        };
        assert_eq!(filled(TileKind::Hashes(0), 272), 256);
        assert_eq!(filled(TileKind::Hashes(0), 273), 112);
        assert_eq!(filled(TileKind::Hashes(0), 274), 0);
        assert_eq!(filled(TileKind::Hashes(1), 0), 256);
        assert_eq!(filled(TileKind::Hashes(1), 1), 17);
        assert_eq!(filled(TileKind::Hashes(2), 0), 1);
        assert_eq!(filled(TileKind::Hashes(3), 0), 0);
        assert_eq!(filled(TileKind::Entries, 273), 112);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_back_the_same(path in "[0-9]/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?") {
            if let Ok(tile) = path.parse::<Tile>() {
                prop_assert_eq!(tile.to_string(), path);
            }
        }
    }
}
