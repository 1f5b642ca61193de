//! A further certificate (EST `simplereenroll`), for who shows one that is valid.
//!
//! The certificate that was shown stays valid until it ends: a device that loses power between our answer
//! and its disk would otherwise never come back.

use std::{sync::atomic::Ordering, time::Instant};

use palisade_core::{Door, Event, EventKind, Principal, Request, Serial};
use palisade_identity::{Issued, Peer};

use super::{
    Devices,
    answer::Refusal,
    enrol::{Attempt, read_csr},
    refused::Refused,
};

impl Devices {
    /// Issues a further certificate. It runs to its end whatever becomes of the connection.
    pub(crate) async fn renew(&self, attempt: Attempt) -> Result<Issued, Refusal> {
        let source = attempt.source;
        let refused = match &attempt.peer {
            Some(Ok(Peer::Principal {
                principal, serial, ..
            })) => match self.try_renew(&attempt, principal, serial).await {
                Ok(issued) => {
                    self.renewed.fetch_add(1, Ordering::Relaxed);
                    return Ok(issued);
                }
                Err(refused) => return Err(self.settle(source, refused.about(principal)).await),
            },
            Some(Ok(Peer::MakerDevice { device, .. })) => {
                let reason =
                    "a maker's certificate is for simpleenroll; renew with the one you got there";
                Refused::forbidden(reason).about(&device.clone().into())
            }
            Some(Err(error)) => Refused::forbidden(error.to_string()),
            None => Refused::forbidden(
                "renewal needs a client certificate of ours: show the one you have",
            ),
        };
        Err(self.settle_stranger(source, refused).await)
    }

    async fn try_renew(
        &self,
        attempt: &Attempt,
        principal: &Principal,
        previous: &Serial,
    ) -> Result<Issued, Refused> {
        let limited = self.certificates.take(principal, Instant::now());
        limited.map_err(|wait| Refused::too_often("certificates_per_hour", wait))?;
        let subject = self.subject(principal, attempt.source).await?;
        if let Err(denied) = self.ask(&subject, &Request::Renew) {
            self.observe_denial(principal);
            return Err(denied);
        }
        let csr = read_csr(&attempt.body)?;
        if csr.common_name().is_none() {
            // RFC 7030, section 4.2.2: the subject is that of the certificate which is renewed.
            let text =
                "the request has no common name: it must be that of the certificate you renew";
            return Err(Refused::new(Refusal::BadRequest(text.to_owned()), text));
        }
        let issued = self.issue(principal, &csr).await?;
        let kind = EventKind::Renewed {
            serial: issued.serial,
            previous: *previous,
        };
        let event = Event::new(self.clock.now(), Door::DeviceHttps, kind);
        let event = event.about(principal.clone()).from_source(attempt.source);
        let finished = match self.journal.record(vec![event]).await {
            // Whoever contained or revoked it in the meantime is heard.
            Ok(()) => self.ask(&subject, &Request::Renew),
            Err(error) => Err(Refused::ours(error)),
        };
        self.keep_or_revoke(issued, finished).await
    }

    /// Tells the trust score of a denial, of who is known by a certificate.
    pub(crate) fn observe_denial(&self, principal: &Principal) {
        if let Some(device) = principal.device() {
            self.pdp.observe_denial(device, 1);
        }
    }
}
