//! Entries of a log that are checked without a server: JSON, an object a line. The first line has the
//! checkpoint and the hashes over all entries before and after; each line that follows is an entry.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use crate::{
    commitment::Opening,
    hash::{Hash, base64, leaf, node, parse_base64},
    note::{Note, NoteError},
    proof::{Span, fold, subtrees},
    trust::{Believed, Trust, TrustError},
};

/// The form of a bundle.
const FORM: &str = "palisade-ledger-bundle/1";
/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 4 * 1024 * 1024;

/// Why a bundle proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it has to be.
    #[error("line {line} of the bundle: {why}")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// Its checkpoint is no note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Its checkpoint is not to be believed.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Entries are missing.
    #[error("the bundle says that it has entries {from} to {to}, and ends after {found}")]
    Cut {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// The last one found.
        found: u64,
    },
    /// An entry, or a hash over others, is not what was signed.
    #[error(
        "the entries of the bundle are not those that the checkpoint was signed for: one was changed, added or \
         removed"
    )]
    Root,
}

/// The first line of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleHead {
    bundle: String,
    /// The first entry, counted from 1.
    pub from: u64,
    /// The last entry.
    pub to: u64,
    /// The checkpoint, with its signatures.
    pub checkpoint: String,
    /// The hashes over the entries before, in base 64, from left to right.
    pub before: Vec<String>,
    /// The hashes over those after.
    pub after: Vec<String>,
}

/// The spans whose subtrees a bundle has hashes of: what is before its entries, and what is after.
#[must_use]
pub fn around(from: u64, to: u64, size: u64) -> (Span, Span) {
    let before = Span {
        first: 0,
        end: from.saturating_sub(1),
    };
    let after = Span {
        first: to,
        end: size,
    };
    (before, after)
}

impl BundleHead {
    /// The first line of a bundle of entries `from` to `to`.
    #[must_use]
    pub fn new(
        (from, to): (u64, u64),
        checkpoint: String,
        before: &[Hash],
        after: &[Hash],
    ) -> Self {
        let encode = |hashes: &[Hash]| hashes.iter().map(base64).collect();
        Self {
            bundle: FORM.to_owned(),
            from,
            to,
            checkpoint,
            before: encode(before),
            after: encode(after),
        }
    }
}

/// A line of a bundle: an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleEntry {
    /// Which it is, counted from 1.
    pub seq: u64,
    /// The entry, as it was hashed.
    pub entry: String,
    /// What opens the commitments in it; of persons that were erased there is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<Opening>,
}

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The first entry.
    pub from: u64,
    /// The last entry.
    pub to: u64,
    /// The checkpoint that they are under.
    pub believed: Believed,
}

/// Checks a bundle, reading it once.
///
/// # Errors
/// When it does not prove its entries under a checkpoint that is trusted.
pub fn check_bundle(bundle: impl BufRead, trust: &Trust) -> Result<Proved, BundleError> {
    let mut lines = Lines { bundle, read: 0 };
    let head: BundleHead = lines.next()?.ok_or_else(|| lines.wrong("it is empty"))?;
    if head.bundle != FORM {
        return Err(lines.wrong(format!(
            "its form is {:?}, and {FORM} is known",
            head.bundle
        )));
    }
    let note: Note = head.checkpoint.parse()?;
    let believed = trust.open(&note)?;
    let (from, to, size) = (head.from, head.to, believed.checkpoint.size);
    if from == 0 || from > to || to > size {
        return Err(lines.wrong(format!("there are no entries {from} to {to} among {size}")));
    }
    let (before, after) = around(from, to, size);
    let mut parts =
        decode(&head.before, before).ok_or_else(|| lines.wrong("`before` is not as it must be"))?;
    let mut after =
        decode(&head.after, after).ok_or_else(|| lines.wrong("`after` is not as it must be"))?;
    let mut next = from;
    while next <= to {
        let Some(line) = lines.next::<BundleEntry>()? else {
            let found = next - 1;
            return Err(BundleError::Cut { from, to, found });
        };
        if line.seq != next {
            return Err(lines.wrong(format!("entry {next} was to come, and {} did", line.seq)));
        }
        if !line.personal.is_empty() {
            let entry = serde_json::from_str(&line.entry).map_err(|error| lines.wrong(error))?;
            if let Some(wrong) = line.personal.iter().find(|opening| !opening.opens(&entry)) {
                let why = format!(
                    "{} of entry {next} is not what was committed to",
                    wrong.field
                );
                return Err(lines.wrong(why));
            }
        }
        parts.push((next - 1, 0, leaf(line.entry.as_bytes())));
        join(&mut parts);
        next += 1;
    }
    if lines.next::<serde_json::Value>()?.is_some() {
        return Err(lines.wrong(format!("more follows after entry {to}")));
    }
    after.reverse();
    while let Some(part) = after.pop() {
        parts.push(part);
        join(&mut parts);
    }
    let hashes: Vec<Hash> = parts.into_iter().map(|(_, _, hash)| hash).collect();
    match fold(&hashes) == believed.checkpoint.root {
        true => Ok(Proved { from, to, believed }),
        false => Err(BundleError::Root),
    }
}

/// A full subtree with its hash: its first leaf, its height.
type Part = (u64, u8, Hash);

fn decode(hashes: &[String], span: Span) -> Option<Vec<Part>> {
    let wanted = subtrees(span);
    if wanted.len() != hashes.len() {
        return None;
    }
    let parts = wanted.iter().zip(hashes);
    parts
        .map(|(subtree, hash)| Some((subtree.first(), subtree.height, parse_base64(hash)?)))
        .collect()
}

/// Joins the last subtrees while they are halves of one.
fn join(parts: &mut Vec<Part>) {
    while let [.., (first, height, left), (second, other, right)] = parts.as_slice() {
        let is_whole =
            height == other && first & ((2 << height) - 1) == 0 && second - first == 1 << height;
        if !is_whole {
            return;
        }
        let joined = (*first, height + 1, node(left, right));
        parts.truncate(parts.len() - 2);
        parts.push(joined);
    }
}

struct Lines<R> {
    bundle: R,
    read: u64,
}

impl<R: BufRead> Lines<R> {
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, BundleError> {
        let mut line = Vec::new();
        self.read += 1;
        let read = (&mut self.bundle)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        match read {
            0 => return Ok(None),
            read if read as u64 == MAX_LINE => return Err(self.wrong("it is too long")),
            _ => {}
        }
        let parsed = serde_json::from_slice(&line);
        parsed.map(Some).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, why: impl ToString) -> BundleError {
        let (line, why) = (self.read, why.to_string());
        BundleError::Line { line, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Tree,
        key::Algorithm,
        tests::{Signer, signer},
    };

    fn tree(entries: &[String]) -> Tree {
        let mut tree = Tree::default();
        entries
            .iter()
            .for_each(|entry| tree.push(leaf(entry.as_bytes())));
        tree
    }

    fn entries(count: u64) -> Vec<String> {
        (1..=count).map(|n| format!("{{\"n\":{n}}}")).collect()
    }

    fn bundle(log: &Signer, (from, to): (u64, u64), all: &[String]) -> String {
        let size = all.len() as u64;
        let hashes = |span: Span| -> Vec<Hash> {
            let of = |part: &crate::Subtree| {
                let first = part.first() as usize;
                tree(&all[first..first + part.leaves() as usize]).root()
            };
            subtrees(span).iter().map(of).collect()
        };
        let (before, after) = around(from, to, size);
        let checkpoint = log.checkpoint("log", size, tree(all).root()).to_string();
        let head = BundleHead::new((from, to), checkpoint, &hashes(before), &hashes(after));
        let mut text = serde_json::to_string(&head).expect("json") + "\n";
        for seq in from..=to {
            let entry = all[(seq - 1) as usize].clone();
            text += &(serde_json::to_string(&BundleEntry {
                seq,
                entry,
                personal: Vec::new(),
            })
            .expect("json")
                + "\n");
        }
        text
    }

    #[test]
    fn every_part_of_every_log_is_proved() {
        let log = signer("log", Algorithm::Ed25519);
        for size in 1..18 {
            let all = entries(size);
            for from in 1..=size {
                for to in from..=size {
                    let text = bundle(&log, (from, to), &all);
                    let proved = check_bundle(text.as_bytes(), &log.trust());
                    let proved =
                        proved.unwrap_or_else(|error| panic!("{from} to {to} of {size}: {error}"));
                    assert_eq!((proved.from, proved.to), (from, to));
                }
            }
        }
    }

    #[test]
    fn what_is_kept_beside_an_entry_is_what_it_committed_to() {
        let log = signer("log", Algorithm::Ed25519);
        let held = crate::commitment(&[7; 32], "anna");
        let entry = format!("{{\"actor\":\"{held}\"}}");
        let good = bundle(&log, (1, 1), std::slice::from_ref(&entry));
        let (head, _) = good.split_once('\n').expect("two lines");
        let with = |value: &str| {
            let personal = vec![Opening::new("/actor", &[7; 32], value)];
            let line = BundleEntry {
                seq: 1,
                entry: entry.clone(),
                personal,
            };
            format!("{head}\n{}\n", serde_json::to_string(&line).expect("json"))
        };
        check_bundle(with("anna").as_bytes(), &log.trust()).expect("is proved");
        let refused = check_bundle(with("bert").as_bytes(), &log.trust());
        assert!(matches!(refused, Err(BundleError::Line { line: 2, .. })));
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let log = signer("log", Algorithm::Ed25519);
        let good = bundle(&log, (5, 9), &entries(13));
        let check = |text: &str| check_bundle(text.as_bytes(), &log.trust()).expect_err(text);
        assert!(matches!(
            check(&good.replace(":7}", ":8}")),
            BundleError::Root
        ));
        let lines: Vec<&str> = good.lines().collect();
        let without = |at: usize| {
            let mut lines = lines.clone();
            lines.remove(at);
            lines.join("\n") + "\n"
        };
        assert!(matches!(
            check(&without(5)),
            BundleError::Cut { found: 8, .. }
        ));
        assert!(matches!(
            check(&without(2)),
            BundleError::Line { line: 3, .. }
        ));
        assert!(matches!(
            check(&without(0)),
            BundleError::Line { line: 1, .. }
        ));
        let more = good.clone() + lines[5] + "\n";
        assert!(matches!(check(&more), BundleError::Line { line: 7, .. }));
        for (from, to) in [
            ("\"from\":5", "\"from\":6"),
            ("\"to\":9", "\"to\":14"),
            ("bundle/1", "bundle/2"),
        ] {
            assert!(matches!(
                check(&good.replace(from, to)),
                BundleError::Line { line: 1, .. }
            ));
        }
        let other = signer("log", Algorithm::Ed25519);
        assert!(matches!(
            check_bundle(good.as_bytes(), &other.trust()),
            Err(BundleError::Trust(_))
        ));
        assert!(matches!(check(""), BundleError::Line { line: 1, .. }));
    }
}
