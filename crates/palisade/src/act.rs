//! What is done to an installation without its server, written into its ledger.

use std::sync::Arc;

use palisade_bus::LocalBus;
use palisade_core::{
    Actor, AdministrativeAct, Clock, Door, Event, EventKind, Outcome, SystemClock, Timestamp,
    port::Journal,
};
use palisade_ledger::Ledger;
use palisade_store::Store;

use crate::failure::{Context, Failure};

/// Writes an act into the ledger of a store that no server has open; says when.
pub(crate) async fn record(
    store: &Store,
    act: &str,
    target: String,
    reason: Option<String>,
) -> Result<Timestamp, Failure> {
    let bus = Arc::new(LocalBus::new(store.clone()));
    let ledger = Ledger::open(store.clone(), bus).await?;
    let act = AdministrativeAct {
        actor: Actor::Console,
        act: act.to_owned(),
        target,
        reason,
        outcome: Outcome::Done,
    };
    let now = SystemClock.now();
    let event = Event::new(now, Door::Internal, EventKind::Administrative(act));
    ledger.record(vec![event]).await.context("the ledger")?;
    ledger.close().await;
    Ok(now)
}
