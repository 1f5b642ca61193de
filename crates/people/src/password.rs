//! What a password must be: one engine for whoever chooses one. It looks at a bounded part of a bounded
//! text, and says of each rule that failed how to mend it.

mod blocklist;
mod common;
mod hash;

use std::sync::Arc;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;
use zxcvbn::matching::patterns::MatchPattern;

pub use blocklist::{Blocklist, BlocklistError};
pub use hash::{HashError, PasswordHash};

use crate::PasswordRules;

/// The longest password, in bytes.
const MAX_BYTES: usize = 256;
/// How many characters the estimate of strength looks at: its work grows faster than its input.
const MAX_ESTIMATED: usize = 64;
/// Words of the account's own that are looked for, and how long each may be.
const MAX_WORDS: usize = 16;
const MAX_WORD: usize = 128;
/// A shorter word stands in too many passwords by chance.
const MIN_WORD: usize = 4;

/// A rule that a password can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// It is long enough.
    Length,
    /// It is not longer than what is hashed.
    TooLong,
    /// It has characters of several classes.
    Classes,
    /// It is hard to guess.
    Strength,
    /// It is none that everybody knows, and no default credential.
    Common,
    /// It is on no list of passwords that became known.
    Blocklist,
    /// It does not hold the account's own data.
    OwnData,
    /// The account did not have it before.
    Reused,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Length,
        Self::TooLong,
        Self::Classes,
        Self::Strength,
        Self::Common,
        Self::Blocklist,
        Self::OwnData,
        Self::Reused,
    ];
}

/// A rule that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failing {
    /// Which.
    pub rule: Rule,
    /// How to mend it. It says nothing of the password but what whoever chose it knows.
    pub mend: String,
}

/// What is thought of a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether no rule failed.
    pub acceptable: bool,
    /// How hard it is to guess, 0 to 4.
    pub strength: u8,
    /// Each rule that failed.
    pub failing: Vec<Failing>,
}

impl Verdict {
    /// Whether a rule failed.
    #[must_use]
    pub fn fails(&self, rule: Rule) -> bool {
        self.failing.iter().any(|failing| failing.rule == rule)
    }
}

/// For whom a password is.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The account's own data: its name, its address, the device's id and product.
    pub own: Vec<String>,
    /// Whether a second factor stands beside the password.
    pub second_factor: bool,
    /// What the account had before, the one in use included.
    pub previous: Vec<PasswordHash>,
}

/// A class of characters: its name, and what is of it.
type Class = (&'static str, fn(char) -> bool);

/// Judges passwords.
#[derive(Debug, Clone, Default)]
pub struct PasswordPolicy {
    rules: PasswordRules,
    blocklist: Option<Arc<Blocklist>>,
}

impl PasswordPolicy {
    /// Judges by these rules, and by a list of passwords that became known, where there is one.
    #[must_use]
    pub fn new(rules: PasswordRules, blocklist: Option<Blocklist>) -> Self {
        Self {
            rules,
            blocklist: blocklist.map(Arc::new),
        }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &PasswordRules {
        &self.rules
    }

    /// Judges a password. The work is bounded, and it is work: up to some milliseconds, and a hash for
    /// each of the previous passwords. Do it off the threads that serve requests
    /// ([`Workshop`](crate::Workshop)).
    #[must_use]
    pub fn judge(&self, candidate: &str, context: &Context) -> Verdict {
        if candidate.len() > MAX_BYTES {
            let mend = format!("use at most {MAX_BYTES} bytes");
            return Verdict {
                acceptable: false,
                strength: 0,
                failing: vec![Failing {
                    rule: Rule::TooLong,
                    mend,
                }],
            };
        }
        let candidate = normalise(candidate);
        let mut failing = Vec::new();
        let mut fail = |rule, mend: String| failing.push(Failing { rule, mend });
        if let Some(mend) = self.length(&candidate, context) {
            fail(Rule::Length, mend);
        }
        if let Some(mend) = self.classes(&candidate) {
            fail(Rule::Classes, mend);
        }
        let own = own_words(&context.own);
        let (strength, is_one_word) = estimate(&candidate, &own);
        if strength < self.rules.min_strength {
            let mend = "it is easily guessed: add words that have nothing to do with each other";
            fail(Rule::Strength, mend.to_owned());
        }
        if is_one_word || common::is_known(&candidate) {
            let mend = "everybody knows it, or it is made of a default one or of the name of this product: \
                        choose another";
            fail(Rule::Common, mend.to_owned());
        }
        if let Some(list) = &self.blocklist
            && list.contains(&candidate)
        {
            let mend = "it is on the list of passwords that became known: choose another";
            fail(Rule::Blocklist, mend.to_owned());
        }
        if holds_own(&candidate, &own) {
            let mend = "it holds the name or other data of whom it is for: leave that out";
            fail(Rule::OwnData, mend.to_owned());
        }
        let kept = self.rules.history.saturating_add(1);
        if context
            .previous
            .iter()
            .take(kept)
            .any(|one| one.is_of(&candidate))
        {
            let mend = "it was in use before: choose one that never was";
            fail(Rule::Reused, mend.to_owned());
        }
        Verdict {
            acceptable: failing.is_empty(),
            strength,
            failing,
        }
    }

    fn length(&self, candidate: &str, context: &Context) -> Option<String> {
        let (least, beside) = match context.second_factor {
            true => (
                self.rules.min_length_with_second_factor,
                " beside a second factor",
            ),
            false => (self.rules.min_length, ""),
        };
        let length = candidate.chars().count();
        (length < least).then(|| {
            let more = least - length;
            format!("use {least} characters or more{beside}: {more} more than now")
        })
    }

    fn classes(&self, candidate: &str) -> Option<String> {
        if candidate.chars().count() >= self.rules.passphrase_length {
            return None;
        }
        let classes: [Class; 4] = [
            ("small letters", char::is_lowercase),
            ("capital letters", char::is_uppercase),
            ("digits", char::is_numeric),
            ("other characters", |one| {
                !one.is_lowercase() && !one.is_uppercase() && !one.is_numeric()
            }),
        ];
        let missing: Vec<_> = classes
            .iter()
            .filter(|(_, is_of)| !candidate.chars().any(is_of))
            .map(|(name, _)| *name)
            .collect();
        let wanted = usize::from(self.rules.classes);
        let found = classes.len() - missing.len();
        (found < wanted).then(|| {
            format!(
                "use {} more of these: {}; or a passphrase of {} characters",
                wanted - found,
                missing.join(", "),
                self.rules.passphrase_length
            )
        })
    }
}

/// The form in which a password is judged and hashed, so that it is the same from every keyboard
/// (NIST SP 800-63B-4, 3.1.1.2).
pub(crate) fn normalise(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfkc().collect())
}

/// How hard it is to guess, 0 to 4, and whether it is one word that everybody knows.
fn estimate(candidate: &str, own: &[String]) -> (u8, bool) {
    let start = start_of(candidate, MAX_ESTIMATED);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let found = zxcvbn::zxcvbn(start, &own);
    let is_one_word = match found.sequence() {
        [only] => matches!(only.pattern, MatchPattern::Dictionary(_)),
        _ => false,
    };
    (u8::from(found.score()), is_one_word)
}

fn start_of(text: &str, characters: usize) -> &str {
    match text.char_indices().nth(characters) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// The account's own words, and the parts that they are made of.
fn own_words(own: &[String]) -> Vec<String> {
    let mut words = Vec::new();
    for word in own.iter().take(MAX_WORDS) {
        let word = start_of(word, MAX_WORD).to_lowercase();
        let parts = word.split(|one: char| !one.is_alphanumeric());
        words.extend(parts.map(str::to_owned));
        words.push(word);
    }
    words.retain(|word| word.chars().count() >= MIN_WORD);
    words.sort_unstable();
    words.dedup();
    words.truncate(4 * MAX_WORDS);
    words
}

fn holds_own(candidate: &str, own: &[String]) -> bool {
    let plain = candidate.to_lowercase();
    let folded = common::fold(candidate);
    let holds = |word: &String| plain.contains(word) || folded.contains(&common::fold(word));
    own.iter().any(holds)
}

#[cfg(test)]
mod tests;
