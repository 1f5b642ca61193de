//! Services: applications (back ends) that work with devices, and their certificates.

use axum::{Json, extract::State};
use palisade_core::{Principal, ServiceId, Timestamp};
use palisade_identity::{CheckedCsr, Issued, est};
use palisade_store::Service;
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
    text::{Description, Text},
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::ServicesRead, "service.list", routes!(list_services))
        .write(Scope::ServicesWrite, "service.put", routes!(put_service))
        .write(
            Scope::ServicesWrite,
            "service.issue_certificate",
            routes!(issue_service_certificate),
        )
}

/// An application that works with devices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub(crate) struct ServiceView {
    /// Its name.
    #[schema(value_type = schema::ServiceId)]
    id: ServiceId,
    /// What people read.
    description: String,
    /// When it was made known.
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
}

impl From<Service> for ServiceView {
    fn from(service: Service) -> Self {
        Self {
            id: service.id,
            description: service.description,
            created_at: service.created_at,
        }
    }
}

/// What a service is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "description": "Bills what the meters say" }))]
pub(crate) struct ServiceRequest {
    /// What people read.
    #[serde(default)]
    description: Description,
}

/// Finds a service, or says how to make it known.
pub(super) async fn known_service(state: &PeopleState, id: &ServiceId) -> Result<Service, Problem> {
    let found = state.store().tokens().find_service(id).await?;
    found.ok_or_else(|| {
        Problem::conflict(format!(
            "service {id} is not known: make it known with PUT /api/v1/services/{id}"
        ))
    })
}

/// Lists services.
#[utoipa::path(
    get,
    path = "/api/v1/services",
    tag = "services",
    params(PageQuery),
    responses((status = 200, description = "Services, by id.", body = Page<ServiceView>))
)]
async fn list_services(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ServiceView>>, Problem> {
    let services = state.store().tokens().services().await?;
    let views = services.into_iter().map(ServiceView::from);
    Ok(Json(Page::cut(views, &query, |service| {
        service.id.to_string()
    })))
}

/// Makes a service known, or changes its description.
#[utoipa::path(
    put,
    path = "/api/v1/services/{id}",
    tag = "services",
    params(("id" = schema::ServiceId, Path, description = "The service.")),
    request_body = ServiceRequest,
    responses((status = 200, description = "The service as it is now.", body = ServiceView))
)]
async fn put_service(
    State(state): State<PeopleState>,
    Path(id): Path<ServiceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ServiceRequest>,
) -> Result<Done<ServiceView>, Problem> {
    let tokens = state.store().tokens();
    let known = tokens.find_service(&id).await?;
    let service = Service {
        id: id.clone(),
        description: request.description.to_string(),
        created_at: known.map_or_else(|| state.parts().clock.now(), |known| known.created_at),
    };
    tokens.put_service(&service).await?;
    Ok(Done::changed(&id, service.into()).about(id.clone()))
}

/// For which key a certificate is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceCertificateRequest {
    /// A certificate request (PKCS#10) in PEM, with the service's id as its common name. Where it is
    /// absent the server makes a key, shows it once and does not keep it.
    csr: Option<Text<1, 32_768>>,
}

/// A certificate that was issued.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceCertificate {
    /// Its serial number.
    #[schema(value_type = schema::Serial)]
    serial: String,
    /// Until when it is valid.
    #[schema(value_type = schema::Time)]
    not_after: Timestamp,
    /// The certificate in PEM.
    certificate: String,
    /// The certificates above it in PEM, the issuer's first.
    chain: String,
    /// The key in PEM (PKCS#8), where the server made it. It is shown now and never again.
    private_key: Option<String>,
}

/// Issues a certificate to a service.
#[utoipa::path(
    post,
    path = "/api/v1/services/{id}/certificate",
    tag = "services",
    params(("id" = schema::ServiceId, Path, description = "The service.")),
    request_body = ServiceCertificateRequest,
    responses((status = 201, description = "The certificate.", body = ServiceCertificate))
)]
async fn issue_service_certificate(
    State(state): State<PeopleState>,
    Path(id): Path<ServiceId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<ServiceCertificateRequest>,
) -> Result<Done<ServiceCertificate>, Problem> {
    if state.store().tokens().find_service(&id).await?.is_none() {
        return Err(Problem::not_found(format_args!("service {id}")));
    }
    let identity = &state.parts().identity;
    let principal = Principal::from(id.clone());
    let (issued, private_key) = match request.csr {
        Some(pem) => {
            let der = est::decode_body(pem.0.as_bytes()).map_err(Problem::invalid)?;
            let csr = CheckedCsr::parse(&der).map_err(Problem::invalid)?;
            (identity.issue(&principal, &csr).await?, None)
        }
        None => {
            let (issued, key) = identity.issue_with_key(&principal).await?;
            let key = String::from_utf8_lossy(key.expose()).into_owned();
            (issued, Some(key))
        }
    };
    let Issued {
        serial,
        der,
        not_after,
        ..
    } = issued;
    let certificate = ServiceCertificate {
        serial: serial.to_string(),
        not_after,
        certificate: est::certificate_pem(&der),
        chain: identity.chain_pem(),
        private_key,
    };
    Ok(Done::created(format_args!("{id}: {serial}"), certificate).about(id.clone()))
}
