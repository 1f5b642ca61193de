//! Where the person of an account is told what happens to it.

use axum::{Extension, Json, extract::State};
use palisade_people::AccountName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    accounts::{NameOf, target},
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    gate::Source,
    own_account::{knows_the_password_alone, own},
    routes::Routes,
    schema,
    text::Text,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .token("own.read_email", routes!(get_own_email))
        .own_write("account.change_email", routes!(change_own_email))
        .read(Scope::Admin, "account.read_email", routes!(get_email))
        .write(Scope::Admin, "account.set_email", routes!(set_email))
}

/// An address of an account's person.
pub(super) type Email = Text<3, 254>;

/// Where an account's person is told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmailView {
    /// The address, if there is one.
    #[schema(value_type = Option<schema::EmailAddress>)]
    email: Option<String>,
    /// Whether this server tells anybody: it has `[accounts.mail]` in its configuration.
    tells: bool,
}

/// Where an account's person is to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "anna@example.org" }))]
pub(crate) struct EmailRequest {
    /// The address; null for none.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<schema::EmailAddress>, required = true)]
    email: Option<Email>,
}

/// Says where the caller is told what happens to their account.
#[utoipa::path(
    get,
    path = "/api/v1/account/email",
    tag = "people",
    responses((status = 200, description = "The address; a token has none.", body = EmailView))
)]
async fn get_own_email(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<EmailView>, Problem> {
    let people = &state.parts().people;
    let email = match caller.person {
        Some(_) => people.email(&caller.name).await?,
        None => None,
    };
    let tells = people.tells();
    Ok(Json(EmailView { email, tells }))
}

/// Sets where the caller is told what happens to their account. The address of before is told so.
#[utoipa::path(
    put,
    path = "/api/v1/account/email",
    tag = "people",
    request_body = EmailRequest,
    responses((status = 200, description = "The address.", body = EmailView))
)]
async fn change_own_email(
    State(state): State<PeopleState>,
    Extension(source): Extension<Source>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<EmailRequest>,
) -> Result<Done<EmailView>, Problem> {
    let account = own(&state, &caller).await?;
    knows_the_password_alone(&caller)?;
    let name = AccountName::parse(&account.name).map_err(|error| Problem::internal(&error))?;
    set(&state, &caller, &name, request, source).await
}

/// Says where an account's person is told what happens to it.
#[utoipa::path(
    get,
    path = "/api/v1/accounts/{name}/email",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    responses((status = 200, description = "The address.", body = EmailView))
)]
async fn get_email(
    State(state): State<PeopleState>,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<EmailView>, Problem> {
    let people = &state.parts().people;
    let account = people.account(&name).await?;
    let email = people.email(&account.name).await?;
    let tells = people.tells();
    Ok(Json(EmailView { email, tells }))
}

/// Sets where an account's person is told what happens to it. The address of before is told so.
#[utoipa::path(
    put,
    path = "/api/v1/accounts/{name}/email",
    tag = "people",
    params(("name" = schema::AccountName, Path, description = "The account.")),
    request_body = EmailRequest,
    responses((status = 200, description = "The address.", body = EmailView))
)]
async fn set_email(
    State(state): State<PeopleState>,
    Extension(source): Extension<Source>,
    caller: Caller,
    Path(NameOf(name)): Path<NameOf>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<EmailRequest>,
) -> Result<Done<EmailView>, Problem> {
    target(&state, &caller, &name).await?;
    set(&state, &caller, &name, request, source).await
}

async fn set(
    state: &PeopleState,
    caller: &Caller,
    name: &AccountName,
    request: EmailRequest,
    Source(source): Source,
) -> Result<Done<EmailView>, Problem> {
    let people = &state.parts().people;
    let asked = request.email.as_ref().map(|email| email.0.as_str());
    let email = people.set_email(name, asked, &caller.name, source).await?;
    let tells = people.tells();
    let told = email.as_deref().unwrap_or("nowhere");
    let target = format!("{name}: told at {told}");
    Ok(Done::changed(target, EmailView { email, tells }))
}
