//! What is usual for devices and products, and what operators say about it.

mod views;

use axum::{Json, extract::State};
use palisade_core::{DeviceId, ProductId, Timestamp};
use palisade_detect::baseline::{BaselineError, ProductSettings};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    auth::Caller,
    extract::{JsonBody, NoParameters, Object, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema,
};
use crate::problem::Problem;
use views::{DeviceView, FleetView, MetricSettingsView, ProductView, ThresholdView};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::DetectRead, "baseline.list", routes!(list_baselines))
        .read(
            Scope::DetectRead,
            "baseline.read_fleet",
            routes!(get_fleet_baseline),
        )
        .write(
            Scope::DetectWrite,
            "baseline.learn",
            routes!(put_fleet_baseline),
        )
        .read(
            Scope::DetectRead,
            "baseline.read_product",
            routes!(get_product_baseline),
        )
        .write(
            Scope::DetectWrite,
            "baseline.set",
            routes!(put_product_baseline),
        )
        .read(
            Scope::DetectRead,
            "baseline.read_device",
            routes!(get_device_baseline),
        )
}

/// How baselines of the whole fleet are to work.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BaselineFleetRequest, example = json!({ "learn_until": "2030-01-31T12:00:00Z" }))]
pub(crate) struct FleetRequest {
    /// Until then all devices are learned and nothing alarms; nothing is learned so where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<schema::Time>)]
    learn_until: Option<Timestamp>,
}

/// How the baselines of a product are to work. What is left out is as the installation says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BaselineProductRequest, example = json!({
    "thresholds": [{ "metric": "bytes_out", "operator": "above", "value": 5_000_000, "duration_s": 600 }],
    "metrics": [{ "metric": "messages_sent", "confidence": "medium", "datapoints_to_alarm": 2 }]
}))]
pub(crate) struct ProductRequest {
    /// Until then the product's devices are learned and nothing alarms.
    #[serde(default)]
    #[schema(value_type = Option<schema::Time>)]
    learn_until: Option<Timestamp>,
    /// Limits that are not learned.
    #[serde(default)]
    #[schema(value_type = Vec<ThresholdView>, max_items = 32)]
    thresholds: Vec<Object<ThresholdView>>,
    /// How metrics are judged, where they are judged in their own way.
    #[serde(default)]
    #[schema(value_type = Vec<MetricSettingsView>, max_items = 15)]
    metrics: Vec<Object<MetricSettingsView>>,
}

impl From<ProductRequest> for ProductSettings {
    fn from(request: ProductRequest) -> Self {
        Self {
            learn_until: request.learn_until,
            thresholds: request
                .thresholds
                .into_iter()
                .map(|one| one.0.into())
                .collect(),
            metrics: request
                .metrics
                .into_iter()
                .map(|one| one.0.into())
                .collect(),
        }
    }
}

/// Lists what is known of each product's devices.
#[utoipa::path(
    get,
    path = "/api/v1/baselines",
    tag = "detection",
    params(PageQuery),
    responses((status = 200, description = "Products that anything is known of, by id.",
        body = Page<ProductView>))
)]
async fn list_baselines(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Json<Page<ProductView>> {
    let views = state.parts().baselines.products();
    let views = views.into_iter().map(ProductView::from);
    Json(Page::cut(views, &query, |one| one.product.to_string()))
}

/// Shows how baselines are doing.
#[utoipa::path(
    get,
    path = "/api/v1/baselines/fleet",
    tag = "detection",
    responses((status = 200, description = "How they are doing.", body = FleetView))
)]
async fn get_fleet_baseline(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<FleetView> {
    Json(state.parts().baselines.fleet().into())
}

/// Lets the whole fleet be learned without alarms for a while, or no longer.
#[utoipa::path(
    put,
    path = "/api/v1/baselines/fleet",
    tag = "detection",
    request_body = FleetRequest,
    responses((status = 200, description = "How they are doing now.", body = FleetView))
)]
async fn put_fleet_baseline(
    State(state): State<PeopleState>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<FleetRequest>,
) -> Result<Done<FleetView>, Problem> {
    let baselines = &state.parts().baselines;
    let until = request.learn_until;
    baselines.set_learning(until, &caller.name).await?;
    let target = match until {
        Some(until) => format!("fleet: learns until {until}"),
        None => "fleet: alarms".to_owned(),
    };
    Ok(Done::changed(target, baselines.fleet().into()))
}

/// Shows what is known of a product's devices.
#[utoipa::path(
    get,
    path = "/api/v1/baselines/products/{id}",
    tag = "detection",
    params(("id" = schema::ProductId, Path, description = "The product.")),
    responses((status = 200, description = "What is known.", body = ProductView))
)]
async fn get_product_baseline(
    State(state): State<PeopleState>,
    Path(id): Path<ProductId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ProductView>, Problem> {
    let found = state.parts().baselines.product(&id);
    let missing = || Problem::not_found(format_args!("a baseline of product {id}"));
    Ok(Json(found.ok_or_else(missing)?.into()))
}

/// Says how the baselines of a product are to work.
///
/// It replaces what was said before, and is in force from the next interval on.
#[utoipa::path(
    put,
    path = "/api/v1/baselines/products/{id}",
    tag = "detection",
    params(("id" = schema::ProductId, Path, description = "The product.")),
    request_body = ProductRequest,
    responses((status = 200, description = "What is known, and said.", body = ProductView))
)]
async fn put_product_baseline(
    State(state): State<PeopleState>,
    Path(id): Path<ProductId>,
    caller: Caller,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ProductRequest>,
) -> Result<Done<ProductView>, Problem> {
    if state.store().devices().find_product(&id).await?.is_none() {
        return Err(Problem::not_found(format_args!("product {id}")));
    }
    let baselines = &state.parts().baselines;
    let put = baselines
        .set_product(&id, request.into(), &caller.name)
        .await;
    put.map_err(|error| match error {
        BaselineError::Settings(error) => Problem::invalid(error),
        BaselineError::Detect(error) => error.into(),
    })?;
    let missing = || Problem::not_found(format_args!("a baseline of product {id}"));
    let view = baselines.product(&id).ok_or_else(missing)?;
    Ok(Done::changed(format_args!("product/{id}"), view.into()))
}

/// Shows what is known of a device: per metric what is usual now, and the last datapoints.
#[utoipa::path(
    get,
    path = "/api/v1/baselines/devices/{id}",
    tag = "detection",
    params(("id" = schema::DeviceId, Path, description = "The device.")),
    responses((status = 200, description = "What is known.", body = DeviceView))
)]
async fn get_device_baseline(
    State(state): State<PeopleState>,
    Path(id): Path<DeviceId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<DeviceView>, Problem> {
    let found = state.parts().baselines.device(&id).await?;
    let missing = || Problem::not_found(format_args!("a baseline of device {id}"));
    Ok(Json(found.ok_or_else(missing)?.into()))
}
