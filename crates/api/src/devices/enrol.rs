//! A first certificate (EST `simpleenroll`).
//!
//! What a device needs is a right (a token, or its maker's certificate), a place in the inventory (or a
//! product that takes in unknown devices), and policy's consent. One use of a token is taken before
//! anything is made, so that two devices never share the last one, and is given back where nothing came
//! of it. Nothing has come of it only where the device was known before: otherwise one token could fill
//! the inventory with devices that policy then refuses.
//!
//! A token for a product gets new devices in, and no device twice: whoever holds it could otherwise become
//! any device of the product. A device that holds a certificate in force enrols again, as after a factory
//! reset, with a token for it alone, or with its maker's certificate; the certificates that it had stay
//! valid, for the answer may not have reached it. For the same reason a device that asks again with the
//! same key is served. Whoever knows that a key is in other hands revokes its certificates.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use bytes::Bytes;
use palisade_core::{
    Decision, Device, DeviceId, Door, Event, EventKind, Labels, Posture, Principal, Product,
    ProductId, Request,
};
use palisade_identity::{
    CheckedCsr, IdentityError, Issued, Peer, PeerError, RevocationReason, est,
};
use palisade_policy::{PostureError, Subject, SubjectError};
use palisade_store::{EnrolmentToken, RegisterError, TokenScope};

use super::{Devices, answer::Refusal, credentials::TokenHash, refused::Refused};
use crate::serve::source_key;

/// A request for a certificate.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) source: IpAddr,
    pub(crate) token: Option<TokenHash>,
    pub(crate) peer: Option<Result<Peer, PeerError>>,
    pub(crate) body: Bytes,
}

/// What allows a device to ask for a first certificate.
#[derive(Debug)]
enum Right {
    Token(EnrolmentToken),
    Maker {
        device: DeviceId,
        maker: String,
        product: Option<ProductId>,
    },
}

/// What the inventory says of a device.
enum Place {
    Known,
    New(Product),
}

impl Devices {
    /// Issues a first certificate. It runs to its end whatever becomes of the connection.
    pub(crate) async fn enrol(&self, attempt: Attempt) -> Result<Issued, Refusal> {
        let source = attempt.source;
        let outcome = match self.failures.check(&source_key(source), Instant::now()) {
            Ok(()) => self.try_enrol(&attempt).await,
            Err(wait) => Err(Refused::too_often("enrolment_failures", wait)),
        };
        match outcome {
            Ok(issued) => {
                self.enrolled.fetch_add(1, Ordering::Relaxed);
                Ok(issued)
            }
            Err(refused) => Err(self.settle_stranger(source, refused).await),
        }
    }

    async fn try_enrol(&self, attempt: &Attempt) -> Result<Issued, Refused> {
        // The right comes first: who has none does not get to the parser of requests.
        let right = self.right(attempt).await?;
        let csr = read_csr(&attempt.body)?;
        let device = right.device(&csr)?;
        let principal = Principal::from(device.clone());
        let admitted = self.admit(&right, &device, &csr, attempt.source).await;
        admitted.map_err(|refused| refused.about(&principal))
    }

    async fn right(&self, attempt: &Attempt) -> Result<Right, Refused> {
        let peer = match &attempt.peer {
            Some(Err(error)) => return Err(Refused::forbidden(error.to_string())),
            Some(Ok(peer)) => Some(peer),
            None => None,
        };
        match (&attempt.token, peer) {
            (Some(hash), _) => self.token(hash).await.map(Right::Token),
            (
                None,
                Some(Peer::MakerDevice {
                    device,
                    maker,
                    product,
                }),
            ) => Ok(Right::Maker {
                device: device.clone(),
                maker: maker.clone(),
                product: product.clone(),
            }),
            (None, Some(Peer::Principal { principal, .. })) => {
                let reason = "a certificate of ours is renewed at simplereenroll; to enrol anew, show a \
                              token";
                Err(Refused::forbidden(reason).about(principal))
            }
            (None, None) => Err(Refused::unrecorded(Refusal::NoCredentials)),
        }
    }

    async fn token(&self, hash: &TokenHash) -> Result<EnrolmentToken, Refused> {
        let found = self.store.tokens().find_enrolment(hash.as_bytes()).await;
        let bad = |reason: String| Refused::new(Refusal::BadCredentials, reason);
        let Some(token) = found.map_err(Refused::ours)? else {
            return Err(bad("an enrolment token that is not known".to_owned()));
        };
        let id = token.id;
        if token.revoked {
            return Err(bad(format!("enrolment token {id} is revoked")));
        }
        if token.expires_at <= self.clock.now() {
            return Err(bad(format!("enrolment token {id} has expired")));
        }
        match token.uses_left {
            0 => Err(bad(format!("enrolment token {id} is used up"))),
            _ => Ok(token),
        }
    }

    async fn admit(
        &self,
        right: &Right,
        device: &DeviceId,
        csr: &CheckedCsr,
        source: IpAddr,
    ) -> Result<Issued, Refused> {
        let principal = Principal::from(device.clone());
        let fits = csr.check_for(&principal, self.identity.trust_domain());
        fits.map_err(|error| Refused::bad_request(&error))?;
        let place = self.place(right, device, csr).await?;
        let limited = self.certificates.take(&principal, Instant::now());
        limited.map_err(|wait| Refused::too_often("certificates_per_hour", wait))?;
        self.take_use(right).await?;
        let (was_known, admitted) = match place {
            Place::Known => (true, self.admit_known(right, &principal, csr, source).await),
            Place::New(product) => {
                let registered = self.register(right, device, product, (csr, source)).await;
                let admitted = match registered {
                    Ok(()) => self.admit_known(right, &principal, csr, source).await,
                    Err(refused) => Err(refused),
                };
                (false, admitted)
            }
        };
        if admitted.is_err() && was_known {
            self.give_back(right).await;
        }
        admitted
    }

    /// Where the device has its place, and whether the right extends to it.
    async fn place(
        &self,
        right: &Right,
        device: &DeviceId,
        csr: &CheckedCsr,
    ) -> Result<Place, Refused> {
        let devices = self.store.devices();
        let product = right.product();
        if let Some(known) = devices.find(device).await.map_err(Refused::ours)? {
            return match product {
                Some(product) if *product != known.product => Err(Refused::forbidden(format!(
                    "{right} is for product {product}, device {device} is not of it"
                ))),
                _ => self.known_place(right, &known, csr).await,
            };
        }
        let unknown = |why: &str| Refused::forbidden(format!("device {device} is not known{why}"));
        let Some(product) = product else {
            return Err(unknown(": register it first"));
        };
        match devices.find_product(product).await.map_err(Refused::ours)? {
            Some(product) if product.inventory_only => Err(unknown(&format!(
                ", and of product {} only known devices enrol: register it first",
                product.id
            ))),
            Some(product) => Ok(Place::New(product)),
            None => Err(unknown(&format!(", nor is product {product}"))),
        }
    }

    /// Whether the right extends to a device that may be enrolled already.
    async fn known_place(
        &self,
        right: &Right,
        known: &Device,
        csr: &CheckedCsr,
    ) -> Result<Place, Refused> {
        if !right.is_for_a_batch() {
            return Ok(Place::Known);
        }
        let principal = Principal::from(known.id.clone());
        let certificates = self.store.certificates();
        let held = certificates.of(&principal.to_string()).await;
        let (held, now) = (held.map_err(Refused::ours)?, self.clock.now());
        let mut in_force = held
            .iter()
            .filter(|held| held.revocation.is_none() && held.not_after > now)
            .peekable();
        let is_another =
            in_force.peek().is_some() && !in_force.any(|held| csr.has_key_of(&held.der));
        match is_another {
            false => Ok(Place::Known),
            true => Err(Refused::forbidden(format!(
                "device {id} is enrolled already, and {right} is for new devices: to enrol it anew, make a \
                 token for it alone (palisade token create --device {id})",
                id = known.id
            ))),
        }
    }

    async fn register(
        &self,
        right: &Right,
        device: &DeviceId,
        product: Product,
        (csr, source): (&CheckedCsr, IpAddr),
    ) -> Result<(), Refused> {
        let now = self.clock.now();
        let new = Device {
            id: device.clone(),
            product: product.id,
            labels: Labels::default(),
            posture: Posture::registered(product.default_segment),
            registered_at: now,
            last_seen_at: None,
        };
        match self.store.devices().register(&[new]).await {
            Ok(()) => {}
            // Another request for the same device was faster: is it where we may go?
            Err(RegisterError::Exist(_)) => return self.place(right, device, csr).await.map(drop),
            Err(RegisterError::Store(error)) => return Err(Refused::ours(error)),
        }
        let event = Event::new(now, Door::DeviceHttps, EventKind::Registered { count: 1 });
        let event = event.about(device.clone()).from_source(source);
        self.journal
            .record(vec![event])
            .await
            .map_err(Refused::ours)
    }

    async fn admit_known(
        &self,
        right: &Right,
        principal: &Principal,
        csr: &CheckedCsr,
        source: IpAddr,
    ) -> Result<Issued, Refused> {
        let subject = self.subject(principal, source).await?;
        self.ask(&subject, &Request::Enroll)?;
        let issued = self.issue(principal, csr).await?;
        let kind = EventKind::Enrolled {
            serial: issued.serial,
            token: right.token().map(|token| token.id),
        };
        let event = Event::new(self.clock.now(), Door::DeviceHttps, kind);
        let event = event.about(principal.clone()).from_source(source);
        let finished = match self.journal.record(vec![event]).await {
            Ok(()) => self.put_in_service(&subject).await,
            Err(error) => Err(Refused::ours(error)),
        };
        self.keep_or_revoke(issued, finished).await
    }

    async fn put_in_service(&self, subject: &Subject) -> Result<(), Refused> {
        if let Some(device) = subject.principal().device() {
            match self.pdp.activate(device, "enrolled").await {
                Ok(_) => {}
                Err(PostureError::Unknown) => return Err(Refused::forbidden("the device is gone")),
                Err(error) => return Err(Refused::ours(error)),
            }
        }
        // Whoever contained it in the meantime is heard.
        self.ask(subject, &Request::Enroll)
    }

    /// What cannot be handed over is revoked.
    pub(crate) async fn keep_or_revoke(
        &self,
        issued: Issued,
        finished: Result<(), Refused>,
    ) -> Result<Issued, Refused> {
        let Err(refused) = finished else {
            return Ok(issued);
        };
        let reason = RevocationReason::CessationOfOperation;
        if let Err(error) = self.identity.revoke(&issued.serial, reason).await {
            tracing::error!(%error, serial = %issued.serial, "a certificate that was not handed over is not revoked");
        }
        Err(refused)
    }

    pub(crate) async fn subject(
        &self,
        principal: &Principal,
        source: IpAddr,
    ) -> Result<Arc<Subject>, Refused> {
        match self.pdp.subject(principal, source).await {
            Ok(subject) => Ok(subject),
            Err(SubjectError::Unknown) => {
                Err(Refused::forbidden(format!("{principal} is not known")).about(principal))
            }
            Err(error) => Err(Refused::ours(error)),
        }
    }

    pub(crate) fn ask(&self, subject: &Subject, request: &Request<'_>) -> Result<(), Refused> {
        match self.pdp.decide(subject, request) {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => {
                Err(Refused::denied(request.action(), reason).about(subject.principal()))
            }
        }
    }

    pub(crate) async fn issue(
        &self,
        principal: &Principal,
        csr: &CheckedCsr,
    ) -> Result<Issued, Refused> {
        match self.identity.issue(principal, csr).await {
            Ok(issued) => Ok(issued),
            Err(IdentityError::Csr(error)) => Err(Refused::bad_request(&error)),
            Err(error) => Err(Refused::ours(error)),
        }
    }

    async fn take_use(&self, right: &Right) -> Result<(), Refused> {
        let Some(token) = right.token() else {
            return Ok(());
        };
        let tokens = self.store.tokens();
        match tokens.consume_enrolment(token.id, self.clock.now()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::new(
                Refusal::BadCredentials,
                format!(
                    "the last use of enrolment token {} was taken meanwhile",
                    token.id
                ),
            )),
            Err(error) => Err(Refused::ours(error)),
        }
    }

    async fn give_back(&self, right: &Right) {
        if let Some(token) = right.token()
            && let Err(error) = self.store.tokens().return_enrolment(token.id).await
        {
            tracing::error!(%error, token = %token.id, "a use of a token could not be given back");
        }
    }
}

impl Right {
    fn token(&self) -> Option<&EnrolmentToken> {
        match self {
            Self::Token(token) => Some(token),
            Self::Maker { .. } => None,
        }
    }

    /// Whether it is a token for any device of a product.
    fn is_for_a_batch(&self) -> bool {
        let scope = self.token().map(|token| &token.scope);
        matches!(scope, Some(TokenScope::Product(_)))
    }

    /// The product that it is for, where it is for one.
    fn product(&self) -> Option<&ProductId> {
        match self {
            Self::Token(token) => match &token.scope {
                TokenScope::Product(product) => Some(product),
                TokenScope::Device(_) => None,
            },
            Self::Maker { product, .. } => product.as_ref(),
        }
    }

    /// Which device enrols: the one that the right is for, or else the one that the request names.
    fn device(&self, csr: &CheckedCsr) -> Result<DeviceId, Refused> {
        let own = match self {
            Self::Token(token) => match &token.scope {
                TokenScope::Device(device) => Some(device),
                TokenScope::Product(_) => None,
            },
            Self::Maker { device, .. } => Some(device),
        };
        let named = csr.common_name();
        match (own, named) {
            (Some(own), Some(name)) if name != own.as_str() => {
                let name: String = name.chars().take(80).collect();
                Err(Refused::forbidden(format!(
                    "{self} is for device {own}, not for {name:?}"
                )))
            }
            (Some(own), _) => Ok(own.clone()),
            (None, Some(name)) => {
                DeviceId::parse(name).map_err(|error| Refused::bad_request(&error))
            }
            (None, None) => {
                let text = "the request has no common name: put the device's id there";
                Err(Refused::new(Refusal::BadRequest(text.to_owned()), text))
            }
        }
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(token) => write!(f, "enrolment token {}", token.id),
            Self::Maker { maker, .. } => write!(f, "the certificate of maker {maker}"),
        }
    }
}

/// Reads and checks a request.
pub(crate) fn read_csr(body: &[u8]) -> Result<CheckedCsr, Refused> {
    let der = est::decode_body(body).map_err(|error| Refused::bad_request(&error))?;
    CheckedCsr::parse(&der).map_err(|error| Refused::bad_request(&error))
}
