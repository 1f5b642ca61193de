//! What audit checks ask of identity, policy and the MQTT door, answered.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use palisade_core::{Device, DeviceId, Principal, Request, Timestamp, port::BoxFuture};
use palisade_detect::audit::{
    AuditSource, AuthorityCertificate, KeyFacts, LoggingTrouble, RefusedCertificate, SourceError,
};
use palisade_export::{ExportState, Exports};
use palisade_gateway::Gateway;
use palisade_identity::{Dead, Identity, PublicKeyFacts};
use palisade_people::ActionInfo;
use palisade_policy::Pdp;
use palisade_store::Store;
use tracing::level_filters::LevelFilter;

use super::{PeopleParts, access::Scope};

/// Whether a scope shows what devices sent, or changes keys, policy, tokens, rules or people. Each is placed on purpose.
fn is_sensitive(scope: Scope) -> bool {
    match scope {
        Scope::MessagesRead
        | Scope::TelemetryRead
        | Scope::TelemetryKeys
        | Scope::TelemetryWrite
        | Scope::TokensWrite
        | Scope::ServicesWrite
        | Scope::PolicyWrite
        | Scope::CaWrite
        | Scope::CaRoot
        | Scope::DetectWrite
        | Scope::RespondApprove
        | Scope::AccessReview
        | Scope::Admin => true,
        Scope::StatusRead
        | Scope::ServerRead
        | Scope::DevicesRead
        | Scope::DevicesWrite
        | Scope::TokensRead
        | Scope::ServicesRead
        | Scope::PolicyRead
        | Scope::MessagesWatch
        | Scope::MessagesWrite
        | Scope::EventsRead
        | Scope::LedgerRead
        | Scope::CaRead
        | Scope::DetectRead
        | Scope::RespondRead
        | Scope::RespondWrite
        | Scope::AccessRead => false,
    }
}

pub(super) struct Sources {
    store: Store,
    identity: Arc<Identity>,
    pdp: Arc<Pdp>,
    gateway: Arc<Gateway>,
    exports: Arc<Exports>,
    /// Actions that show or change what few should.
    sensitive: BTreeSet<&'static str>,
}

impl Sources {
    pub(super) fn of(parts: &PeopleParts, actions: &[ActionInfo]) -> Arc<Self> {
        let sensitive = actions
            .iter()
            .filter(|action| Scope::parse(action.scope).is_some_and(is_sensitive))
            .map(|action| action.name);
        Arc::new(Self {
            sensitive: sensitive.collect(),
            store: parts.store.clone(),
            identity: parts.identity.clone(),
            pdp: parts.pdp.clone(),
            gateway: parts.gateway.clone(),
            exports: parts.exports.clone(),
        })
    }
}

impl AuditSource for Sources {
    fn read_key(&self, certificate: &[u8]) -> KeyFacts {
        let PublicKeyFacts { sha256, kind, weak } = PublicKeyFacts::of(certificate);
        KeyFacts {
            hash: sha256,
            kind,
            weak,
        }
    }

    fn authority(&self) -> BoxFuture<'_, Result<Vec<AuthorityCertificate>, SourceError>> {
        Box::pin(async {
            let found = Identity::inspect(&self.store).await?;
            let own = |found: palisade_identity::CaCertificate| AuthorityCertificate {
                name: found.name,
                not_after: found.not_after,
            };
            Ok(found.into_iter().map(own).collect())
        })
    }

    fn crl_valid_until(&self) -> Option<Timestamp> {
        self.identity.crl_valid_until()
    }

    fn refused_certificates(&self) -> Vec<RefusedCertificate> {
        let own = |found: palisade_identity::RefusedHandshake| RefusedCertificate {
            serial: found.serial,
            why: match found.why {
                Dead::Revoked => "it is revoked",
                Dead::Ended => "it has ended",
            },
            times: found.times,
            last_at: found.last_at,
        };
        let found = self.identity.refused_handshakes();
        found.into_iter().map(own).collect()
    }

    fn live_sessions(&self, device: &DeviceId) -> usize {
        let sessions = self.gateway.sessions_of(&Principal::from(device.clone()));
        sessions.iter().filter(|session| session.online).count()
    }

    fn permits(&self, device: &Device, request: &Request<'_>) -> bool {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        self.pdp.permits(device, nowhere, request)
    }

    fn is_sensitive(&self, action: &str) -> bool {
        self.sensitive.contains(action)
    }

    fn logging(&self) -> BoxFuture<'_, Result<Vec<LoggingTrouble>, SourceError>> {
        Box::pin(async {
            let all = self.exports.status().await?;
            let failing = all.iter().filter(|one| one.state == ExportState::Retrying);
            let failing = failing.map(|one| LoggingTrouble {
                part: format!("export/{}", one.name),
                detail: format!(
                    "export {} to {} fails, and {} events wait: {}",
                    one.name,
                    one.target,
                    one.lag,
                    one.last_error.as_deref().unwrap_or("its log says why")
                ),
            });
            Ok(log_is_quiet().into_iter().chain(failing).collect())
        })
    }
}

/// A log that shows less than warnings.
fn log_is_quiet() -> Option<LoggingTrouble> {
    let level = LevelFilter::current();
    // A process that installed no log at all (a test, a tool) has nothing to say either.
    let is_quiet = tracing::dispatcher::has_been_set() && level < LevelFilter::WARN;
    is_quiet.then(|| LoggingTrouble {
        part: "log".to_owned(),
        detail: format!("the server's log shows {level} only: log.level is to be warn or more"),
    })
}
