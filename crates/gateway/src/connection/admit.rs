//! How a connection becomes a session: who is it, may it, under which name, on what terms. Until all of
//! that is answered, and the answer is on the record, it gets nothing but time, and little of that.

mod applicant;
mod hello;
mod name;
mod terms;

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use palisade_core::{Principal, Serial, Timestamp};
use palisade_identity::Peer;
use rustls::ServerConfig;
use tokio::{net::TcpStream, time::Instant};

use self::{applicant::Applicant, hello::HelloError, terms::Terms};
use super::{
    Connection, Counted, Credential, Greeting, Quiet,
    aliases::{Incoming, Outgoing},
    gates::Gates,
    routes::RouteCache,
};
use crate::{
    access::Access,
    broker::{Attached, Broker},
    codec::{ConnAck, DecodeError, Encoder, Version},
    limits::PrincipalUse,
    link::{Link, Tls},
};

/// A connection that has knocked.
pub struct Guest {
    /// Its bytes.
    pub stream: TcpStream,
    /// From where it comes.
    pub source: IpAddr,
    /// Where it knocked.
    pub entrance: Entrance,
}

/// Where a connection knocks.
#[derive(Clone)]
pub enum Entrance {
    /// Behind TLS, with a certificate.
    Tls(Arc<ServerConfig>),
    /// On loopback, without; everybody is this principal.
    Insecure(Principal),
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tls(_) => f.write_str("Tls"),
            Self::Insecure(principal) => write!(f, "Insecure({principal})"),
        }
    }
}

/// Who is at the other end, and how that is known.
struct Caller {
    principal: Principal,
    certificate: Option<Certificate>,
    key_exchange: Option<String>,
}

struct Certificate {
    serial: Serial,
    not_after: Timestamp,
    /// The broker's count of revocations before it was checked.
    revocations: u64,
}

/// Why a connection is not let in.
struct Refusal {
    /// Whom the certificate names, where it came that far.
    principal: Option<Principal>,
    /// What is written down; nothing where it was already, or nothing was said at all.
    note: Option<String>,
    /// What the client is told.
    answer: Option<(Encoder, u8, &'static str)>,
}

/// Lets a connection in, or refuses it and closes it.
pub async fn admit(broker: Arc<Broker>, guest: Guest) -> Option<Box<Connection>> {
    let source = guest.source;
    let entered = match link_of(guest.stream, &guest.entrance) {
        Ok(mut link) => match enter(&broker, &mut link, source, &guest.entrance).await {
            Ok(admitted) => return Some(admitted.into_connection(broker, link, source)),
            Err(refusal) => Some((link, refusal)),
        },
        Err(error) => {
            tracing::error!(%error, "tls cannot begin");
            None
        }
    };
    broker.stats.count_refused();
    if let Some((link, refusal)) = entered {
        turn_away(&broker, link, source, refusal).await;
    }
    None
}

fn link_of(stream: TcpStream, entrance: &Entrance) -> Result<Link, crate::link::TlsError> {
    match entrance {
        Entrance::Tls(config) => Ok(Link::tls(stream, Tls::new(config.clone())?)),
        Entrance::Insecure(_) => Ok(Link::plain(stream)),
    }
}

async fn turn_away(broker: &Broker, mut link: Link, source: IpAddr, refusal: Refusal) {
    if let Some(note) = refusal.note {
        tracing::debug!(%source, reason = note, "a connection is refused");
        broker
            .notices
            .refused(source, refusal.principal.as_ref(), note);
    }
    let mut answer = Vec::new();
    if let Some((encoder, reason, words)) = refusal.answer {
        let connack = ConnAck {
            reason,
            reason_string: Some(words.to_owned()),
            server_reference: broker.server_reference(reason).map(str::to_owned),
            ..ConnAck::default()
        };
        encoder.connack(&mut answer, &connack);
    }
    link.part(&answer).await;
}

async fn enter(
    broker: &Arc<Broker>,
    link: &mut Link,
    source: IpAddr,
    entrance: &Entrance,
) -> Result<Admitted, Refusal> {
    if let Entrance::Tls(_) = entrance {
        hello::handshake(link, broker.config.handshake_timeout()).await?;
    }
    let caller = identify(broker, link, entrance)?;
    let within = broker.config.connect_timeout();
    let connect = hello::connect(link, within, broker.config.max_packet_size)
        .await
        .map_err(|error| Refusal {
            principal: Some(caller.principal.clone()),
            ..Refusal::from(error)
        })?;
    let applicant = Applicant {
        broker,
        source,
        encoder: terms::encoder(&connect),
        terms: Terms::of(&connect, &broker.config),
        caller,
        connect,
    };
    applicant.admit(within).await
}

/// Whom the certificate names.
fn identify(broker: &Broker, link: &Link, entrance: &Entrance) -> Result<Caller, Refusal> {
    if let Entrance::Insecure(principal) = entrance {
        return Ok(Caller {
            principal: principal.clone(),
            certificate: None,
            key_exchange: None,
        });
    }
    let revocations = broker.revocations();
    let tls = link.tls_session();
    let Some(der) = tls.and_then(|tls| tls.peer_certificate()) else {
        return Err(Refusal::unnamed(
            "there is no client certificate".to_owned(),
        ));
    };
    match broker.identity.peer(der) {
        Ok(Peer::Principal {
            principal,
            serial,
            not_after,
            ..
        }) => Ok(Caller {
            principal,
            certificate: Some(Certificate {
                serial,
                not_after,
                revocations,
            }),
            key_exchange: tls.and_then(|tls| tls.key_exchange()),
        }),
        Ok(Peer::MakerDevice { .. }) => Err(Refusal::unnamed(
            "a maker's certificate is good for enrolment alone".to_owned(),
        )),
        Err(error) => Err(Refusal::unnamed(error.to_string())),
    }
}

/// A client that is let in.
struct Admitted {
    caller: Caller,
    attached: Attached,
    number: u64,
    access: Access,
    usage: Arc<PrincipalUse>,
    encoder: Encoder,
    terms: Terms,
    topic_alias_max: u16,
    connack: ConnAck,
}

impl Refusal {
    /// Of somebody whom nothing names yet.
    fn unnamed(note: String) -> Self {
        Self {
            principal: None,
            note: Some(note),
            answer: None,
        }
    }
}

impl From<HelloError> for Refusal {
    fn from(error: HelloError) -> Self {
        let answer = match &error {
            HelloError::Connect { error, claimed } => answer_to(error, *claimed),
            _ => None,
        };
        Self {
            principal: None,
            // A port that is opened and closed again is somebody's health check.
            note: (!matches!(error, HelloError::Silent)).then(|| error.to_string()),
            answer,
        }
    }
}

/// What can be said to a client whose CONNECT cannot be read.
fn answer_to(error: &DecodeError, claimed: Option<Version>) -> Option<(Encoder, u8, &'static str)> {
    let version = match (error, claimed) {
        (DecodeError::UnsupportedVersion, _) => Version::V3,
        (DecodeError::ClientId, Some(version)) => version,
        (_, Some(Version::V5)) => Version::V5,
        _ => return None,
    };
    let encoder = Encoder {
        version,
        max_packet_size: u32::MAX,
    };
    Some((encoder, error.reason(), "the connect packet cannot be read"))
}

impl Admitted {
    fn into_connection(self, broker: Arc<Broker>, link: Link, source: IpAddr) -> Box<Connection> {
        let now = Instant::now();
        let credential = self.caller.certificate.map(|certificate| Credential {
            serial: certificate.serial,
            ends: now + time_until(certificate.not_after, broker.clock.now()),
            revocations: certificate.revocations,
        });
        let greeting = Greeting {
            connack: self.connack,
            is_resumed: self.attached.is_present,
        };
        broker.stats.count_connected();
        Box::new(Connection {
            session: self.attached.session,
            number: self.number,
            source,
            has_unread: link.has_partial(),
            has_said_goodbye: false,
            link,
            greeting: Some(Box::new(greeting)),
            encoder: self.encoder,
            access: self.access,
            credential,
            usage: self.usage,
            window: self.terms.window,
            aliases_in: Incoming::new(broker.config.topic_alias_maximum),
            aliases_out: Outgoing::new(self.topic_alias_max),
            routes: RouteCache::default(),
            gates: Gates::default(),
            unreleased: 0,
            resend: VecDeque::new(),
            keep_alive: self.terms.keep_alive,
            last_heard: now,
            noted: now,
            timer: None,
            paused_until: None,
            waiting_for: None,
            since: now,
            messages_in: 0,
            messages_out: 0,
            counted: Counted::default(),
            quiet: (0, Quiet::default()),
            broker,
        })
    }
}

fn time_until(moment: Timestamp, now: Timestamp) -> Duration {
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
    let left = moment.duration_since(now);
    Duration::try_from(left).unwrap_or_default().min(LONGEST)
}
