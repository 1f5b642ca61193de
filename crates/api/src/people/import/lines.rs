//! Lines of a body that comes in pieces, each of a bounded length.

/// The longest line, in bytes: 32 labels of the largest size fit.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// A line that was passed over because of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// Cuts what comes into lines, numbered from 1, without their ends.
#[derive(Default)]
pub(super) struct Lines {
    number: u64,
    begun: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// Takes the next piece.
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        mut each: impl FnMut(u64, Result<&[u8], TooLong>),
    ) {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = piece.split_at(end);
            self.number += 1;
            if self.is_too_long || self.begun.len() + line.len() > MAX_LINE {
                each(self.number, Err(TooLong));
            } else if self.begun.is_empty() {
                each(self.number, Ok(line));
            } else {
                self.begun.extend_from_slice(line);
                each(self.number, Ok(&self.begun));
            }
            self.begun.clear();
            self.is_too_long = false;
            piece = &rest[1..];
        }
        if self.is_too_long || self.begun.len() + piece.len() > MAX_LINE {
            self.is_too_long = true;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    /// Says that no more comes: what is left is a line too.
    pub(super) fn end(&mut self, mut each: impl FnMut(u64, Result<&[u8], TooLong>)) {
        match self.is_too_long {
            true => each(self.number + 1, Err(TooLong)),
            false if self.begun.is_empty() => {}
            false => each(self.number + 1, Ok(&self.begun)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], piece: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut each = |number, line: Result<&[u8], TooLong>| {
            found.push((number, line.ok().map(<[u8]>::to_vec)));
        };
        for piece in text.chunks(piece) {
            lines.feed(piece, &mut each);
        }
        lines.end(&mut each);
        found
    }

    #[test]
    fn lines_are_the_same_however_the_body_is_cut_into_pieces() {
        let long = vec![b'x'; MAX_LINE + 1];
        let text = [b"a,b\n\n".as_slice(), &long, b"\nlast"].concat();
        let expected = vec![
            (1, Some(b"a,b".to_vec())),
            (2, Some(Vec::new())),
            (3, None),
            (4, Some(b"last".to_vec())),
        ];
        for piece in [1, 7, 1_000, text.len()] {
            assert_eq!(cut(&text, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_line_without_an_end_holds_no_more_than_its_bound() {
        let mut lines = Lines::default();
        for _ in 0..64 {
            lines.feed(&[b'x'; 8 * 1024], |_, _| {});
        }
        assert!(lines.begun.capacity() <= 2 * MAX_LINE);
    }
}
