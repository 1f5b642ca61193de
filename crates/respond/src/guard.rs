//! The guard rails, without I/O: whether an action that a playbook orders is done, waits for a person, or
//! is not done at all.

use palisade_core::{ActionState, Device, Impact, Mode, Network, Target, port::Objection};

use crate::{Caps, NeverTouch};

/// What the guard rails look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    /// How the playbook wants it done.
    pub(crate) mode: Mode,
    /// The most that any playbook may do.
    pub(crate) max_mode: Mode,
    /// How much it takes from its target.
    pub(crate) impact: Impact,
    /// Why all automatic action is stopped, if it is.
    pub(crate) stopped: Option<&'a str>,
    /// Why its target is never touched, if it is not.
    pub(crate) untouchable: Option<&'a str>,
    /// What stands against it: it cannot be done, or need not be.
    pub(crate) objection: Option<&'a Objection>,
    /// How much happened already.
    pub(crate) hits: &'a [Hits],
}

/// How many other targets something happened to, and how many it may happen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hits {
    /// Of which part of the fleet.
    pub(crate) of: String,
    /// Other targets that it happened to.
    pub(crate) others: u64,
    /// How many it may happen to.
    pub(crate) cap: u64,
}

/// What becomes of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruling {
    /// Where it stands.
    pub(crate) state: ActionState,
    /// Why.
    pub(crate) why: String,
}

/// Decides what becomes of an action that a playbook orders.
pub(crate) fn rule(case: &Case<'_>) -> Ruling {
    let ruling = |state, why: String| Ruling { state, why };
    let mode = least(case.mode, case.max_mode);
    if mode == Mode::Observe {
        return ruling(
            ActionState::Observed,
            "the playbook only observes".to_owned(),
        );
    }
    if let Some(why) = case.untouchable {
        return ruling(ActionState::Rejected, format!("never touched: {why}"));
    }
    if let Some(objection) = case.objection {
        return ruling(ActionState::Rejected, objection.to_string());
    }
    let held = held_back(case);
    match (mode, held) {
        (Mode::DryRun, None) => ruling(ActionState::DryRun, "it would be done".to_owned()),
        (Mode::DryRun, Some(why)) => ruling(
            ActionState::DryRun,
            format!("it would wait for a person: {why}"),
        ),
        (Mode::Approve, None) => ruling(
            ActionState::Waiting,
            "it asks for a person's approval".to_owned(),
        ),
        (_, Some(why)) => ruling(ActionState::Waiting, why),
        (_, None) => ruling(ActionState::Running, "ordered".to_owned()),
    }
}

/// Why an automatic action has to wait for a person.
fn held_back(case: &Case<'_>) -> Option<String> {
    if let Some(why) = case.stopped {
        return Some(format!("all automatic action is stopped {why}"));
    }
    let full = case.hits.iter().find(|hits| hits.others >= hits.cap);
    full.map(|hits| match case.impact {
        Impact::Permanent if hits.cap == 0 => {
            "what cannot be undone asks for a person's approval".to_owned()
        }
        _ => format!(
            "{} happened to {} others of {}, and {} is the most that happens with no person",
            noun(case.impact),
            hits.others,
            hits.of,
            hits.cap
        ),
    })
}

fn noun(impact: Impact) -> &'static str {
    match impact {
        Impact::None => "a notification",
        Impact::Partial => "a loss of a part of the service",
        Impact::Full => "a loss of all service",
        Impact::Permanent => "what cannot be undone",
    }
}

fn least(one: Mode, other: Mode) -> Mode {
    let rank = |mode| match mode {
        Mode::Observe => 0,
        Mode::DryRun => 1,
        Mode::Approve => 2,
        Mode::Auto => 3,
    };
    if rank(one) <= rank(other) { one } else { other }
}

impl Caps {
    /// How many targets an impact may hit.
    pub(crate) fn count(&self, impact: Impact) -> u64 {
        match impact {
            Impact::None => self.none,
            Impact::Partial => self.partial,
            Impact::Full => self.full,
            Impact::Permanent => self.permanent,
        }
    }

    /// How many devices of a part of so many may lose all their service.
    pub(crate) fn share(&self, size: u64) -> u64 {
        let share = size.saturating_mul(u64::from(self.share_percent)) / 100;
        share.max(self.share_at_least)
    }
}

impl NeverTouch {
    /// Why a target is never touched, if it is not.
    pub(crate) fn covers(&self, target: &Target, device: Option<&Device>) -> Option<String> {
        match target {
            Target::Device(id) if self.devices.contains(id) => Some(format!("device {id}")),
            Target::Device(_) => device.and_then(|device| self.covers_device(device)),
            Target::Address(address) => {
                let network = Network::of(*address);
                let one = self.addresses.iter().find(|one| one.overlaps(&network));
                one.map(|one| format!("address {one}"))
            }
            Target::ApiToken(name) => self
                .api_tokens
                .contains(name)
                .then(|| format!("API token {name}")),
            // What could be done to a person asks a person already.
            Target::Account(_) | Target::Fleet => None,
        }
    }

    fn covers_device(&self, device: &Device) -> Option<String> {
        let (product, segment) = (&device.product, &device.posture.segment);
        if self.products.contains(product) {
            return Some(format!("product {product}"));
        }
        if self.segments.contains(segment) {
            return Some(format!("segment {segment}"));
        }
        let has =
            |(key, value): &(&String, &String)| device.labels.get(key) == Some(value.as_str());
        let label = self.labels.iter().find(has);
        label.map(|(key, value)| format!("label {key}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(mode: Mode, impact: Impact, hits: &[Hits]) -> Case<'_> {
        Case {
            mode,
            max_mode: Mode::Auto,
            impact,
            stopped: None,
            untouchable: None,
            objection: None,
            hits,
        }
    }

    fn hits(others: u64, cap: u64) -> [Hits; 1] {
        [Hits {
            of: "the fleet".to_owned(),
            others,
            cap,
        }]
    }

    #[test]
    fn what_is_past_the_cap_waits_and_what_is_below_runs() {
        let rule_of = |others| rule(&case(Mode::Auto, Impact::Full, &hits(others, 20))).state;
        assert_eq!(rule_of(19), ActionState::Running);
        assert_eq!(rule_of(20), ActionState::Waiting);
    }

    #[test]
    fn what_is_never_touched_is_not_touched_in_any_mode_that_acts() {
        let untouched = |mode| {
            let case = Case {
                untouchable: Some("device pump-1"),
                ..case(mode, Impact::Full, &[])
            };
            rule(&case).state
        };
        for mode in [Mode::Auto, Mode::Approve, Mode::DryRun] {
            assert_eq!(untouched(mode), ActionState::Rejected);
        }
        assert_eq!(untouched(Mode::Observe), ActionState::Observed);
    }

    #[test]
    fn the_switch_lets_everything_wait_and_the_ceiling_holds_every_playbook() {
        let stopped = Case {
            stopped: Some("by ann: maintenance"),
            ..case(Mode::Auto, Impact::None, &[])
        };
        assert_eq!(rule(&stopped).state, ActionState::Waiting);
        let held = Case {
            max_mode: Mode::DryRun,
            ..case(Mode::Auto, Impact::Full, &[])
        };
        assert_eq!(rule(&held).state, ActionState::DryRun);
        let more = Case {
            max_mode: Mode::Auto,
            ..case(Mode::DryRun, Impact::Full, &[])
        };
        assert_eq!(rule(&more).state, ActionState::DryRun);
    }

    #[test]
    fn what_cannot_be_undone_waits_unless_configured_otherwise() {
        let permanent = |cap| rule(&case(Mode::Auto, Impact::Permanent, &hits(0, cap))).state;
        assert_eq!(permanent(Caps::default().permanent), ActionState::Waiting);
        assert_eq!(permanent(1), ActionState::Running);
    }

    #[test]
    fn a_few_devices_of_a_small_segment_may_be_contained_and_the_next_waits() {
        let caps = Caps::default();
        assert_eq!((caps.share(3), caps.share(10), caps.share(100)), (3, 3, 10));
        let one = Caps {
            share_at_least: 1,
            ..caps
        };
        assert_eq!((one.share(3), one.share(10), one.share(100)), (1, 1, 10));
    }

    #[test]
    fn what_cannot_or_need_not_be_done_waits_for_nobody() {
        let objection = Objection::Needless("device cam-1 is revoked".to_owned());
        let ruled = |mode| {
            let case = Case {
                objection: Some(&objection),
                ..case(mode, Impact::Full, &[])
            };
            rule(&case)
        };
        for mode in [Mode::Auto, Mode::Approve, Mode::DryRun] {
            let ruling = ruled(mode);
            assert_eq!(ruling.state, ActionState::Rejected);
            assert_eq!(ruling.why, "not needed: device cam-1 is revoked");
        }
        assert_eq!(ruled(Mode::Observe).state, ActionState::Observed);
    }
}
