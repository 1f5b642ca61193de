//! What happened to an account, in words. What comes from people or programs (the name of a token, of a passkey) is
//! one line of bounded length.

use palisade_core::{Actor, AdministrativeAct};
use palisade_mail::one_line;

/// The longest text of somebody else's that a letter repeats, in characters.
const MAX_DETAIL: usize = 160;

/// Whose account an act was done to and what to tell them; none where it is nothing that they are told.
pub(super) fn of(act: &AdministrativeAct) -> Option<(String, String)> {
    let by = in_words(&act.actor);
    // Acts on accounts name the account first, and then perhaps more of it.
    let (account, rest) = match act.target.find([' ', ':', '/']) {
        Some(end) => act.target.split_at(end),
        None => (act.target.as_str(), ""),
    };
    let detail = detail(rest.trim_start_matches([' ', ':', '/']));
    let what = match act.act.as_str() {
        "account.change_password" => "the password was changed".to_owned(),
        "account.set_password" => {
            format!("{by} set a new password, which is to be changed at the next log-in")
        }
        "account.remove_second_factors" => {
            format!("{by} removed the second factors and the recovery codes")
        }
        "account.confirm_totp" => {
            "an authenticator app was enrolled, and new recovery codes were made".to_owned()
        }
        "account.renew_recovery_codes" => {
            "new recovery codes were made, those from before count no longer".to_owned()
        }
        "account.enrol_passkey" => "a passkey was enrolled".to_owned(),
        "account.remove_passkey" => "a passkey was removed".to_owned(),
        "account.link" => "the account was linked with a provider to sign in with".to_owned(),
        "account.unlink" => format!("the link with the provider {detail} was removed"),
        "account.change" | "account.set_roles" => {
            let what = format!("{by} changed what the account may do");
            match detail.is_empty() {
                true => what,
                false => format!("{what}: {detail}"),
            }
        }
        "elevation.approve" => {
            // The elevation stands first, then the account.
            let (account, role) = detail.split_once(' ')?;
            let what = format!("{by} approved a role that was asked for: {role}");
            return Some((account.to_owned(), what));
        }
        "api_token.create" => {
            let Actor::Account(account) = &act.actor else {
                return None;
            };
            let what = format!("an API token was made: {detail}");
            return Some((account.clone(), what));
        }
        _ => return None,
    };
    Some((account.to_owned(), what))
}

/// That the address of an account was set or taken away.
pub(super) fn email_set(by: &str, account: &str, address: Option<&str>) -> String {
    let by = match by == account {
        true => String::new(),
        false => format!("{}: ", detail(by)),
    };
    match address {
        Some(address) => format!(
            "{by}from now on its person is told at {} what happens to it",
            detail(address)
        ),
        None => format!("{by}its person is told no longer what happens to it"),
    }
}

/// What happened, by no act of anybody's.
pub(super) fn happened(what: &str) -> String {
    detail(what)
}

/// That somebody logged in from where nobody did before.
pub(super) fn log_in(new: &[String]) -> String {
    format!(
        "somebody logged in from where nobody did before: {}",
        new.join(", ")
    )
}

fn in_words(actor: &Actor) -> String {
    match actor {
        Actor::Account(name) => format!("{} (an account)", detail(name)),
        Actor::Token(name) => format!("{} (an API token)", detail(name)),
        Actor::System(part) => format!("the server ({})", detail(part)),
        Actor::Console => "somebody on the server's machine".to_owned(),
    }
}

fn detail(text: &str) -> String {
    one_line(text).chars().take(MAX_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use palisade_core::Outcome;

    use super::*;

    fn act(actor: Actor, act: &str, target: &str) -> AdministrativeAct {
        AdministrativeAct {
            actor,
            act: act.to_owned(),
            target: target.to_owned(),
            reason: None,
            outcome: Outcome::Done,
        }
    }

    #[test]
    fn whoever_the_act_was_done_to_is_told_and_by_whom() {
        let anna = || Actor::Account("anna".to_owned());
        for (act, account, words) in [
            (
                act(anna(), "account.set_password", "bert"),
                "bert",
                "anna (an account) set a new password",
            ),
            (
                act(anna(), "account.remove_passkey", "anna/01K0"),
                "anna",
                "a passkey was removed",
            ),
            (
                act(anna(), "account.change", "bert (disabled): operator"),
                "bert",
                "anna (an account) changed what the account may do: (disabled): operator",
            ),
            (
                act(
                    anna(),
                    "elevation.approve",
                    "01K0: bert for 30 minutes as owner",
                ),
                "bert",
                "anna (an account) approved a role that was asked for: for 30 minutes as owner",
            ),
            (
                act(anna(), "api_token.create", "01K0 (ci): devices:read"),
                "anna",
                "an API token was made: (ci): devices:read",
            ),
        ] {
            let (whose, what) = of(&act).expect("is told");
            assert_eq!(whose, account);
            assert!(what.starts_with(words), "{what}");
        }
        let by_token = act(
            Actor::Token("ci".to_owned()),
            "api_token.create",
            "01K0 (x): *",
        );
        assert_eq!(of(&by_token), None);
        assert_eq!(of(&act(anna(), "device.quarantine", "cam-1")), None);
    }

    #[test]
    fn a_name_of_somebody_elses_is_one_bounded_line() {
        let hostile = format!(
            "01K0 (x\r\n\r\nYour account is safe.\u{2028}{}): *",
            "y".repeat(9_000)
        );
        let anna = Actor::Account("anna".to_owned());
        let (_, what) = of(&act(anna, "api_token.create", &hostile)).expect("is told");
        assert_eq!(what.lines().count(), 1, "{what}");
        assert!(what.chars().count() < 250, "{what}");
        assert!(!what.contains(['\r', '\n', '\u{2028}']));
    }
}
