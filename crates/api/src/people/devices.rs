//! Devices: registered one by one, listed, read and changed.

use std::collections::BTreeMap;

use axum::{Extension, Json, extract::State};
use palisade_core::{
    Device, DeviceId, Door, Event, EventKind, Labels, Lifecycle, Posture, Product, ProductId,
    SegmentId, TrustScore,
};
use palisade_store::{DeviceFilter, PageRequest, RegisterError};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Cursor, Limit, Page},
    routes::Routes,
    schema,
    target::{Within, stays_within},
    text::{Line, Reason},
    views::{DeviceView, LifecycleDoc},
    whole::Whole,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::DevicesRead, "device.list", routes!(list_devices))
        .write(
            Scope::DevicesWrite,
            "device.register",
            routes!(register_device),
        )
        .read(Scope::DevicesRead, "device.read", routes!(get_device))
        .write(Scope::DevicesWrite, "device.change", routes!(change_device))
}

/// Which devices are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeviceQuery {
    /// Of this product.
    #[param(value_type = Option<schema::ProductId>)]
    product: Option<ProductId>,
    /// In this segment.
    #[param(value_type = Option<schema::SegmentId>)]
    segment: Option<SegmentId>,
    /// At this point of life.
    #[param(inline, value_type = Option<LifecycleDoc>)]
    lifecycle: Option<Lifecycle>,
    /// Trusted less than this, 1 to 100.
    #[param(inline, value_type = Option<Whole<1, 100>>)]
    #[serde(default, deserialize_with = "trust")]
    trust_below: Option<TrustScore>,
    /// With this label, as `key=value`; several are separated by `;`.
    #[param(value_type = Option<String>, example = "site=berlin",
        pattern = r"^[A-Za-z0-9._-]{1,63}=[^;\u0000-\u001f\u007f-\u009f]{0,255}(;[A-Za-z0-9._-]{1,63}=[^;\u0000-\u001f\u007f-\u009f]{0,255}){0,31}$")]
    #[serde(default, deserialize_with = "label_list")]
    label: Labels,
    /// With this in its id, in either case.
    #[param(inline, value_type = Option<Line<1, 64>>)]
    search: Option<Line<1, 64>>,
    /// The `next` of the part before.
    #[param(inline, value_type = Option<Cursor>)]
    after: Option<Cursor>,
    /// The most items wanted.
    #[serde(default)]
    #[param(inline, value_type = Option<Limit>)]
    limit: Limit,
}

/// A query is text, numbers in it as well.
fn trust<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TrustScore>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse() {
        Ok(trust @ 1..=100) => Ok(Some(TrustScore::new(trust))),
        _ => Err(serde::de::Error::custom(
            "trust_below: a whole number from 1 to 100",
        )),
    }
}

fn label_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mut map = BTreeMap::new();
    for item in text.split(';') {
        let (key, value) = item
            .split_once('=')
            .ok_or_else(|| serde::de::Error::custom("a label is written key=value"))?;
        map.insert(key.to_owned(), value.to_owned());
    }
    Labels::new(map).map_err(serde::de::Error::custom)
}

/// Lists devices.
#[utoipa::path(
    get,
    path = "/api/v1/devices",
    tag = "devices",
    params(DeviceQuery),
    responses((status = 200, description = "Devices, by id.", body = Page<DeviceView>))
)]
async fn list_devices(
    State(state): State<PeopleState>,
    Extension(Within(within)): Extension<Within>,
    Query(query): Query<DeviceQuery>,
) -> Result<Json<Page<DeviceView>>, Problem> {
    let filter = DeviceFilter {
        product: query.product,
        segment: query.segment,
        lifecycle: query.lifecycle,
        trust_below: query.trust_below,
        labels: query.label,
        search: query.search.map(|search| search.to_string()),
        within,
    };
    let page = PageRequest {
        after: query.after.map(|after| after.key().to_owned()),
        limit: query.limit.0,
    };
    let found = state.store().devices().list(&filter, &page).await?;
    Ok(Json(Page::of(found, |device| view(&state, device))))
}

/// A device that is to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "id": "cam-0001", "product": "camera", "labels": { "site": "berlin" } }))]
pub(crate) struct DeviceRequest {
    /// Its name.
    #[schema(value_type = schema::DeviceId)]
    id: DeviceId,
    /// What it is; the product must be known.
    #[schema(value_type = schema::ProductId)]
    product: ProductId,
    /// What people say about it.
    #[serde(default)]
    #[schema(value_type = Option<schema::Labels>, nullable = false)]
    labels: Labels,
    /// Where it lives; the product's segment where nothing is said.
    #[schema(value_type = Option<schema::SegmentId>)]
    segment: Option<SegmentId>,
}

/// Registers a device.
#[utoipa::path(
    post,
    path = "/api/v1/devices",
    tag = "devices",
    request_body = DeviceRequest,
    responses((status = 201, description = "The device.", body = DeviceView))
)]
async fn register_device(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<DeviceRequest>,
) -> Result<Done<DeviceView>, Problem> {
    let product = known_product(&state, &request.product).await?;
    let segment = request.segment.unwrap_or(product.default_segment);
    let now = state.parts().clock.now();
    let device = Device {
        id: request.id,
        product: product.id,
        labels: request.labels,
        posture: Posture::registered(segment.clone()),
        registered_at: now,
        last_seen_at: None,
    };
    let devices = state.store().devices();
    devices.add_segment(&unnamed(segment)).await?;
    match devices.register(std::slice::from_ref(&device)).await {
        Ok(()) => {}
        Err(RegisterError::Exist(_)) => {
            let detail = format!("device {} exists already", device.id);
            return Err(Problem::conflict(detail));
        }
        Err(RegisterError::Store(error)) => return Err(error.into()),
    }
    let event = Event::new(now, Door::Rest, EventKind::Registered { count: 1 });
    let event = event.about(device.id.clone());
    state.parts().journal.record(vec![event]).await?;
    let id = device.id.clone();
    let view = view(&state, device);
    Ok(Done::created(&id, view).about(id))
}

pub(super) async fn known_product(state: &PeopleState, id: &ProductId) -> Result<Product, Problem> {
    let found = state.store().devices().find_product(id).await?;
    found.ok_or_else(|| {
        Problem::conflict(format!(
            "product {id} is not known: make it known with PUT /api/v1/products/{id}"
        ))
    })
}

pub(super) fn unnamed(id: SegmentId) -> palisade_core::Segment {
    palisade_core::Segment {
        id,
        description: String::new(),
    }
}

/// A device as people see it now.
pub(super) fn view(state: &PeopleState, device: Device) -> DeviceView {
    let presence = state.parts().gateway.presence(&device.id);
    DeviceView::of(device, presence)
}

/// Finds a device, or says that there is none.
pub(super) async fn known_device(state: &PeopleState, id: &DeviceId) -> Result<Device, Problem> {
    let found = state.store().devices().find(id).await?;
    found.ok_or_else(|| Problem::not_found(format_args!("device {id}")))
}

/// Reads a device.
#[utoipa::path(
    get,
    path = "/api/v1/devices/{id}",
    tag = "devices",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    responses((status = 200, description = "The device.", body = DeviceView))
)]
async fn get_device(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<DeviceView>, Problem> {
    let device = known_device(&state, &id).await?;
    Ok(Json(view(&state, device)))
}

/// What is to change of a device; what is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "labels": { "site": "paris" }, "reason": "moved" }))]
pub(crate) struct DeviceChange {
    /// All its labels from now on.
    #[schema(value_type = Option<schema::Labels>)]
    labels: Option<Labels>,
    /// Where it lives from now on.
    #[schema(value_type = Option<schema::SegmentId>)]
    segment: Option<SegmentId>,
    /// Why.
    reason: Option<Reason>,
}

/// Changes a device's labels or segment.
///
/// Both decide what the device may do: its live sessions are decided anew at once.
#[utoipa::path(
    patch,
    path = "/api/v1/devices/{id}",
    tag = "devices",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    request_body = DeviceChange,
    responses((status = 200, description = "The device as it is now.", body = DeviceView))
)]
async fn change_device(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(change): JsonBody<DeviceChange>,
) -> Result<Done<DeviceView>, Problem> {
    let mut device = known_device(&state, &id).await?;
    if let Some(segment) = &change.segment {
        device.posture.segment = segment.clone();
    }
    if let Some(labels) = &change.labels {
        device.labels = labels.clone();
    }
    stays_within(&caller, "device.change", &device)?;
    let pdp = &state.parts().pdp;
    if let Some(segment) = change.segment {
        let devices = state.store().devices();
        devices.add_segment(&unnamed(segment.clone())).await?;
        let reason = change.reason.as_ref().map_or("", Reason::as_str);
        pdp.set_segment(&id, segment, reason).await?;
    }
    if let Some(labels) = change.labels
        && !pdp.set_labels(&id, labels).await?
    {
        return Err(Problem::not_found(format_args!("device {id}")));
    }
    let device = known_device(&state, &id).await?;
    let view = view(&state, device);
    Ok(Done::changed(&id, view)
        .because(change.reason)
        .about(id.clone()))
}
