//! Reading everything again.

use palisade_store::LedgerRow;

use crate::{
    Ledger, LedgerError,
    chain::{Hash, Tree, leaf, link},
};

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
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Verification, LedgerError> {
        const PAGE: u32 = 5_000;
        let (expected, _) = self.head();
        let (mut tree, mut chain) = (Tree::default(), Hash::default());
        loop {
            let rows = self.store.journal().ledger_after(tree.size(), PAGE).await?;
            for row in &rows {
                match check(row, tree.size() + 1, &chain) {
                    Ok((hash, next)) => {
                        tree.push(hash);
                        chain = next;
                    }
                    Err(fault) => return Ok(report(&tree, Some(fault))),
                }
            }
            progress(tree.size());
            if rows.len() < PAGE as usize {
                break;
            }
        }
        let found = tree.size();
        let fault = (found < expected).then_some(Fault::Cut { found, expected });
        Ok(report(&tree, fault))
    }
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
