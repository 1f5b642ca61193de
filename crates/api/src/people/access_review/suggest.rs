//! What a review suggests. A suggestion says what is seen and what to do; nothing is done by itself.

use palisade_core::Timestamp;

use super::{ReviewedAccount, ReviewedRole, ReviewedToken, Suggestion};
use crate::people::access::EVERYTHING;

/// What is known besides of an account: whether what was not seen was not there, and how its person signs in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) since: Timestamp,
    /// Whether all of the time since then is known.
    pub(super) is_known: bool,
    /// Whether its person signs in by a provider, which sees to second factors by itself.
    pub(super) has_provider: bool,
}

/// About an account and its roles.
pub(super) fn about(
    account: &ReviewedAccount,
    known: Known,
    factor_roles: &[String],
) -> Vec<Suggestion> {
    let mut found = Vec::new();
    if account.disabled {
        return found;
    }
    let since = day(known.since);
    if account.dormant {
        found.push(match account.last_login_at {
            Some(last) => suggestion(
                "dormant",
                None,
                format!("nobody signed in since {}: disable it", day(last)),
            ),
            None => suggestion(
                "never_signed_in",
                None,
                format!(
                    "nobody ever signed in, and it was made on {}: disable it",
                    day(account.created_at)
                ),
            ),
        });
    }
    if !account.totp && account.passkeys == 0 && !known.has_provider {
        let must = account
            .roles
            .iter()
            .any(|held| held.role == "owner" || factor_roles.contains(&held.role));
        let detail = match must {
            true => {
                "its roles need a second factor, and none is enrolled: see that it is, or disable it"
            }
            false => {
                "it has no second factor: have its person add one, or require it of its roles \
                 (accounts.second_factor_roles)"
            }
        };
        found.push(suggestion("no_second_factor", None, detail.to_owned()));
    }
    if known.is_known {
        let roles = account.roles.iter();
        found.extend(roles.filter_map(|role| about_role(role, &since)));
    }
    found
}

fn about_role(held: &ReviewedRole, since: &str) -> Option<Suggestion> {
    // What ends by itself needs nobody who takes it away.
    if held.elevation.is_some() || held.permits == 0 {
        return None;
    }
    let used = held.permits - held.unused.len() as u64;
    let from = held.team.as_ref();
    let from = from.map_or_else(String::new, |team| format!(" (of team {team})"));
    let role = &held.role;
    let about = Some(role.clone());
    if used == 0 {
        let detail =
            format!("nothing that {role}{from} permits was done since {since}: take it away");
        return Some(suggestion("unused_role", about, detail));
    }
    // Less than a third: a role of one's own would be a much smaller one.
    (used * 3 < held.permits).then(|| {
        let detail = format!(
            "of the {} actions that {role}{from} permits {used} were done since {since}: a role with those alone \
             would do",
            held.permits
        );
        suggestion("wide_role", about, detail)
    })
}

/// About an API token.
pub(super) fn about_token(
    token: &ReviewedToken,
    (since, is_known): (Timestamp, bool),
    maker_is_disabled: bool,
) -> Vec<Suggestion> {
    let about = || Some(token.id.clone());
    let mut found = Vec::new();
    let is_unused = token.last_used_at.unwrap_or(token.created_at) < since;
    let is_for_everything = token.scopes.iter().any(|scope| scope == EVERYTHING);
    if is_unused {
        let detail = match token.last_used_at {
            Some(last) => format!("not used since {}: revoke it", day(last)),
            None => format!(
                "never used, and it was made on {}: revoke it",
                day(token.created_at)
            ),
        };
        found.push(suggestion("token_unused", about(), detail));
    }
    if token.expires_at.is_none() {
        let detail = "it never ends: put one in its place that does".to_owned();
        found.push(suggestion("token_without_end", about(), detail));
    }
    if is_known && !is_unused && !is_for_everything && !token.unused.is_empty() {
        let detail = format!(
            "nothing of {} was done since {}: put one in its place without",
            token.unused.join(", "),
            day(since)
        );
        found.push(suggestion("token_unused_scopes", about(), detail));
    }
    if is_for_everything {
        let detail = "it may do everything: put one in its place with the scopes that are needed";
        found.push(suggestion(
            "token_for_everything",
            about(),
            detail.to_owned(),
        ));
    }
    if maker_is_disabled {
        let detail = "the account by whose doing it came to be is disabled: revoke it".to_owned();
        found.push(suggestion("token_of_disabled", about(), detail));
    }
    found
}

fn suggestion(kind: &'static str, about: Option<String>, detail: String) -> Suggestion {
    Suggestion {
        kind,
        about,
        detail,
        remedy: None,
    }
}

fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}
