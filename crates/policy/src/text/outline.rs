//! The outline of a policy text, read before Cedar reads it. Cedar's parser and everything after it
//! recurse as deep as an expression nests, so a hostile text could overflow the stack, which no error
//! handling survives. The outline counts, without recursion, what makes an expression deep: brackets
//! that stand in brackets, and operators (`a || b || c` and `a["x"]["y"]` nest once an operator). What
//! passes is read on a deep stack, where it is measured exactly.

use cedar_policy::Policy;

use super::PolicyProblem;

/// The most brackets within brackets.
const MAX_BRACKETS: usize = 48;
/// The most operators in one policy.
const MAX_OPERATORS: usize = 1_000;

/// Where the statements of a text begin.
#[derive(Debug, Default)]
pub(super) struct Outline {
    lines: Vec<usize>,
}

impl Outline {
    /// Reads a text; what is not Cedar at all is left for the parser to say.
    pub(super) fn of(text: &str) -> Result<Self, PolicyProblem> {
        let mut outline = Self::default();
        let (mut line, mut brackets, mut operators) = (1, 0_usize, 0_usize);
        let mut in_statement = false;
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'\n' => line += 1,
                b'/' if rest.first() == Some(&b'/') => rest = skip_comment(rest),
                byte if byte.is_ascii_whitespace() => {}
                b';' => {
                    (brackets, operators, in_statement) = (0, 0, false);
                }
                _ => {
                    if !in_statement {
                        outline.lines.push(line);
                        in_statement = true;
                    }
                    match byte {
                        b'"' => rest = skip_string(rest, &mut line),
                        b'(' | b'[' | b'{' => (brackets, operators) = (brackets + 1, operators + 1),
                        b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
                        b',' | b':' | b'@' => {}
                        byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                            let word;
                            (word, rest) = split_word(byte, rest);
                            operators += usize::from(is_operator(word));
                        }
                        _ => operators += 1,
                    }
                }
            }
            if brackets > MAX_BRACKETS {
                let message = format!("brackets nest at most {MAX_BRACKETS} deep");
                return Err(PolicyProblem::at(line, message));
            }
            if operators > MAX_OPERATORS {
                let message = format!("a policy has at most {MAX_OPERATORS} operators: split it");
                return Err(PolicyProblem::at(line, message));
            }
        }
        Ok(outline)
    }

    /// How many statements there are.
    pub(super) fn statements(&self) -> usize {
        self.lines.len()
    }

    /// The line on which a policy begins. Cedar names policies `policy0`, `policy1`, ... in order.
    pub(super) fn line_of_policy(&self, policy: &Policy) -> Option<usize> {
        let index: usize = policy
            .id()
            .to_string()
            .strip_prefix("policy")?
            .parse()
            .ok()?;
        self.lines.get(index).copied()
    }
}

fn skip_comment(rest: &[u8]) -> &[u8] {
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(rest.len());
    rest.get(end..).unwrap_or_default()
}

fn skip_string<'a>(mut rest: &'a [u8], line: &mut usize) -> &'a [u8] {
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => rest = rest.get(1..).unwrap_or_default(),
            b'\n' => *line += 1,
            _ => {}
        }
    }
    rest
}

/// The word whose first byte was read already; `word` is what follows the first byte.
fn split_word(first: u8, rest: &[u8]) -> ((u8, &[u8]), &[u8]) {
    let end = rest
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .unwrap_or(rest.len());
    let (tail, after) = rest.split_at(end);
    ((first, tail), after)
}

fn is_operator((first, tail): (u8, &[u8])) -> bool {
    matches!(
        (first, tail),
        (b'i', b"f" | b"n" | b"s")
            | (b't', b"hen")
            | (b'e', b"lse")
            | (b'h', b"as")
            | (b'l', b"ike")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_operators_in_strings_and_comments_do_not_count() {
        let text = format!(
            "// {0}\n@id(\"{0}\")\npermit (principal, action, resource); // {0}\n\npermit",
            "(".repeat(200)
        );
        let outline = Outline::of(&text).expect("shallow");
        assert_eq!(outline.lines, [2, 5]);
    }

    #[test]
    fn what_would_recurse_deep_is_refused_with_its_line() {
        for deep in [
            "(",
            "[",
            "{",
            "!",
            "-",
            "a.",
            "a||",
            "a&&",
            "a+",
            "if a then ",
            "a has ",
            "$",
        ] {
            let text = format!(
                "permit (principal, action, resource)\nwhen {{ {}",
                deep.repeat(2_000)
            );
            assert_eq!(Outline::of(&text).expect_err(deep).line, Some(2), "{deep}");
        }
    }

    #[test]
    fn a_string_that_never_ends_is_no_trouble() {
        for text in ["\"", "\"\\", "permit \"\\\"", "/", "//", ""] {
            assert!(Outline::of(text).is_ok());
        }
    }
}
