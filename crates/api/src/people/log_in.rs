//! Logging in and out, and who the caller is.

use std::net::IpAddr;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use palisade_core::{Actor, AdministrativeAct, Door, Event, EventKind, Outcome, Timestamp};
use palisade_people::{CameFrom, LogIn, LogInError, MustFirst, Opened, Recognised, Role, Standing};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scopes,
    access_log::CameAs,
    accounts::Password,
    acts::Done,
    api_tokens::ScopeName,
    auth::Caller,
    cookie,
    denials::Refusal,
    extract::{JsonBody, NoParameters, Query},
    gate::Source,
    routes::Routes,
    schema,
    text::Text,
};
use crate::problem::{Problem, ProblemKind};

/// The largest body: a name, a password and a code.
const MAX_BODY: usize = 8 * 1024;

pub(super) fn routes() -> Routes {
    Routes::default()
        .by_body("session.begin", routes!(log_in))
        .token("session.read", routes!(get_session))
        .own_write("session.end", routes!(log_out))
}

/// What must be done before anything else may be.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum First {
    /// Change the password: somebody else chose it.
    ChangePassword,
    /// Enrol a second factor: the roles require it.
    EnrolSecondFactor,
}

impl From<MustFirst> for First {
    fn from(first: MustFirst) -> Self {
        match first {
            MustFirst::ChangePassword => Self::ChangePassword,
            MustFirst::EnrolSecondFactor => Self::EnrolSecondFactor,
        }
    }
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallerSession)]
pub(crate) struct SessionView {
    /// The account's or the token's name; acts are recorded under it.
    name: String,
    /// `account` for who logged in, `token` for the bearer of an API token.
    kind: CallerKind,
    /// The account's roles; none for a token.
    #[schema(value_type = Vec<schema::RoleName>)]
    roles: Vec<Role>,
    /// What may be done now, at least on some devices.
    #[schema(value_type = Vec<ScopeName>)]
    scopes: Vec<String>,
    /// The actions that may be done now, at least on some devices (`GET /api/v1/roles/actions`).
    actions: Vec<&'static str>,
    /// When it ends, if it does.
    #[schema(value_type = Option<schema::Time>)]
    expires_at: Option<Timestamp>,
    /// What must be done before anything else may be.
    first: Option<First>,
}

fn actions_of(standing: &Standing, first: Option<MustFirst>) -> Vec<&'static str> {
    match first {
        Some(_) => Vec::new(),
        None => standing.actions(),
    }
}

/// How a caller is recognised.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallerKind {
    /// Somebody who logged in.
    Account,
    /// The bearer of an API token.
    Token,
}

impl From<Recognised> for SessionView {
    fn from(who: Recognised) -> Self {
        Self {
            kind: CallerKind::Account,
            roles: who.roles(),
            actions: actions_of(&who.standing, who.first),
            scopes: Scopes::of(&who.scopes()).into(),
            expires_at: Some(who.expires_at),
            first: who.first.map(First::from),
            name: who.account.name,
        }
    }
}

/// What somebody shows who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "account": "anna", "password": "tanzbar loewe kiste fenster" }))]
pub(crate) struct LogInRequest {
    /// The name of the account.
    account: Text<1, 256>,
    /// Its password.
    password: Password,
    /// A code of the second factor, or a recovery code.
    #[serde(default, deserialize_with = "super::tokens::present")]
    #[schema(value_type = Text<1, 64>, required = false, nullable = false)]
    code: Option<Text<1, 64>>,
}

/// An answer that sets the cookie to the secret of a session that just began.
pub(super) fn with_cookie(opened: &Opened, answer: impl IntoResponse) -> Result<Response, Problem> {
    let cookie = cookie::of(&opened.secret)?;
    let mut response = answer.into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.extensions_mut().insert(CameAs {
        account: opened.who.account.name.clone(),
        session: opened.who.session.to_string(),
    });
    Ok(response)
}

/// Logs in: answers with the cookie of a new session.
///
/// Where the password is right and a code is wanted, the answer is 401 with `second_factor`. Whatever else is
/// not right, the answer is the same.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    tag = "people",
    request_body = LogInRequest,
    responses((status = 200, description = "Who logged in. The cookie is the session.", body = SessionView))
)]
async fn log_in(
    State(state): State<PeopleState>,
    Extension(Source(source)): Extension<Source>,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<LogInRequest, MAX_BODY>,
) -> Result<Response, Problem> {
    let who = LogIn {
        account: request.account.0,
        password: request.password.0,
        code: request.code.map(|code| code.0),
        source,
    };
    let opened = match state.parts().people.log_in(who).await {
        Ok(opened) => opened,
        Err(error) => return Err(refused(&state, error, Source(source)).await),
    };
    begun(&state, &opened, came_from(&headers, source), None).await
}

/// From where a log-in comes.
pub(super) fn came_from(headers: &HeaderMap, source: Option<IpAddr>) -> CameFrom<'_> {
    let browser = headers.get(header::USER_AGENT);
    CameFrom {
        source,
        browser: browser.map_or("", |text| text.to_str().unwrap_or("?")),
    }
}

/// Answers with a session that just began.
pub(super) async fn begun(
    state: &PeopleState,
    opened: &Opened,
    from: CameFrom<'_>,
    by: Option<String>,
) -> Result<Response, Problem> {
    record(state, opened, from, by).await?;
    with_cookie(opened, Json(SessionView::from(opened.who.clone())))
}

/// Writes down that a session began, and by what, before anybody has its secret; its person is told where it began
/// in a new place.
pub(super) async fn record(
    state: &PeopleState,
    opened: &Opened,
    from: CameFrom<'_>,
    by: Option<String>,
) -> Result<(), Problem> {
    let act = AdministrativeAct {
        actor: Actor::Account(opened.who.account.name.clone()),
        act: "session.begin".to_owned(),
        target: opened.who.session.to_string(),
        reason: by,
        outcome: Outcome::Done,
    };
    let now = state.parts().clock.now();
    let mut event = Event::new(now, Door::Rest, EventKind::Administrative(act));
    event.source = from.source;
    state.parts().journal.record(vec![event]).await?;
    let people = &state.parts().people;
    people.tell_of_log_in(&opened.who.account.name, from).await;
    Ok(())
}

async fn refused(state: &PeopleState, error: LogInError, Source(source): Source) -> Problem {
    if let Some(why) = why_refused(&error) {
        let refusal = Refusal::Unrecognised { source, why };
        state.denials().note(refusal, "/api/v1/session").await;
    }
    problem_of(error)
}

/// As the ledger says why nobody was logged in; nothing where it is no matter of credentials.
pub(super) fn why_refused(error: &LogInError) -> Option<&'static str> {
    match error {
        LogInError::NotRight => Some("an account or password that is not right"),
        LogInError::SecondFactor(_) => Some("no code of a second factor that is right"),
        LogInError::People(palisade_people::PeopleError::TooMany(_)) => {
            Some("too many attempts to log in")
        }
        LogInError::People(_) => None,
    }
}

/// What whoever was not logged in is told.
pub(super) fn problem_of(error: LogInError) -> Problem {
    match error {
        LogInError::NotRight => Problem::new(ProblemKind::Unauthorized, error),
        LogInError::SecondFactor(wanted) => {
            let factors: &[&str] = match (wanted.totp, wanted.passkey) {
                (true, true) => &["totp", "passkey", "recovery"],
                (false, true) => &["passkey", "recovery"],
                (_, false) => &["totp", "recovery"],
            };
            Problem::new(ProblemKind::Unauthorized, error).wanting(factors)
        }
        LogInError::People(error) => error.into(),
    }
}

/// Says who the caller is: whoever logged in, or the bearer of a token.
#[utoipa::path(
    get,
    path = "/api/v1/session",
    tag = "people",
    responses((status = 200, description = "The caller.", body = SessionView))
)]
async fn get_session(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<SessionView>, Problem> {
    let person = caller.person.as_ref();
    let (roles, scopes, actions) = match person {
        Some(person) => (
            person.standing.roles(),
            match person.first {
                Some(_) => Vec::new(),
                None => person.standing.scopes_somewhere(),
            },
            actions_of(&person.standing, person.first),
        ),
        None => {
            let scopes: Vec<String> = caller.scopes.clone().into();
            let roles = state.parts().people.roles().await?;
            let catalogue = roles.catalogue();
            let actions = catalogue.actions().iter().map(|action| action.name);
            let may = |action: &&str| caller.may_everywhere(action, catalogue);
            (Vec::new(), scopes, actions.filter(may).collect())
        }
    };
    Ok(Json(SessionView {
        kind: match person {
            Some(_) => CallerKind::Account,
            None => CallerKind::Token,
        },
        roles,
        actions,
        first: person.and_then(|person| person.first).map(First::from),
        name: caller.name,
        scopes,
        expires_at: caller.expires_at,
    }))
}

/// Logs out: the session ends. A token is not ended by it.
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    tag = "people",
    responses((status = 204, description = "The session has ended, where there was one."))
)]
async fn log_out(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    if caller.person.is_some() {
        let people = &state.parts().people;
        people.end_session(&caller.name, caller.token).await?;
    }
    let gone = HeaderMap::from_iter([(header::SET_COOKIE, cookie::gone())]);
    Ok((gone, Done::silently(caller.token)).into_response())
}
