//! How soon a mailbox is written to again. The first letter goes out at once; each further one of the same day waits
//! longer, and what happens meanwhile is one letter.

use std::time::Duration;

use palisade_core::Timestamp;
use palisade_store::Mailbox;

use super::Track;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: u64 = 60;
/// The longest between two letters about changes, and about attempts.
const LONGEST_OF_CHANGES: Duration = Duration::from_secs(60 * MINUTE);
const LONGEST_OF_ATTEMPTS: Duration = Duration::from_secs(12 * 60 * MINUTE);
/// The longest until a letter that was not taken is tried again.
const LONGEST_OF_TRIES: Duration = Duration::from_secs(30 * MINUTE);
/// A letter that nobody took for so long is given up.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many letters were sent in a row when another one was, and from when on there may be a further one.
pub(super) fn after_letter(mailbox: &Mailbox, now: Timestamp) -> (u64, Timestamp) {
    let is_of_late = mailbox
        .sent_at
        .is_some_and(|sent_at| later(sent_at, DAY) > now);
    let sent = if is_of_late { mailbox.sent + 1 } else { 1 };
    let is_of_attempts = mailbox.track == Track::Attempts.as_str();
    let (first, longest) = match is_of_attempts {
        true => (30 * MINUTE, LONGEST_OF_ATTEMPTS),
        false => (10, LONGEST_OF_CHANGES),
    };
    (sent, later(now, doubled(first, sent - 1).min(longest)))
}

/// When a letter that was not taken is tried again, after so many tries.
pub(super) fn after_try(tries: u64, now: Timestamp) -> Timestamp {
    later(
        now,
        doubled(5, tries.saturating_sub(1)).min(LONGEST_OF_TRIES),
    )
}

/// Whether a letter is given up.
pub(super) fn is_given_up(mailbox: &Mailbox, now: Timestamp) -> bool {
    later(mailbox.since, PATIENCE) <= now
}

/// From when on it does not matter any more when a letter was sent.
pub(super) fn forgotten(now: Timestamp) -> Timestamp {
    now.checked_sub(DAY).unwrap_or(Timestamp::MIN)
}

fn doubled(seconds: u64, times: u64) -> Duration {
    Duration::from_secs(seconds << times.min(16))
}

fn later(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(track: Track) -> Mailbox {
        Mailbox {
            account: "anna".to_owned(),
            address: "anna@example.org".to_owned(),
            track: track.as_str().to_owned(),
            since: Timestamp::UNIX_EPOCH,
            sent: 0,
            sent_at: None,
            tries: 0,
        }
    }

    /// The letters of a day in which something happens all the time.
    fn letters_of_a_day(track: Track) -> u32 {
        let mut mailbox = mailbox(track);
        let mut now = Timestamp::UNIX_EPOCH;
        let end = later(now, DAY);
        let mut letters = 0;
        while now < end {
            letters += 1;
            let (sent, next) = after_letter(&mailbox, now);
            mailbox.sent = sent;
            mailbox.sent_at = Some(now);
            now = next;
        }
        letters
    }

    #[test]
    fn whoever_attacks_an_account_all_day_makes_few_letters() {
        assert_eq!(letters_of_a_day(Track::Attempts), 6);
        assert_eq!(letters_of_a_day(Track::Changes), 32);
    }

    #[test]
    fn after_a_quiet_day_the_first_letter_goes_out_at_once_and_the_next_soon() {
        let mut mailbox = mailbox(Track::Changes);
        mailbox.sent = 20;
        mailbox.sent_at = Some(Timestamp::UNIX_EPOCH);
        let now = later(Timestamp::UNIX_EPOCH, DAY);
        assert_eq!(
            after_letter(&mailbox, now),
            (1, later(now, Duration::from_secs(10)))
        );
    }

    #[test]
    fn a_letter_is_tried_for_a_week_and_not_more_often_than_twice_an_hour() {
        let start = Timestamp::UNIX_EPOCH;
        assert_eq!(after_try(1, start), later(start, Duration::from_secs(5)));
        assert_eq!(after_try(60, start), later(start, LONGEST_OF_TRIES));
        let mailbox = mailbox(Track::Changes);
        assert!(!is_given_up(&mailbox, later(start, PATIENCE - DAY)));
        assert!(is_given_up(&mailbox, later(start, PATIENCE)));
    }
}
