//! Tokens that a thief would look for.

use palisade_core::Timestamp;
use palisade_store::{ApiToken, EnrolmentToken};

use super::look::{Look, LookError, Noted, PAGE, days_between};
use crate::Subject;

pub(super) async fn api(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let unused_since = look.days_ago(look.config.unused_token_days);
    let mut after = String::new();
    loop {
        let part = look
            .store
            .tokens()
            .api_in_force(look.now, &after, PAGE)
            .await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after = last.id.to_string();
        for token in &part {
            noted.looked_at += 1;
            let why = too_broad(token, unused_since, look.now);
            if !why.is_empty() {
                let subject = Subject::ApiToken(token.name.clone());
                let detail = format!("token {:?} {}", token.name, why.join(", "));
                noted.note(format!("api_token/{}", token.id), &subject, &detail);
            }
        }
        look.turn().await?;
    }
}

fn too_broad(token: &ApiToken, unused_since: Timestamp, now: Timestamp) -> Vec<String> {
    let mut why = Vec::new();
    if token.expires_at.is_none() {
        why.push("has no end".to_owned());
    }
    if token.scopes.iter().any(|scope| scope == "*") {
        why.push("may do everything".to_owned());
    }
    let used = token.last_used_at.unwrap_or(token.created_at);
    if used < unused_since {
        why.push(format!("was not used for {} days", days_between(used, now)));
    }
    why
}

pub(super) async fn enrolment(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let mut after = String::new();
    loop {
        let tokens = look.store.tokens();
        let part = tokens.enrolments_in_force(look.now, &after, PAGE).await?;
        let Some(last) = part.last() else {
            return Ok(());
        };
        after = last.id.to_string();
        for token in &part {
            noted.looked_at += 1;
            note_enrolment(token, look, noted);
        }
        look.turn().await?;
    }
}

fn note_enrolment(token: &EnrolmentToken, look: &Look<'_>, noted: &mut Noted) {
    if token.uses_left > look.config.enrolment_uses {
        let detail = format!(
            "enrolment token {} can be used {} times more until {}",
            token.id, token.uses_left, token.expires_at
        );
        noted.note(
            format!("enrolment_token/{}", token.id),
            &Subject::Fleet,
            &detail,
        );
    }
}
