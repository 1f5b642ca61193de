//! Patterns in which `*` stands for any characters.

/// Whether the whole text is as the pattern says. Takes time in proportion to both lengths multiplied, and
/// no memory.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last star was, and where in the text what follows it was tried.
    let mut back: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                back = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match back {
                Some((star, tried)) => {
                    back = Some((star, tried + 1));
                    (at, seen) = (star + 1, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        assert!(matches("rule/mqtt-*", "rule/mqtt-topic-scan"));
        assert!(matches("*", ""));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(matches("*scan", "topic-scan"));
        assert!(!matches("rule/mqtt-*", "rule/admin-x"));
        assert!(!matches("a?c", "abc"));
        assert!(!matches("abc", "abcd"));
        assert!(!matches("", "a"));
        // Would take a very long time if each star tried everything.
        let text = "a".repeat(10_000);
        assert!(!matches("*a*a*a*a*a*a*a*a*b", &text));
    }
}
