//! What a letter says. It has no link and no secret, and asks nobody to click on anything.

use std::fmt::Write as _;

use palisade_core::Timestamp;
use palisade_mail::one_line;
use palisade_store::{AccountNotice, Mailbox};

use super::Track;

const ADVICE: &str = "\
If that was you, or you know who it was and why, there is nothing to do. If not, log in as you always do (this
letter has no link, and nobody asks you for a password by e-mail), change your password, end the log-in sessions
that are not yours, and tell who administers the server.
";
const TRIED: &str = "\
Nobody was let in by that. If it was not you: is your password one that nobody else knows and that you use nowhere
else, and do you have a second factor? If somebody knows your password, change it now.
";

/// What the letter is about.
pub(super) fn subject(mailbox: &Mailbox) -> String {
    match mailbox.track == Track::Attempts.as_str() {
        true => format!("Palisade: attempts to log in as {}", mailbox.account),
        false => format!("Palisade: changes to the account {}", mailbox.account),
    }
}

/// What it says: each notice is a line.
pub(super) fn text(mailbox: &Mailbox, notices: &[AccountNotice], server: &str) -> String {
    let mut text = format!(
        "This is about the account {} of the Palisade server {}.\n\n",
        mailbox.account,
        one_line(server)
    );
    for notice in notices {
        // Writing to a text does not fail.
        let _ = writeln!(text, "- {}", line(notice));
    }
    text.push('\n');
    text.push_str(match mailbox.track == Track::Attempts.as_str() {
        true => TRIED,
        false => ADVICE,
    });
    text
}

fn line(notice: &AccountNotice) -> String {
    let mut when = at(notice.first_at);
    if notice.count > 1 {
        let _ = write!(when, " to {}, {} times", at(notice.last_at), notice.count);
    }
    let from = match (&notice.source, notice.count) {
        (None, _) => String::new(),
        (Some(source), 1) => format!(", from {source}"),
        (Some(source), _) => format!(", the last time from {source}"),
    };
    one_line(&format!("{when}{from}: {}", notice.what))
}

fn at(time: Timestamp) -> String {
    // To the second, and in UTC: whoever reads it may be anywhere.
    let text = time.to_string();
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    format!("{} UTC", seconds.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(what: &str, count: u64) -> AccountNotice {
        AccountNotice {
            account: "anna".to_owned(),
            address: "anna@example.org".to_owned(),
            track: "changes".to_owned(),
            what: what.to_owned(),
            source: Some("192.0.2.7".to_owned()),
            count,
            first_at: Timestamp::from_second(1_800_000_000).expect("a time"),
            last_at: Timestamp::from_second(1_800_000_060).expect("a time"),
        }
    }

    #[test]
    fn a_notice_is_one_line_that_says_when_from_where_and_how_often() {
        assert_eq!(
            line(&notice("the password was changed", 1)),
            "2027-01-15 08:00:00 UTC, from 192.0.2.7: the password was changed"
        );
        let many = line(&notice("x\r\n.\r\n- all is well", 3));
        assert_eq!(
            many,
            "2027-01-15 08:00:00 UTC to 2027-01-15 08:01:00 UTC, 3 times, the last time from 192.0.2.7: \
             x  .  - all is well"
        );
    }
}
