//! Products, and the segments that their devices live in.

use axum::{Json, extract::State};
use palisade_core::{Product, ProductId, Segment, SegmentId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    text::Description,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::DevicesRead, "product.list", routes!(list_products))
        .read(Scope::DevicesRead, "product.read", routes!(get_product))
        .write(Scope::DevicesWrite, "product.put", routes!(put_product))
        .read(Scope::DevicesRead, "segment.list", routes!(list_segments))
        .write(Scope::DevicesWrite, "segment.put", routes!(put_segment))
}

/// A type of device of one maker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Product)]
pub(crate) struct ProductView {
    /// Its name.
    #[schema(value_type = schema::ProductId)]
    id: ProductId,
    /// What people read.
    description: String,
    /// Where its devices live unless said otherwise.
    #[schema(value_type = schema::SegmentId)]
    default_segment: SegmentId,
    /// Whether only devices registered beforehand may enrol.
    inventory_only: bool,
    /// When it was made known.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        Self {
            id: product.id,
            description: product.description,
            default_segment: product.default_segment,
            inventory_only: product.inventory_only,
            created_at: product.created_at,
        }
    }
}

/// What a product is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "description": "Outdoor camera", "inventory_only": true }))]
pub(crate) struct ProductRequest {
    /// What people read.
    #[serde(default)]
    description: Description,
    /// Where its devices live unless said otherwise; `default` where nothing is said.
    #[schema(value_type = Option<schema::SegmentId>)]
    default_segment: Option<SegmentId>,
    /// Whether only devices registered beforehand may enrol.
    #[serde(default)]
    inventory_only: bool,
}

/// Lists products.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    tag = "devices",
    params(PageQuery),
    responses((status = 200, description = "Products, by id.", body = Page<ProductView>))
)]
async fn list_products(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ProductView>>, Problem> {
    let products = state.store().devices().products().await?;
    let views = products.into_iter().map(ProductView::from);
    Ok(Json(Page::cut(views, &query, |product| {
        product.id.to_string()
    })))
}

/// Reads a product.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}",
    tag = "devices",
    params(("id" = schema::ProductId, Path, description = "The product.")),
    responses((status = 200, description = "The product.", body = ProductView))
)]
async fn get_product(
    State(state): State<PeopleState>,
    Path(id): Path<ProductId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<ProductView>, Problem> {
    let found = state.store().devices().find_product(&id).await?;
    let product = found.ok_or_else(|| Problem::not_found(format_args!("product {id}")))?;
    Ok(Json(product.into()))
}

/// Makes a product known, or changes it.
#[utoipa::path(
    put,
    path = "/api/v1/products/{id}",
    tag = "devices",
    params(("id" = schema::ProductId, Path, description = "The product.")),
    request_body = ProductRequest,
    responses((status = 200, description = "The product as it is now.", body = ProductView))
)]
async fn put_product(
    State(state): State<PeopleState>,
    Path(id): Path<ProductId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ProductRequest>,
) -> Result<Done<ProductView>, Problem> {
    let devices = state.store().devices();
    let known = devices.find_product(&id).await?;
    let default_segment = match request.default_segment {
        Some(segment) => segment,
        None => SegmentId::parse("default").map_err(|error| Problem::internal(&error))?,
    };
    let product = Product {
        id: id.clone(),
        description: request.description.to_string(),
        default_segment,
        inventory_only: request.inventory_only,
        created_at: known.map_or_else(|| state.parts().clock.now(), |known| known.created_at),
    };
    devices.put_product(&product).await?;
    Ok(Done::changed(id, product.into()))
}

/// A named part of the fleet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Segment)]
pub(crate) struct SegmentView {
    /// Its name.
    #[schema(value_type = schema::SegmentId)]
    id: SegmentId,
    /// What people read.
    description: String,
}

impl From<Segment> for SegmentView {
    fn from(segment: Segment) -> Self {
        Self {
            id: segment.id,
            description: segment.description,
        }
    }
}

/// What a segment is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "description": "Devices at the gate" }))]
pub(crate) struct SegmentRequest {
    /// What people read.
    #[serde(default)]
    description: Description,
}

/// Lists segments.
#[utoipa::path(
    get,
    path = "/api/v1/segments",
    tag = "devices",
    params(PageQuery),
    responses((status = 200, description = "Segments, by id.", body = Page<SegmentView>))
)]
async fn list_segments(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SegmentView>>, Problem> {
    let segments = state.store().devices().segments().await?;
    let views = segments.into_iter().map(SegmentView::from);
    Ok(Json(Page::cut(views, &query, |segment| {
        segment.id.to_string()
    })))
}

/// Makes a segment known, or changes it.
#[utoipa::path(
    put,
    path = "/api/v1/segments/{id}",
    tag = "devices",
    params(("id" = schema::SegmentId, Path, description = "The segment.")),
    request_body = SegmentRequest,
    responses((status = 200, description = "The segment as it is now.", body = SegmentView))
)]
async fn put_segment(
    State(state): State<PeopleState>,
    Path(id): Path<SegmentId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<SegmentRequest>,
) -> Result<Done<SegmentView>, Problem> {
    let segment = Segment {
        id: id.clone(),
        description: request.description.to_string(),
    };
    state.store().devices().put_segment(&segment).await?;
    Ok(Done::changed(id, segment.into()))
}
