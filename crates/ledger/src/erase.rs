//! Persons in the ledger: read with their entries, destroyed when they are erased.

use palisade_core::{Event, EventId, port::Journal};
use palisade_store::{LedgerRow, PersonalRow};
use palisade_tlog::Opening;
use serde_json::Value;

use crate::{
    Fault, Ledger, LedgerError,
    personal::{commitments, is_about, may_have, opening, reveal},
};

/// The act under which an erasure is an entry. Its target begins with a number and names nobody.
pub(crate) const ERASE: &str = "account.erase";
/// Entries that are looked through at a time.
const PART: u64 = 5_000;

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// How many values.
    pub values: u64,
    /// Of how many entries.
    pub entries: u64,
    /// Whether the database was written anew, so that no copy of a page is left in its free room.
    pub is_compacted: bool,
}

/// Values that verification missed, and that erasures say they destroyed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) missing: u64,
    pub(crate) erased: u64,
}

impl Ledger {
    /// The events of some entries, in order and without a gap, with all about persons that is not erased.
    ///
    /// # Errors
    /// When the database fails, or an entry is damaged.
    pub async fn revealed(&self, rows: &[LedgerRow]) -> Result<Vec<String>, LedgerError> {
        let personal = self.personal(rows).await?;
        let of = |row: &LedgerRow| match may_have(&row.body) {
            true => reveal(&row.body, &of_entry(&personal, row.seq)),
            false => Ok(row.body.clone()),
        };
        rows.iter().map(of).collect()
    }

    /// What opens the commitments of some entries.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn openings(&self, rows: &[LedgerRow]) -> Result<Vec<Vec<Opening>>, LedgerError> {
        let personal = self.personal(rows).await?;
        let of = |row: &LedgerRow| {
            let of_it = of_entry(&personal, row.seq);
            of_it.into_iter().filter_map(opening).collect()
        };
        Ok(rows.iter().map(of).collect())
    }

    async fn personal(&self, rows: &[LedgerRow]) -> Result<Vec<PersonalRow>, LedgerError> {
        match rows {
            [first, ..] if rows.iter().any(|row| may_have(&row.body)) => {
                let seqs = rows.iter().map(|row| row.seq);
                let (least, most) = seqs.fold((first.seq, first.seq), |(least, most), seq| {
                    (least.min(seq), most.max(seq))
                });
                Ok(self.store.journal().personal(least, most).await?)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Destroys what entries committed to about an account, and what events that are still on the stream say of it. The
    /// erasure is an entry first: `event` makes it, with how many values of how many entries are destroyed, which begin
    /// the target of the act. The tree stays as it was. A crash in the middle leaves some; it can be done again.
    ///
    /// # Errors
    /// When the entry cannot be written, or the database fails.
    pub async fn erase(
        &self,
        account: &str,
        event: impl FnOnce(u64, u64) -> Event + Send,
    ) -> Result<Erased, LedgerError> {
        let (end, _) = self.head();
        let (mut gone, mut events) = (Vec::new(), Vec::new());
        let mut first = 1;
        while first <= end {
            let last = end.min(first + PART - 1);
            let all = self.store.journal().personal(first, last).await?;
            let (about, others): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|row| is_about(row, account));
            events.extend(self.without(&about, &others).await?);
            gone.extend(about);
            first = last + 1;
        }
        let (values, entries) = (gone.len() as u64, events.len() as u64);
        let recorded = self.record(vec![event(values, entries)]).await;
        recorded.map_err(|error| LedgerError::Commit(error.to_string().into()))?;
        self.store.journal().erase_personal(&gone, &events).await?;
        let is_compacted = self.store.journal().scrub().await?;
        Ok(Erased {
            values,
            entries,
            is_compacted,
        })
    }

    /// The events of the entries of some values, with the others alone.
    async fn without(
        &self,
        about: &[PersonalRow],
        others: &[PersonalRow],
    ) -> Result<Vec<(EventId, String)>, LedgerError> {
        let mut events = Vec::new();
        let mut seqs: Vec<u64> = about.iter().map(|row| row.seq).collect();
        seqs.dedup();
        for seq in seqs {
            let rows = self.store.journal().ledger_after(seq - 1, 1).await?;
            let damaged = || LedgerError::Damaged { seq };
            let row = rows
                .into_iter()
                .find(|row| row.seq == seq)
                .ok_or_else(damaged)?;
            let body = reveal(&row.body, &of_entry(others, seq))?;
            let event: Value = serde_json::from_str(&body)?;
            let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
            events.push((EventId::parse(id).map_err(|_| damaged())?, body));
        }
        Ok(events)
    }

    /// Whether what is kept beside entries is what they committed to; what is missing is counted.
    pub(crate) async fn check_personal(
        &self,
        rows: &[LedgerRow],
        counts: &mut Counts,
    ) -> Result<Option<Fault>, LedgerError> {
        let personal = self.personal(rows).await?;
        for row in rows {
            if !may_have(&row.body) && !row.body.contains(ERASE) {
                continue;
            }
            // One that is no JSON any longer has lost its hash too, and is named for that.
            let Ok(entry) = serde_json::from_str::<Value>(&row.body) else {
                continue;
            };
            counts.erased += erased(&entry);
            let kept = of_entry(&personal, row.seq);
            let is_wrong = |row: &&&PersonalRow| !opening(row).is_some_and(|one| one.opens(&entry));
            if let Some(wrong) = kept.iter().find(is_wrong) {
                let (seq, field) = (wrong.seq, wrong.field.clone());
                return Ok(Some(Fault::Personal { seq, field }));
            }
            let opened = |field: &&&str| kept.iter().any(|row| row.field == ***field);
            let held = commitments(&entry);
            counts.missing += (held.len() - held.iter().filter(opened).count()) as u64;
        }
        Ok(None)
    }
}

/// How many values an entry says that it destroyed, if it is an erasure.
fn erased(entry: &Value) -> u64 {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_one =
        text("kind") == "administrative" && text("act") == ERASE && text("outcome") == "done";
    let first = text("target").split(' ').next().unwrap_or_default();
    first.parse().ok().filter(|_| is_one).unwrap_or(0)
}

fn of_entry(personal: &[PersonalRow], seq: u64) -> Vec<&PersonalRow> {
    let first = personal.partition_point(|row| row.seq < seq);
    let rest = personal.get(first..).unwrap_or_default();
    rest.iter().take_while(|row| row.seq == seq).collect()
}
