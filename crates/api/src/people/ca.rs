//! The certification authority: what it is, whom it trusts, what it revokes.

use aws_lc_rs::digest::{SHA256, digest};
use axum::{Json, extract::State};
use palisade_core::{ProductId, Serial, Timestamp, hex};
use palisade_identity::MakerCa;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    containment::ReasonCode,
    devices::known_product,
    extract::{JsonBody, NoParameters, Path, Query},
    page::{Page, PageQuery},
    routes::Routes,
    schema,
    text::Text,
    views::CertificateView,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    let scope = Scope::CaWrite;
    Routes::default()
        .read(Scope::CaRead, "ca.read", routes!(get_ca))
        .read(Scope::CaRead, "ca.list_makers", routes!(list_makers))
        .write(scope, "ca.trust_maker", routes!(put_maker))
        .write(scope, "ca.remove_maker", routes!(remove_maker))
        .write(scope, "ca.renew_issuer", routes!(renew_issuer))
        .write(scope, "ca.refresh_crl", routes!(refresh_crl))
        .write(scope, "certificate.revoke", routes!(revoke_certificate))
}

/// A certificate of the authority itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CaCertificate {
    /// The certificate in PEM.
    pem: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    sha256: String,
}

impl CaCertificate {
    fn of(der: &[u8]) -> Self {
        Self {
            pem: palisade_identity::est::certificate_pem(der),
            sha256: hex(digest(&SHA256, der).as_ref()),
        }
    }
}

/// The certification authority.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CertificationAuthority)]
pub(crate) struct Ca {
    /// The trust domain of its certificates.
    trust_domain: String,
    /// The root.
    root: CaCertificate,
    /// The issuer that signs now.
    issuer: CaCertificate,
    /// The issuer's name, as in `/crl/<issuer>.crl`.
    issuer_id: String,
    /// Until when the issuer is valid.
    #[schema(value_type = schema::Time)]
    issuer_not_after: Timestamp,
    /// All issuers whose certificates are in force.
    issuers: Vec<String>,
    /// Whether the root key is on this server.
    root_key_is_here: bool,
    /// How long a device's certificate is valid, in seconds.
    #[schema(minimum = 0)]
    device_validity_s: u64,
}

fn ca(state: &PeopleState) -> Ca {
    let identity = &state.parts().identity;
    Ca {
        trust_domain: identity.trust_domain().to_string(),
        root: CaCertificate::of(&identity.root_der()),
        issuer: CaCertificate::of(&identity.issuer_der()),
        issuer_id: identity.issuer_id(),
        issuer_not_after: identity.issuer_not_after(),
        issuers: identity.issuer_ids(),
        root_key_is_here: identity.root_key_is_here(),
        device_validity_s: identity.device_validity().as_secs(),
    }
}

/// Says what the certification authority is.
#[utoipa::path(
    get,
    path = "/api/v1/ca",
    tag = "ca",
    responses((status = 200, description = "The authority.", body = Ca))
)]
async fn get_ca(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Ca>, Problem> {
    Ok(Json(ca(&state)))
}

/// A CA of a maker whose devices may enrol with the certificate they were made with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MakerCa)]
pub(crate) struct MakerView {
    /// The name it has here.
    #[schema(value_type = schema::MakerName)]
    name: String,
    /// The product that it may speak for; every product, where there is none.
    #[schema(value_type = Option<schema::ProductId>)]
    product: Option<ProductId>,
    /// Its subject.
    subject: String,
    /// Until when it is valid.
    #[schema(value_type = schema::Time)]
    not_after: Timestamp,
    /// Its certificate in PEM.
    pem: String,
}

impl From<MakerCa> for MakerView {
    fn from(maker: MakerCa) -> Self {
        Self {
            pem: maker.pem(),
            name: maker.name,
            product: maker.product,
            subject: maker.subject,
            not_after: maker.not_after,
        }
    }
}

/// Lists the trusted CAs of makers.
#[utoipa::path(
    get,
    path = "/api/v1/ca/makers",
    tag = "ca",
    params(PageQuery),
    responses((status = 200, description = "Makers, by name.", body = Page<MakerView>))
)]
async fn list_makers(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<MakerView>>, Problem> {
    let mut makers = state.parts().identity.maker_cas().await?;
    makers.sort_by(|one, other| one.name.cmp(&other.name));
    let views = makers.into_iter().map(MakerView::from);
    Ok(Json(Page::cut(views, &query, |maker| maker.name.clone())))
}

/// A maker's CA that is to be trusted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MakerRequest {
    /// Its certificate in PEM.
    certificate: Text<1, 32_768>,
    /// The product that it may speak for; every product, where it is absent.
    #[schema(value_type = Option<schema::ProductId>)]
    product: Option<ProductId>,
}

/// Trusts the CA of a maker; one of the same name is replaced.
#[utoipa::path(
    put,
    path = "/api/v1/ca/makers/{name}",
    tag = "ca",
    params(("name" = schema::MakerName, Path, description = "The name that it has here.")),
    request_body = MakerRequest,
    responses((status = 200, description = "It is trusted.", body = MakerView))
)]
async fn put_maker(
    State(state): State<PeopleState>,
    Path(name): Path<ProductId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<MakerRequest>,
) -> Result<Done<MakerView>, Problem> {
    if let Some(product) = &request.product {
        known_product(&state, product).await?;
    }
    let identity = &state.parts().identity;
    let certificate = request.certificate.0.as_bytes();
    let maker = identity
        .add_maker_ca(name.as_str(), certificate, request.product)
        .await?;
    Ok(Done::changed(
        format_args!("{name}: {}", maker.subject.clone()),
        maker.into(),
    ))
}

/// Trusts the CA of a maker no longer. Devices that have enrolled keep their certificates.
#[utoipa::path(
    delete,
    path = "/api/v1/ca/makers/{name}",
    tag = "ca",
    params(("name" = schema::MakerName, Path, description = "The name that it has here.")),
    responses((status = 204, description = "It is not trusted any more."))
)]
async fn remove_maker(
    State(state): State<PeopleState>,
    Path(name): Path<ProductId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    match state
        .parts()
        .identity
        .remove_maker_ca(name.as_str())
        .await?
    {
        true => Ok(Done::silently(name)),
        false => Err(Problem::not_found(format_args!("maker {name}"))),
    }
}

/// Makes a new issuer. Certificates of those before it stay valid.
#[utoipa::path(
    post,
    path = "/api/v1/ca/renew-issuer",
    tag = "ca",
    responses((status = 200, description = "The authority as it is now.", body = Ca))
)]
async fn renew_issuer(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<Ca>, Problem> {
    state.parts().identity.renew_issuer().await?;
    let ca = ca(&state);
    Ok(Done::changed(ca.issuer_id.clone(), ca))
}

/// Makes new CRLs, whatever the schedule says.
#[utoipa::path(
    post,
    path = "/api/v1/ca/refresh-crl",
    tag = "ca",
    responses((status = 204, description = "They are at `/crl/<issuer>.crl`."))
)]
async fn refresh_crl(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Done<()>, Problem> {
    let identity = &state.parts().identity;
    identity.refresh_crl().await?;
    Ok(Done::silently(identity.issuer_id()))
}

/// Why a certificate is revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "keyCompromise" }))]
pub(crate) struct CertificateRevokeRequest {
    /// The reason that the CRL gives.
    reason: ReasonCode,
}

/// Revokes one certificate. One that is revoked already stays as it is.
#[utoipa::path(
    post,
    path = "/api/v1/ca/certificates/{serial}/revoke",
    tag = "ca",
    params(("serial" = schema::Serial, Path, description = "Its serial number.")),
    request_body = CertificateRevokeRequest,
    responses((status = 200, description = "It is revoked.", body = CertificateView))
)]
async fn revoke_certificate(
    State(state): State<PeopleState>,
    Path(serial): Path<Serial>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<CertificateRevokeRequest>,
) -> Result<Done<CertificateView>, Problem> {
    let identity = &state.parts().identity;
    identity.revoke(&serial, request.reason.into()).await?;
    let record = state.store().certificates().find(&serial).await?;
    let record = record.ok_or_else(|| Problem::not_found(format_args!("certificate {serial}")))?;
    let target = format!("{serial} of {}", record.principal);
    Ok(Done::changed(target, record.into()))
}
