//! Which of two versions is the newer, as makers write them.

use std::cmp::Ordering;

/// Compares part by part: numbers as numbers, words as words; of two that begin alike the longer is
/// newer, but for one that goes on with a word (`1.0-rc1` comes before `1.0`).
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        let (one, other) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (Some(more), None) => return rest(more),
            (None, Some(more)) => return rest(more).reverse(),
            (Some(one), Some(other)) => (one, other),
        };
        let ordering = match (number(one), number(other)) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (None, None) => one.cmp(other),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

fn rest(more: &str) -> Ordering {
    match number(more) {
        Some(_) => Ordering::Greater,
        None => Ordering::Less,
    }
}

/// Runs of digits and runs of letters.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let is_number = rest.chars().next()?.is_ascii_digit();
        let ends = |c: char| !c.is_alphanumeric() || c.is_ascii_digit() != is_number;
        let (part, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        rest = after;
        Some(part)
    })
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_their_makers_count() {
        for (older, newer) in [
            ("1.9.0", "1.10.0"),
            ("1.0", "1.0.1"),
            ("v1.2", "v1.3"),
            ("1.0-rc1", "1.0"),
            ("2024.12", "2025.1"),
            ("firmware 3", "firmware 12"),
            ("", "1"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
            assert_eq!(compare(newer, newer), Ordering::Equal);
        }
    }
}
