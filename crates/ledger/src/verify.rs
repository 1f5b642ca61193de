//! Reading everything again.

use palisade_store::LedgerRow;
use palisade_tlog::{Checkpoint, Hash, Subtree, Tree, leaf};

use crate::{Ledger, LedgerError, chain::link, erase::Counts};

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Entries are missing.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// What an entry says is not what was hashed.
    #[error("entry {0} was changed: its text does not have its hash")]
    Changed(u64),
    /// An entry does not continue the chain: it was moved, or rewritten with its hash.
    #[error("entry {0} does not continue the chain: it or one before it was rewritten or moved")]
    Broken(u64),
    /// The ledger ends before it should.
    #[error("the ledger ends at entry {found}; it had {expected}: its end was cut off")]
    Cut {
        /// The last entry found.
        found: u64,
        /// The last entry that was written.
        expected: u64,
    },
    /// A hash of the tree is not that of its entries.
    #[error(
        "the hash that is kept over entries {first} to {last} is not theirs: one of them was rewritten, or the hash was"
    )]
    Tree {
        /// The first of the entries.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The entries are not those that were signed.
    #[error(
        "entries 1 to {0} are not those that the checkpoint over {0} was signed for: one of them was rewritten, \
         and all hashes after it made anew"
    )]
    Signed(u64),
    /// What is kept of a person is not what the entry committed to.
    #[error(
        "what is kept beside entry {seq} as its {field} is not what the entry committed to: it was changed"
    )]
    Personal {
        /// Which entry.
        seq: u64,
        /// What of it.
        field: String,
    },
    /// What is about persons is missing, and nobody erased it.
    #[error(
        "{missing} values that entries committed to are missing, and {erased} were erased on the record: somebody \
         removed others"
    )]
    Removed {
        /// How many are missing.
        missing: u64,
        /// How many were erased.
        erased: u64,
    },
    /// There are fewer entries than were signed.
    #[error(
        "the ledger ends at entry {found}; a checkpoint over {signed} was signed: its end was cut off, or it was \
         rolled back"
    )]
    Shorter {
        /// The last entry found.
        found: u64,
        /// How many were signed.
        signed: u64,
    },
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many entries were read and are good.
    pub entries: u64,
    /// The root of the tree over them.
    pub root: Hash,
    /// The first fault, if there is one.
    pub fault: Option<Fault>,
}

impl Ledger {
    /// Reads all entries again and checks every hash. `progress` is told how many were read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verify(
        &self,
        progress: impl FnMut(u64) + Send,
    ) -> Result<Verification, LedgerError> {
        self.verify_against(&[], progress).await
    }

    /// Reads all entries again and checks every hash, and that checkpoints which are believed are over these
    /// entries.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn verify_against(
        &self,
        signed: &[Checkpoint],
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Verification, LedgerError> {
        const PAGE: u32 = 5_000;
        let (expected, _) = self.head();
        let (mut tree, mut chain) = (Tree::default(), Hash::default());
        let mut counts = Counts::default();
        loop {
            let rows = self.store.journal().ledger_after(tree.size(), PAGE).await?;
            let mut completed = Vec::new();
            if let Some(fault) = self.check_personal(&rows, &mut counts).await? {
                return Ok(report(&tree, Some(fault)));
            }
            for row in &rows {
                match check(row, tree.size() + 1, &chain) {
                    Ok((hash, next)) => {
                        tree.push_telling(hash, |subtree, hash| completed.push((subtree, hash)));
                        chain = next;
                    }
                    Err(fault) => return Ok(report(&tree, Some(fault))),
                }
                if let Some(fault) = contradicts(&tree, signed) {
                    return Ok(report(&tree, Some(fault)));
                }
            }
            if let Some(fault) = self.differs(&completed).await? {
                return Ok(report(&tree, Some(fault)));
            }
            progress(tree.size());
            if rows.len() < PAGE as usize {
                break;
            }
        }
        let found = tree.size();
        let cut = (found < expected).then_some(Fault::Cut { found, expected });
        let most = signed.iter().map(|signed| signed.size).max().unwrap_or(0);
        let shorter = Fault::Shorter {
            found,
            signed: most,
        };
        let Counts { missing, erased } = counts;
        let removed = (missing > erased).then_some(Fault::Removed { missing, erased });
        let fault = cut.or((found < most).then_some(shorter)).or(removed);
        Ok(report(&tree, fault))
    }

    /// The first of the hashes of full tiles that is not kept as it is.
    async fn differs(&self, completed: &[(Subtree, Hash)]) -> Result<Option<Fault>, LedgerError> {
        for height in [8, 16, 24, 32, 40, 48, 56] {
            let mut of_it = completed
                .iter()
                .filter(|(subtree, _)| subtree.height == height);
            let Some((first, _)) = of_it.clone().next() else {
                break;
            };
            let (level, count) = (height / 8, of_it.clone().count() as u32);
            let tree = self.store.ledger_tree();
            let kept = tree.nodes(level, first.index, count).await?;
            let is_kept = |subtree: &Subtree, hash: &Hash| {
                let mut kept = kept.iter();
                kept.any(|(index, kept)| *index == subtree.index && kept == hash)
            };
            let other = of_it.find(|(subtree, hash)| !is_kept(subtree, hash));
            if let Some((subtree, _)) = other {
                return Ok(Some(Fault::Tree {
                    first: subtree.first() + 1,
                    last: subtree.first() + subtree.leaves(),
                }));
            }
        }
        Ok(None)
    }
}

/// Whether a checkpoint over just so many entries has another root.
fn contradicts(tree: &Tree, signed: &[Checkpoint]) -> Option<Fault> {
    let size = tree.size();
    let mut of_it = signed.iter().filter(|signed| signed.size == size);
    of_it
        .any(|signed| signed.root != tree.root())
        .then_some(Fault::Signed(size))
}

fn report(tree: &Tree, fault: Option<Fault>) -> Verification {
    Verification {
        entries: tree.size(),
        root: tree.root(),
        fault,
    }
}

fn check(row: &LedgerRow, seq: u64, chain: &Hash) -> Result<(Hash, Hash), Fault> {
    if row.seq != seq {
        return Err(Fault::Missing(seq));
    }
    let hash = leaf(row.body.as_bytes());
    if row.leaf != hash {
        return Err(Fault::Changed(seq));
    }
    let next = link(chain, seq, &hash);
    if row.chain != next {
        Err(Fault::Broken(seq))
    } else {
        Ok((hash, next))
    }
}
