//! Grants: which topics are whose.

use std::num::NonZeroU16;

use axum::{Json, extract::State};
use palisade_core::{
    DeviceId, Grant, GrantActions, GrantId, GrantScope, ProductId, SegmentId, ServiceId, Timestamp,
    TopicPattern,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    devices::known_product,
    extract::{JsonBody, NoParameters, Path, Query, object},
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    services::known_service,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::PolicyRead, "grant.list", routes!(list_grants))
        .write(Scope::PolicyWrite, "grant.add", routes!(add_grant))
        .write(Scope::PolicyWrite, "grant.remove", routes!(remove_grant))
}

/// To whom a grant is to belong.
#[derive(Debug, Deserialize)]
#[serde(
    tag = "type",
    content = "id",
    rename_all = "snake_case",
    deny_unknown_fields
)]
enum ScopeRequest {
    /// Every device.
    Fleet,
    /// Every device of a product.
    Product(ProductId),
    /// Every device of a segment.
    Segment(SegmentId),
    /// One device.
    Device(DeviceId),
    /// One service.
    Service(ServiceId),
}

impl From<ScopeRequest> for GrantScope {
    fn from(scope: ScopeRequest) -> Self {
        match scope {
            ScopeRequest::Fleet => Self::Fleet,
            ScopeRequest::Product(id) => Self::Product(id),
            ScopeRequest::Segment(id) => Self::Segment(id),
            ScopeRequest::Device(id) => Self::Device(id),
            ScopeRequest::Service(id) => Self::Service(id),
        }
    }
}

/// What a grant allows on its topics.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GrantActions)]
pub(crate) struct ActionsView {
    /// To publish.
    #[serde(default)]
    publish: bool,
    /// To hold a subscription whose filter is a subset.
    #[serde(default)]
    subscribe: bool,
    /// To have a message delivered.
    #[serde(default)]
    receive: bool,
    /// To set or clear the retained message, besides `publish`.
    #[serde(default)]
    retain: bool,
    /// To have what devices publish there kept in the vault for so many days, besides `publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>, minimum = 1)]
    keep_days: Option<NonZeroU16>,
    /// That what is published there is sealed for its readers by who publishes it, besides `publish`: what is not is refused.
    #[serde(default)]
    sealed: bool,
}

impl From<ActionsView> for GrantActions {
    fn from(actions: ActionsView) -> Self {
        Self {
            publish: actions.publish,
            subscribe: actions.subscribe,
            receive: actions.receive,
            retain: actions.retain,
            keep_days: actions.keep_days,
            sealed: actions.sealed,
        }
    }
}

/// One grant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
pub(crate) struct GrantView {
    /// Its name.
    #[schema(value_type = schema::GrantId)]
    id: String,
    /// To whom it belongs.
    #[schema(value_type = schema::GrantScope)]
    scope: GrantScope,
    /// The topics, with variables.
    #[schema(value_type = schema::TopicPattern)]
    pattern: TopicPattern,
    /// What it allows there.
    actions: ActionsView,
    /// Since when it is there.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    /// When something was last let through by it, to the minutes; nothing where that was not seen.
    #[schema(value_type = Option<schema::Time>)]
    last_used_at: Option<Timestamp>,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        let GrantActions {
            publish,
            subscribe,
            receive,
            retain,
            keep_days,
            sealed,
        } = grant.actions;
        Self {
            id: grant.id.to_string(),
            scope: grant.scope,
            pattern: grant.pattern,
            actions: ActionsView {
                publish,
                subscribe,
                receive,
                retain,
                keep_days,
                sealed,
            },
            created_at: grant.created_at,
            last_used_at: None,
        }
    }
}

/// What a grant is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "scope": { "type": "product", "id": "camera" },
    "pattern": "devices/{device}/telemetry/#",
    "actions": { "publish": true }
}))]
pub(crate) struct GrantRequest {
    /// To whom it belongs.
    #[serde(deserialize_with = "object")]
    #[schema(value_type = schema::GrantScope)]
    scope: ScopeRequest,
    /// The topics: an MQTT filter in which `{device}`, `{product}`, `{segment}`, `{service}` and
    /// `{label:<key>}` stand for the principal's own.
    #[schema(value_type = schema::TopicPattern)]
    pattern: TopicPattern,
    /// What it allows there.
    #[serde(deserialize_with = "object")]
    actions: ActionsView,
}

/// Lists grants.
#[utoipa::path(
    get,
    path = "/api/v1/grants",
    tag = "grants",
    params(PageQuery),
    responses((status = 200, description = "Grants, oldest first.", body = Page<GrantView>))
)]
async fn list_grants(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<GrantView>>, Problem> {
    let mut grants = state.parts().pdp.grants();
    grants.sort_by_key(|grant| grant.id);
    let uses = state.store().grants().uses().await?;
    let views = grants.into_iter().map(|grant| {
        let view = GrantView::from(grant);
        GrantView {
            last_used_at: uses.get(&view.id).copied(),
            ..view
        }
    });
    Ok(Json(Page::cut(views, &query, |grant| grant.id.clone())))
}

/// Adds a grant. It is in force at every door when this is answered.
///
/// The product, device or service that it is for must be known; a segment is free to be named.
#[utoipa::path(
    post,
    path = "/api/v1/grants",
    tag = "grants",
    request_body = GrantRequest,
    responses((status = 201, description = "The grant.", body = GrantView))
)]
async fn add_grant(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<GrantRequest>,
) -> Result<Done<GrantView>, Problem> {
    let scope = request.scope.into();
    let ActionsView {
        publish,
        keep_days,
        sealed,
        ..
    } = request.actions;
    if sealed && !publish {
        return Err(Problem::invalid(
            "sealed is about what is published: grant it together with publish",
        ));
    }
    if keep_days.is_some() && (!publish || matches!(scope, GrantScope::Service(_))) {
        return Err(Problem::invalid(
            "keep_days keeps what devices publish: grant it to devices, together with publish",
        ));
    }
    known_holder(&state, &scope).await?;
    let grant = Grant {
        id: GrantId::generate(),
        scope,
        pattern: request.pattern,
        actions: request.actions.into(),
        created_at: state.parts().clock.now(),
    };
    state.parts().pdp.add_grant(grant.clone()).await?;
    let (kind, id) = (grant.scope.kind(), grant.scope.id());
    let target = format!("{}: {kind} {id} {}", grant.id, grant.pattern);
    Ok(Done::created(target, grant.into()))
}

/// A grant to nobody is a slip of the pen. Segments are there as soon as they are named.
async fn known_holder(state: &PeopleState, scope: &GrantScope) -> Result<(), Problem> {
    match scope {
        GrantScope::Fleet | GrantScope::Segment(_) => {}
        GrantScope::Product(id) => drop(known_product(state, id).await?),
        GrantScope::Service(id) => drop(known_service(state, id).await?),
        GrantScope::Device(id) => {
            if state.store().devices().find(id).await?.is_none() {
                return Err(Problem::conflict(format!(
                    "device {id} is not registered: register it with POST /api/v1/devices"
                )));
            }
        }
    }
    Ok(())
}

/// Removes a grant. Live sessions are decided anew before this is answered.
#[utoipa::path(
    delete,
    path = "/api/v1/grants/{id}",
    tag = "grants",
    params(("id" = schema::GrantId, Path, description = "The grant.")),
    responses((status = 204, description = "It is removed."))
)]
async fn remove_grant(
    State(state): State<PeopleState>,
    Path(id): Path<GrantId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    match state.parts().pdp.remove_grant(id).await? {
        true => Ok(Done::silently(id)),
        false => Err(Problem::not_found(format_args!("grant {id}"))),
    }
}
