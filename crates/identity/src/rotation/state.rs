//! The life of a rotation, without I/O.

use jiff::SignedDuration;
use palisade_core::{Serial, Timestamp, port::Progress};
use palisade_store::{Rotation, RotationState};

/// What happens to a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A certificate for a new key was issued.
    Issued {
        /// Which.
        serial: Serial,
        /// Whether all that were issued since the device was asked are for this key.
        is_one_key: bool,
    },
    /// The new certificate is not in force any longer, while the old ones are.
    Lost,
    /// The old certificates are revoked.
    Done,
    /// Somebody took it back.
    Cancelled,
}

/// Takes a rotation on by one step; `false` where that changes nothing.
pub(super) fn step(rotation: &mut Rotation, step: &Step, now: Timestamp) -> bool {
    use RotationState::{Asked, Cancelled, Contested, Done, Issued};
    match (rotation.state, step) {
        (Asked | Issued, Step::Issued { serial, is_one_key }) => {
            rotation.serial = Some(*serial);
            (rotation.state, rotation.ends_at) = match is_one_key {
                true => {
                    let ends = later(now, rotation.keep_old_s);
                    (
                        Issued,
                        Some(rotation.ends_at.map_or(ends, |known| known.min(ends))),
                    )
                }
                false => (Contested, None),
            };
        }
        (Issued, Step::Lost) => {
            (rotation.state, rotation.serial, rotation.ends_at) = (Asked, None, None);
        }
        (Issued, Step::Done) => (rotation.state, rotation.ends_at) = (Done, None),
        (Asked | Issued | Contested, Step::Cancelled) => {
            (rotation.state, rotation.ends_at) = (Cancelled, None);
        }
        _ => return false,
    }
    true
}

/// Where a rotation stands, for people; `then` is what is ordered where the device does not follow.
pub(super) fn progress(
    rotation: &Rotation,
    now: Timestamp,
    then: Option<&'static str>,
) -> Progress {
    let until = seconds(rotation.follow_by);
    match rotation.state {
        RotationState::Asked if now < rotation.follow_by => Progress::Waits(format!(
            "the device is asked for a new key and has until {until} to follow"
        )),
        RotationState::Asked => Progress::Overdue {
            why: format!(
                "the device did not follow until {until}; its old key goes on being good: decide what is to \
                 become of it"
            ),
            then,
        },
        RotationState::Issued => {
            let ends = rotation.ends_at.map(seconds).unwrap_or_default();
            Progress::Waits(format!(
                "the device has a certificate for a new key; the old ones end when it is used, at {ends} at \
                 the latest"
            ))
        }
        RotationState::Contested => Progress::Overdue {
            why: "two new keys answered one request: an answer was lost, or two hold the old key; nothing \
                  ends by itself: find out, then revoke what is wrong"
                .to_owned(),
            then: None,
        },
        RotationState::Done => Progress::Over(
            "the device has a new key, and its old certificates are revoked".to_owned(),
        ),
        RotationState::Cancelled => Progress::Over("it was taken back".to_owned()),
    }
}

fn seconds(moment: Timestamp) -> String {
    Timestamp::from_second(moment.as_second())
        .unwrap_or(moment)
        .to_string()
}

/// So many seconds after a moment, or the end of time.
pub(super) fn later(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 2);
    now.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use palisade_core::{ActionId, DeviceId};

    use super::*;

    fn rotation(state: RotationState) -> Rotation {
        let now = Timestamp::UNIX_EPOCH;
        Rotation {
            action: ActionId::generate(),
            device: DeviceId::parse("cam-1").expect("valid"),
            state,
            asked_at: now,
            follow_by: later(now, 60),
            keep_old_s: 10,
            old_keys: Vec::new(),
            serial: None,
            ends_at: None,
        }
    }

    fn issued(is_one_key: bool) -> Step {
        let serial = Serial::from_bytes(&[7]).expect("valid");
        Step::Issued { serial, is_one_key }
    }

    #[test]
    fn a_device_that_follows_comes_to_a_new_key_and_its_old_certificates_end() {
        let (mut one, now) = (rotation(RotationState::Asked), Timestamp::UNIX_EPOCH);
        assert!(step(&mut one, &issued(true), now));
        assert_eq!(one.state, RotationState::Issued);
        assert_eq!(one.ends_at, Some(later(now, 10)));
        // A second answer with the same key does not put the end off.
        assert!(step(&mut one, &issued(true), later(now, 5)));
        assert_eq!(one.ends_at, Some(later(now, 10)));
        assert!(step(&mut one, &Step::Done, now));
        assert_eq!(one.state, RotationState::Done);
        assert!(matches!(progress(&one, now, None), Progress::Over(_)));
    }

    #[test]
    fn two_new_keys_end_nothing_by_themselves() {
        let (mut one, now) = (rotation(RotationState::Issued), Timestamp::UNIX_EPOCH);
        assert!(step(&mut one, &issued(false), now));
        assert_eq!((one.state, one.ends_at), (RotationState::Contested, None));
        assert!(!step(&mut one, &Step::Done, now), "nobody ends it");
        let then = Some("revoke-certificate");
        let Progress::Overdue { then, .. } = progress(&one, now, then) else {
            panic!("a person is told");
        };
        assert_eq!(then, None, "and nothing is ordered by itself");
    }

    #[test]
    fn a_device_that_does_not_follow_is_overdue_and_keeps_what_it_has() {
        let one = rotation(RotationState::Asked);
        let at = |seconds| progress(&one, later(Timestamp::UNIX_EPOCH, seconds), None);
        assert!(matches!(at(59), Progress::Waits(_)));
        assert!(matches!(at(60), Progress::Overdue { .. }));
    }

    #[test]
    fn what_is_done_cannot_be_taken_back_and_what_waits_can() {
        let now = Timestamp::UNIX_EPOCH;
        for state in [
            RotationState::Asked,
            RotationState::Issued,
            RotationState::Contested,
        ] {
            let mut one = rotation(state);
            assert!(step(&mut one, &Step::Cancelled, now), "{state:?}");
            assert_eq!(one.state, RotationState::Cancelled);
        }
        for state in [RotationState::Done, RotationState::Cancelled] {
            let mut one = rotation(state);
            assert!(!step(&mut one, &Step::Cancelled, now), "{state:?}");
            assert!(!step(&mut one, &issued(true), now), "{state:?}");
        }
    }
}
