//! What a password must be, for whoever chooses one: other software may ask too, for devices as for people.

use axum::{Json, extract::State};
use palisade_people::{Context, PasswordPolicy, Rule, Verdict, WorkshopError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    extract::{JsonBody, NoParameters, Query},
    routes::Routes,
    text::{Line, Text},
};
use crate::problem::Problem;

/// The largest body: a password and some words.
const MAX_BODY: usize = 16 * 1024;
const MAX_WORDS: usize = 16;

pub(super) fn routes() -> Routes {
    Routes::default().token("password.check", routes!(check_password))
}

/// A password, and for whom it is. It is kept nowhere and written to no log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "tanzbar loewe kiste fenster", "own": ["cam-0001", "camera"] }))]
pub(crate) struct PasswordCheck {
    /// The password.
    password: Text<0, 1024>,
    /// The data of whom it is for, which it must not hold: a name, an address, a device's id and product.
    #[serde(default)]
    #[schema(max_items = 16)]
    own: Vec<Line<1, 128>>,
    /// Whether a second factor stands beside it.
    #[serde(default)]
    second_factor: bool,
}

/// A rule that a password can break.
#[derive(ToSchema)]
#[schema(as = PasswordRule, rename_all = "snake_case")]
#[expect(dead_code, reason = "stands in the document for people's type")]
pub(crate) enum RuleDoc {
    /// It is long enough.
    Length,
    /// It is not longer than what is hashed.
    TooLong,
    /// It has characters of several classes.
    Classes,
    /// It is hard to guess.
    Strength,
    /// It is none that everybody knows, and no default credential.
    Common,
    /// It is on no list of passwords that became known.
    Blocklist,
    /// It does not hold the data of whom it is for.
    OwnData,
    /// It was not in use before.
    Reused,
}

/// A rule that a password breaks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailingRule {
    /// Which.
    #[schema(value_type = RuleDoc)]
    rule: Rule,
    /// How to mend it.
    mend: String,
}

/// What is thought of a password.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PasswordVerdict {
    /// Whether it may be used.
    acceptable: bool,
    /// How hard it is to guess.
    #[schema(minimum = 0, maximum = 4)]
    strength: u8,
    /// Each rule that it breaks.
    failing: Vec<FailingRule>,
}

impl From<Verdict> for PasswordVerdict {
    fn from(verdict: Verdict) -> Self {
        let failing = verdict.failing.into_iter().map(|failing| FailingRule {
            rule: failing.rule,
            mend: failing.mend,
        });
        Self {
            acceptable: verdict.acceptable,
            strength: verdict.strength,
            failing: failing.collect(),
        }
    }
}

impl From<WorkshopError> for Problem {
    fn from(error: WorkshopError) -> Self {
        Self::unavailable(error, &error)
    }
}

/// Judges a password by the rules of this server, for a person or a device.
///
/// Whatever the verdict is, it is answered with 200. Nothing of the password is kept.
#[utoipa::path(
    post,
    path = "/api/v1/passwords/check",
    tag = "people",
    request_body = PasswordCheck,
    responses((status = 200, description = "The verdict.", body = PasswordVerdict))
)]
async fn check_password(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<PasswordCheck, MAX_BODY>,
) -> Result<Json<PasswordVerdict>, Problem> {
    if request.own.len() > MAX_WORDS {
        return Err(Problem::invalid(format!(
            "own: name at most {MAX_WORDS} words"
        )));
    }
    let context = Context {
        own: request.own.iter().map(ToString::to_string).collect(),
        second_factor: request.second_factor,
        previous: Vec::new(),
    };
    let people = state.parts().people.clone();
    let policy: PasswordPolicy = people.policy().clone();
    let password = request.password;
    let verdict = people
        .workshop()
        .run(move || policy.judge(&password.0, &context))
        .await?;
    Ok(Json(verdict.into()))
}
