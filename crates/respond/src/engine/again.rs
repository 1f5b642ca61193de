//! Which actions of a playbook that ran for a case already may be ordered again, without I/O.
//!
//! Each action is looked at by itself: one that waits for a person keeps no other from being done, one that
//! holds is not doubled, and a person's no counts for what it was said to and for all that takes as much.

use palisade_core::{ActionState, Impact, Timestamp};
use palisade_store::ActionRecord;

use crate::{
    action::later,
    playbook::{Playbook, Step},
};

/// Where an action of a playbook stands in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It was not ordered: its turn did not come, or it does not apply.
    Never,
    /// It waits for a person since this moment.
    Waits(Timestamp),
    /// It is under way, or holds.
    Holds,
    /// A person said no.
    Refused,
    /// It was done, or noted, and holds nothing; ordered at this moment.
    Done(Timestamp),
    /// It came to nothing; ordered at this moment.
    Failed(Timestamp),
    /// It held until this moment.
    Over(Timestamp),
}

/// An action of a playbook, how much it takes, and where it stands.
type Standing<'a> = (&'a Step, Impact, Stand);

/// The actions of a playbook that a finding last seen at `seen` orders again; none where nothing is over.
/// `ordered` is what the playbook ordered for the case and its subject, newest first.
pub(super) fn again<'a>(
    playbook: &'a Playbook,
    impact: impl Fn(&Step) -> Impact,
    ordered: &[ActionRecord],
    rerun_after_s: u64,
    seen: Timestamp,
) -> Vec<&'a Step> {
    let stands: Vec<Standing<'a>> = playbook
        .actions
        .iter()
        .map(|step| (step, impact(step), stand(step, ordered)))
        .collect();
    let refused = stands
        .iter()
        .filter(|(_, impact, stand)| *impact > Impact::None && *stand == Stand::Refused)
        .map(|(_, impact, _)| *impact)
        .min();
    let something_holds = stands
        .iter()
        .any(|(_, impact, stand)| *impact > Impact::None && *stand == Stand::Holds);
    let has_rested = |since: Timestamp| seen > later(since, rerun_after_s);
    let sets_off = |impact: Impact, stand: Stand| match stand {
        Stand::Over(at) => seen > at,
        Stand::Waits(since) => has_rested(since),
        Stand::Failed(at) if impact > Impact::None => has_rested(at),
        // People are not told again and again of what holds, nor of what they said no to.
        Stand::Done(at) | Stand::Failed(at) => {
            has_rested(at) && !something_holds && (impact > Impact::None || refused.is_none())
        }
        Stand::Never | Stand::Holds | Stand::Refused => false,
    };
    let may = |impact: Impact, stand: Stand| {
        let is_free = !matches!(stand, Stand::Holds | Stand::Refused);
        is_free && refused.is_none_or(|no| impact < no)
    };
    let acts_again = stands.iter().any(|(_, impact, stand)| {
        *impact > Impact::None
            && !matches!(stand, Stand::Waits(_))
            && may(*impact, *stand)
            && sets_off(*impact, *stand)
    });
    stands
        .into_iter()
        .filter(|(_, impact, stand)| {
            let goes_along = *impact == Impact::None || *stand == Stand::Never;
            may(*impact, *stand) && (sets_off(*impact, *stand) || (acts_again && goes_along))
        })
        .map(|(step, _, _)| step)
        .collect()
}

fn stand(step: &Step, ordered: &[ActionRecord]) -> Stand {
    let to = step.parameters.get("to");
    let mut of_step = ordered.iter().filter(|record| {
        record.order.action == step.action && record.order.parameters.get("to") == to
    });
    let Some(last) = of_step.next() else {
        return Stand::Never;
    };
    match last.state {
        ActionState::Waiting => Stand::Waits(last.ordered_at),
        _ if last.is_in_force() => Stand::Holds,
        _ if last.refused => Stand::Refused,
        ActionState::Undone => Stand::Over(last.ended_at.unwrap_or(last.ordered_at)),
        ActionState::Failed | ActionState::Rejected => Stand::Failed(last.ordered_at),
        _ => Stand::Done(last.ordered_at),
    }
}

#[cfg(test)]
mod tests;
