//! The life of an action, without I/O.

use std::time::Duration;

use jiff::SignedDuration;
use palisade_core::{ActionState, Timestamp};
use palisade_store::ActionRecord;

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The longest explanation that is kept, in characters.
const MAX_WHY: usize = 500;

/// What happens to an action.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionEvent {
    /// A person approved it.
    Approved(String),
    /// A person approved it, and it was done meanwhile by another action.
    DoneBefore(String, String),
    /// A person rejected it.
    Rejected(String, String),
    /// Nobody decided in time.
    Expired,
    /// It waited, and can bring nothing any longer.
    Moot(String),
    /// Response was stopped before it was done; it waits for a person until a moment.
    Stopped(String, Timestamp),
    /// It is done; the effector remembers this.
    Applied(Option<serde_json::Value>),
    /// It failed and may be tried again until a moment.
    Faltered(String, Timestamp),
    /// It failed for good.
    Failed(String),
    /// It came to its end by itself: nothing is left to be taken back.
    Over(String),
    /// Its time is over.
    Ended,
    /// A person takes it back.
    Undo(String, String),
    /// It is taken back.
    Undone(String),
    /// Taking it back failed; it is tried again.
    UndoFaltered(String),
    /// Somebody else took back what it did.
    Lifted(String),
}

/// A step that the life of an action does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the action is {}: {why}", name(*.state))]
pub struct ActionStepError {
    /// Where it stands.
    pub state: ActionState,
    why: &'static str,
}

/// The name of a state on the wire.
#[must_use]
pub fn name(state: ActionState) -> &'static str {
    match state {
        ActionState::Observed => "observed",
        ActionState::DryRun => "dry_run",
        ActionState::Waiting => "waiting",
        ActionState::Rejected => "rejected",
        ActionState::Running => "running",
        ActionState::Done => "done",
        ActionState::Failed => "failed",
        ActionState::Undoing => "undoing",
        ActionState::Undone => "undone",
    }
}

/// Takes an action on by one step, at `now`.
///
/// # Errors
/// When it is nowhere that the step leads from; it is unchanged then.
pub fn step(
    record: &mut ActionRecord,
    event: ActionEvent,
    now: Timestamp,
) -> Result<(), ActionStepError> {
    use ActionState::{Done, Failed, Rejected, Running, Undoing, Undone, Waiting};
    let state = record.state;
    let wrong = |why| Err(ActionStepError { state, why });
    match (state, event) {
        (Waiting, ActionEvent::Approved(by)) => {
            go(record, Running, format!("approved by {by}"));
            record.decided_by = Some(by);
            record.due_at = Some(now);
        }
        (Waiting, ActionEvent::DoneBefore(by, why)) => {
            end(record, Done, why, now);
            record.decided_by = Some(by);
        }
        (Waiting, ActionEvent::Rejected(by, why)) => {
            end(
                record,
                Rejected,
                with(format!("rejected by {by}"), &why),
                now,
            );
            record.decided_by = Some(by);
            record.refused = true;
        }
        (Waiting, ActionEvent::Expired) => {
            end(record, Rejected, "nobody decided in time".to_owned(), now);
        }
        (Waiting, ActionEvent::Moot(why)) => end(record, Rejected, why, now),
        (Running, ActionEvent::Stopped(why, until)) => {
            go(record, Waiting, why);
            record.due_at = Some(until);
        }
        (Running, ActionEvent::Applied(memory)) => applied(record, memory, now),
        (Running, ActionEvent::Faltered(why, until)) => {
            record.attempts = record.attempts.saturating_add(1);
            let next = now + wait(record.attempts);
            if next > until {
                end(record, Failed, with("given up".to_owned(), &why), now);
            } else {
                record.why = short(with("it is tried again".to_owned(), &why));
                record.due_at = Some(next);
            }
        }
        (Running, ActionEvent::Failed(why)) => end(record, Failed, why, now),
        (Done, ActionEvent::Over(why)) if record.memory.is_some() => {
            end(record, Done, why, now);
            (record.memory, record.until, record.told) = (None, None, None);
        }
        (Done, ActionEvent::Ended) => {
            go(record, Undoing, "its time is over".to_owned());
            record.due_at = Some(now);
        }
        (Done, ActionEvent::Undo(by, why)) if record.memory.is_some() => {
            go(record, Undoing, with(format!("undone by {by}"), &why));
            record.decided_by = Some(by);
            record.refused = true;
            record.due_at = Some(now);
        }
        (Done, ActionEvent::Undo(..)) => return wrong("it left nothing that could be undone"),
        (Done, ActionEvent::Lifted(why)) => {
            end(record, Undone, why, now);
            record.lifted = true;
        }
        (Undoing, ActionEvent::Undone(why)) => {
            let why = with(record.why.clone(), &why);
            end(record, Undone, why, now);
        }
        (Undoing, ActionEvent::UndoFaltered(why)) => {
            record.attempts = record.attempts.saturating_add(1);
            record.due_at = Some(now + wait(record.attempts));
            tracing::warn!(action = %record.order.id, %why, "an action could not be undone; it is tried again");
        }
        (
            _,
            ActionEvent::Approved(_)
            | ActionEvent::DoneBefore(..)
            | ActionEvent::Rejected(..)
            | ActionEvent::Moot(_)
            | ActionEvent::Expired,
        ) => {
            return wrong("only one that waits can be approved or rejected");
        }
        (_, ActionEvent::Undo(..) | ActionEvent::Ended | ActionEvent::Lifted(_)) => {
            return wrong("only one that is done can be undone");
        }
        _ => return wrong("it is not under way"),
    }
    Ok(())
}

fn applied(record: &mut ActionRecord, memory: Option<serde_json::Value>, now: Timestamp) {
    go(record, ActionState::Done, "done".to_owned());
    record.done_at.get_or_insert(now);
    record.memory = memory;
    record.due_at = None;
    match (&record.memory, record.ttl_s) {
        (Some(_), Some(ttl)) => {
            let until = later(now, ttl);
            record.until = Some(record.until.map_or(until, |known| known.max(until)));
            record.due_at = record.until;
        }
        (Some(_), None) => {}
        (None, _) => {
            record.ended_at = Some(now);
            record.until = None;
        }
    }
}

fn go(record: &mut ActionRecord, state: ActionState, why: String) {
    record.state = state;
    record.why = short(why);
    record.attempts = 0;
}

fn end(record: &mut ActionRecord, state: ActionState, why: String, now: Timestamp) {
    go(record, state, why);
    record.ended_at = Some(now);
    record.due_at = None;
}

/// What, and why where that was said.
pub(crate) fn with(what: String, why: &str) -> String {
    match why.is_empty() {
        true => what,
        false => format!("{what}: {why}"),
    }
}

fn short(why: String) -> String {
    why.chars().take(MAX_WHY).collect()
}

/// So many seconds after a moment, or the end of time.
pub(crate) fn later(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 2);
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// So many seconds before a moment, or the beginning of the epoch.
pub(crate) fn earlier(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 2);
    now.checked_sub(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How long to wait after so many failures: it doubles up to five minutes.
fn wait(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests;
