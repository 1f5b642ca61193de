//! Whether the server writes down what happens, and somebody reads it.

use palisade_core::Timestamp;
use palisade_store::LedgerRow;

use super::{
    LoggingTrouble,
    look::{Look, LookError, Noted, days_between},
};
use crate::Subject;

pub(super) async fn logging(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let troubles = look.source.logging().await.map_err(LookError::Source)?;
    noted.looked_at = 1 + troubles.len() as u64;
    for LoggingTrouble { part, detail } in troubles {
        noted.note(part, &Subject::Fleet, &detail);
    }
    let verified = look.store.settings().ledger_verified_at().await?;
    let since = match verified {
        Some(at) => Some(at),
        None => first_entry(look).await?,
    };
    let Some(since) = since.filter(|at| *at < look.days_ago(look.config.ledger_days)) else {
        return Ok(());
    };
    let days = days_between(since, look.now);
    let detail = match verified {
        Some(at) => format!("the ledger was last verified {days} days ago, on {at}"),
        None => format!("the ledger began {days} days ago and was never verified"),
    };
    noted.note("ledger".to_owned(), &Subject::Fleet, &detail);
    Ok(())
}

/// When the first entry of the ledger was written.
async fn first_entry(look: &Look<'_>) -> Result<Option<Timestamp>, LookError> {
    let first = look.store.journal().ledger_after(0, 1).await?;
    // An entry that cannot be read is what a verification finds.
    Ok(first.first().and_then(LedgerRow::time))
}
