//! The questions put to a client that said who it is and what it wants, in order, cheap ones first. What
//! cannot be undone comes last.

use std::{net::IpAddr, sync::Arc, time::Duration};

use palisade_core::{Decision, Door, Event, EventKind, Request, Topic};
use palisade_policy::{Subject, SubjectError};
use tokio::time::timeout;

use super::{
    Admitted, Caller, Refusal,
    name::{self, Name},
    terms::{self, Terms},
};
use crate::{
    access::Access,
    broker::{Attach, AttachError, Broker, Ended},
    codec::{Connect, Encoder, reason},
    limits::PrincipalUse,
    message::Message,
    session::{ConnectionFacts, Peer, Will},
};

/// A client that said who it is and what it wants.
pub(super) struct Applicant<'a> {
    pub(super) broker: &'a Arc<Broker>,
    pub(super) source: IpAddr,
    pub(super) caller: Caller,
    pub(super) connect: Connect,
    pub(super) encoder: Encoder,
    pub(super) terms: Terms,
}

impl Applicant<'_> {
    pub(super) async fn admit(mut self, within: Duration) -> Result<Admitted, Refusal> {
        let broker = self.broker;
        if broker.is_draining() {
            let words = "the server is shutting down; try again, here or elsewhere";
            return Err(self.told(broker.goodbye(reason::SERVER_BUSY), words));
        }
        if self.connect.auth_method.is_some() {
            let words = "extended authentication is not offered; the certificate is what counts";
            return Err(self.refusal(reason::BAD_AUTHENTICATION_METHOD, words));
        }
        let name = self.name()?;
        let usage = self.usage()?;
        let unavailable = "the server cannot answer now";
        let subject = timeout(within, self.subject())
            .await
            .map_err(|_| self.refusal(reason::SERVER_UNAVAILABLE, unavailable))??;
        let access = self.access(&subject)?;
        let will = self.will(&subject)?;
        broker
            .check_room(&self.caller.principal, &name.client_id)
            .map_err(|error| self.no_room(error))?;
        timeout(within, self.write_down(&name.client_id))
            .await
            .map_err(|_| self.refusal(reason::SERVER_UNAVAILABLE, unavailable))??;
        let number = broker.number();
        let attached = broker
            .attach(self.attach(number, &name.client_id, will))
            .map_err(|error| self.no_room(error))?;
        let durable = broker.persister.durable(attached.durable_after);
        if timeout(within, durable).await.is_err() {
            let publish_will = false;
            broker.detach(&attached.session, number, Ended { publish_will });
            return Err(self.refusal(reason::SERVER_UNAVAILABLE, unavailable));
        }
        let assigned = name.is_assigned.then_some(name.client_id);
        let connack = self
            .terms
            .connack(&broker.config, assigned, attached.is_present);
        Ok(Admitted {
            attached,
            number,
            access,
            usage,
            encoder: self.encoder,
            terms: self.terms,
            topic_alias_max: self.connect.topic_alias_max,
            connack,
            caller: self.caller,
        })
    }

    fn name(&mut self) -> Result<Name, Refusal> {
        let wanted = std::mem::take(&mut self.connect.client_id);
        let has_certificate = self.caller.certificate.is_some();
        name::choose(&self.caller.principal, wanted, has_certificate).map_err(|error| {
            // Whoever shows another's name is up to something.
            if let Some(device) = self.caller.principal.device() {
                self.broker.pdp.observe_denial(device, 1);
            }
            let words = "the client identifier is the certificate's id, or it, ':' and a suffix";
            Refusal {
                note: Some(error.to_string()),
                ..self.refusal(reason::CLIENT_ID_NOT_VALID, words)
            }
        })
    }

    fn usage(&self) -> Result<Arc<PrincipalUse>, Refusal> {
        let limits = &self.broker.limits;
        let principal = &self.caller.principal;
        let usage = limits.principal(principal, self.broker.config.limits(principal));
        match usage.connect(limits.now()) {
            Ok(()) => Ok(usage),
            Err(_) => {
                self.broker.notices.exceeded(principal, "connect_rate");
                let words = "connections come too fast; wait longer after each";
                Err(self.told(reason::CONNECTION_RATE, words))
            }
        }
    }

    async fn subject(&self) -> Result<Arc<Subject>, Refusal> {
        let found = self
            .broker
            .pdp
            .subject(&self.caller.principal, self.source)
            .await;
        found.map_err(|error| match error {
            SubjectError::Unknown => self.refusal(
                reason::NOT_AUTHORIZED,
                "the certificate's principal is not known here",
            ),
            error => {
                tracing::error!(%error, "a principal could not be looked up");
                self.refusal(reason::SERVER_UNAVAILABLE, "the server cannot answer now")
            }
        })
    }

    fn access(&self, subject: &Arc<Subject>) -> Result<Access, Refusal> {
        let mut access = Access::new(self.broker.pdp.clone(), subject.clone());
        match access.decide(&Request::Connect) {
            Decision::Allow => Ok(access),
            Decision::Deny(reason) => {
                self.broker
                    .denied(subject, self.source, &Request::Connect, reason);
                Err(self.told(
                    reason::NOT_AUTHORIZED,
                    "policy does not allow a session now",
                ))
            }
        }
    }

    fn will(&self, subject: &Arc<Subject>) -> Result<Option<Box<Will>>, Refusal> {
        let Some(will) = &self.connect.will else {
            return Ok(None);
        };
        let topic = Topic::parse(&will.topic).map_err(|_| {
            self.refusal(reason::TOPIC_NAME_INVALID, "the will's topic is not valid")
        })?;
        let request = Request::Publish {
            topic,
            qos: will.qos,
            retain: will.retain,
            size: will.payload.len(),
        };
        let is_allowed = if Broker::is_reserved(topic) {
            self.broker.denied_reserved(subject, self.source, topic);
            false
        } else {
            self.broker.is_allowed(subject, self.source, &request)
        };
        if !is_allowed {
            return Err(self.told(reason::NOT_AUTHORIZED, "policy does not allow the will"));
        }
        let manner = terms::will_manner(will);
        Ok(Some(Box::new(Will {
            message: Message::new(topic.to_owned(), manner, &will.properties, &will.payload),
            expiry: will.expiry,
            delay: will.delay,
            subject: subject.clone(),
            source: self.source,
        })))
    }

    /// Writes down that the client is let in, before it is.
    async fn write_down(&self, client_id: &str) -> Result<(), Refusal> {
        let certificate = self.caller.certificate.as_ref();
        let kind = EventKind::Admitted {
            client_id: client_id.to_owned(),
            protocol: self.connect.version.as_str().to_owned(),
            serial: certificate.map(|certificate| certificate.serial),
            key_exchange: self.caller.key_exchange.clone(),
        };
        let event = Event::new(self.broker.clock.now(), Door::Mqtt, kind)
            .about(self.caller.principal.clone())
            .from_source(self.source);
        self.broker
            .journal
            .record(vec![event])
            .await
            .map_err(|error| {
                tracing::error!(%error, "an admission could not be written down");
                self.told(
                    reason::SERVER_UNAVAILABLE,
                    "the server cannot keep its records now",
                )
            })
    }

    fn attach(&self, connection: u64, client_id: &str, will: Option<Box<Will>>) -> Attach {
        Attach {
            connection,
            principal: self.caller.principal.clone(),
            client_id: client_id.into(),
            clean_start: self.connect.clean_start,
            expiry: self.terms.session_expiry,
            will,
            facts: ConnectionFacts {
                peer: Peer {
                    source: self.source,
                    serial: self.caller.certificate.as_ref().map(|one| one.serial),
                },
                version: self.connect.version,
                since: self.broker.clock.now(),
            },
        }
    }

    fn no_room(&self, error: AttachError) -> Refusal {
        let principal = &self.caller.principal;
        let limit = match error {
            AttachError::ServerFull => "sessions_of_the_server",
            AttachError::PrincipalFull => "sessions",
        };
        self.broker.notices.exceeded(principal, limit);
        let words = "there are as many sessions as there may be";
        self.told(reason::QUOTA_EXCEEDED, words)
    }

    /// A refusal that is not written down yet.
    fn refusal(&self, reason: u8, words: &'static str) -> Refusal {
        Refusal {
            principal: Some(self.caller.principal.clone()),
            note: Some(words.to_owned()),
            answer: Some((self.encoder, reason, words)),
        }
    }

    /// A refusal that is written down already.
    fn told(&self, reason: u8, words: &'static str) -> Refusal {
        Refusal {
            note: None,
            ..self.refusal(reason, words)
        }
    }
}
