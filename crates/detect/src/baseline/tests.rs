//! Baselines as a whole, fed with events as the engine feeds them, without a store.

mod alarms;
mod learning;
mod sets;
mod times;
mod verdicts;
mod world;
