//! Enrolment tokens: what lets a device obtain its first certificate.

use std::time::Duration;

use axum::{Json, extract::State};
use palisade_core::{DeviceId, ProductId, Timestamp, TokenId};
use palisade_store::{EnrolmentToken, TokenScope};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, schema::AdditionalProperties},
};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    devices::known_product,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema, secret,
    text::Description,
    whole::Whole,
};
use crate::problem::Problem;

const PREFIX: &str = "pet_";
const DAY_S: u32 = 24 * 60 * 60;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(
            Scope::TokensRead,
            "enrolment_token.list",
            routes!(list_enrolment_tokens),
        )
        .write(
            Scope::TokensWrite,
            "enrolment_token.create",
            routes!(create_enrolment_token),
        )
        .write(
            Scope::TokensWrite,
            "enrolment_token.revoke",
            routes!(revoke_enrolment_token),
        )
}

/// A life in seconds: a minute to ten years.
pub(super) type Lifetime = Whole<60, { 10 * 365 * DAY_S }>;
type Uses = Whole<1, 1_000_000>;

/// When something ends that begins now.
pub(super) fn end(now: Timestamp, life: Lifetime) -> Timestamp {
    let life = Duration::from_secs(u64::from(life.value()));
    now.checked_add(life).unwrap_or(Timestamp::MAX)
}

/// An enrolment token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EnrolmentToken)]
pub(crate) struct EnrolmentTokenView {
    /// Its name.
    #[schema(value_type = schema::TokenId)]
    id: String,
    /// For whom it is.
    #[schema(value_type = schema::EnrolmentScope)]
    scope: TokenScope,
    /// How many enrolments are left.
    #[schema(minimum = 0)]
    uses_left: u64,
    /// When it ends.
    #[schema(value_type = schema::Time)]
    expires_at: Timestamp,
    /// Whether it was revoked.
    revoked: bool,
    /// What people say about it.
    note: String,
    /// When it was made.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<EnrolmentToken> for EnrolmentTokenView {
    fn from(token: EnrolmentToken) -> Self {
        Self {
            id: token.id.to_string(),
            scope: token.scope,
            uses_left: token.uses_left,
            expires_at: token.expires_at,
            revoked: token.revoked,
            note: token.note,
            created_at: token.created_at,
        }
    }
}

/// An enrolment token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnrolmentTokenMade {
    /// The secret. It is shown now and never again: only its hash is kept.
    #[schema(pattern = "^pet_[A-Za-z0-9_-]{43}$")]
    secret: String,
    /// The token.
    #[serde(flatten)]
    token: EnrolmentTokenView,
}

/// What an enrolment token is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolmentTokenRequest {
    #[serde(default, deserialize_with = "present")]
    device: Option<DeviceId>,
    #[serde(default, deserialize_with = "present")]
    product: Option<ProductId>,
    #[serde(default)]
    uses: Uses,
    #[serde(default = "a_day")]
    ttl_s: Lifetime,
    #[serde(default)]
    note: Description,
}

/// A value that may be absent, but not null.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn a_day() -> Lifetime {
    Lifetime::of(DAY_S)
}

impl PartialSchema for EnrolmentTokenRequest {
    /// One object for each of the two scopes: a token has exactly one.
    fn schema() -> RefOr<Schema> {
        let one = |name: &str, id: std::borrow::Cow<'static, str>, text: &str| {
            ObjectBuilder::new()
                .description(Some(text))
                .property(name, Ref::from_schema_name(id))
                .property("uses", Uses::schema())
                .property("ttl_s", Lifetime::schema())
                .property("note", Description::schema())
                .required(name)
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let device = one(
            "device",
            schema::DeviceId::name(),
            "For one device, which must be registered.",
        );
        let product = one(
            "product",
            schema::ProductId::name(),
            "For the devices of a product, which must be known.",
        );
        OneOfBuilder::new()
            .description(Some(
                "What an enrolment token is to be. It ends after a day where nothing is said.",
            ))
            .item(device)
            .item(product)
            .examples([
                serde_json::json!({ "product": "camera", "uses": 100, "ttl_s": 604_800 }),
                serde_json::json!({ "device": "cam-0001", "note": "the one at the gate" }),
            ])
            .into()
    }
}

impl ToSchema for EnrolmentTokenRequest {
    fn name() -> std::borrow::Cow<'static, str> {
        "EnrolmentTokenRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend([
            (schema::DeviceId::name().into(), schema::DeviceId::schema()),
            (
                schema::ProductId::name().into(),
                schema::ProductId::schema(),
            ),
        ]);
    }
}

/// Lists enrolment tokens, the newest thousand.
#[utoipa::path(
    get,
    path = "/api/v1/enrolment-tokens",
    tag = "tokens",
    params(PageQuery),
    responses((status = 200, description = "Enrolment tokens, by id.", body = Page<EnrolmentTokenView>))
)]
async fn list_enrolment_tokens(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<EnrolmentTokenView>>, Problem> {
    let tokens = state.store().tokens().enrolments().await?;
    let views = tokens.into_iter().rev().map(EnrolmentTokenView::from);
    Ok(Json(Page::cut(views, &query, |token| token.id.clone())))
}

/// Makes an enrolment token.
#[utoipa::path(
    post,
    path = "/api/v1/enrolment-tokens",
    tag = "tokens",
    request_body = EnrolmentTokenRequest,
    responses((
        status = 201,
        description = "The token; its secret is not shown again.",
        body = EnrolmentTokenMade
    ))
)]
async fn create_enrolment_token(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<EnrolmentTokenRequest>,
) -> Result<Done<EnrolmentTokenMade>, Problem> {
    let scope = match (request.device, request.product) {
        (Some(device), None) => {
            if state.store().devices().find(&device).await?.is_none() {
                return Err(Problem::conflict(format!(
                    "device {device} is not registered: register it, or make a token for its product"
                )));
            }
            TokenScope::Device(device)
        }
        (None, Some(product)) => TokenScope::Product(known_product(&state, &product).await?.id),
        _ => return Err(Problem::invalid("name a device or a product, one of them")),
    };
    let now = state.parts().clock.now();
    let secret = secret::generate(PREFIX)?;
    let token = EnrolmentToken {
        id: TokenId::generate(),
        hash: secret::hash(&secret),
        scope,
        uses_left: u64::from(request.uses.value()),
        expires_at: end(now, request.ttl_s),
        revoked: false,
        note: request.note.to_string(),
        created_at: now,
    };
    state.store().tokens().add_enrolment(&token).await?;
    let (id, about) = (token.id, token.scope.clone());
    let token = token.into();
    let made = Done::created(id, EnrolmentTokenMade { secret, token });
    Ok(match about {
        TokenScope::Device(device) => made.about(device),
        TokenScope::Product(_) => made,
    })
}

/// Revokes an enrolment token. Certificates that were had with it stay valid.
#[utoipa::path(
    delete,
    path = "/api/v1/enrolment-tokens/{id}",
    tag = "tokens",
    params(("id" = schema::TokenId, Path, description = "The token.")),
    responses((status = 204, description = "It is revoked."))
)]
async fn revoke_enrolment_token(
    State(state): State<PeopleState>,
    Path(id): Path<TokenId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    match state.store().tokens().revoke_enrolment(id).await? {
        true => Ok(Done::silently(id)),
        false => Err(Problem::not_found(format_args!("enrolment token {id}"))),
    }
}
