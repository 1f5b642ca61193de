//! What the server says of itself when it is looked at: the checks of the doctor, and the keys that it stands on.

use std::time::Duration;

use axum::{Json, extract::State};
use palisade_core::Timestamp;
use palisade_identity::{CaCertificate, Identity};
use palisade_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::{NoParameters, Query},
    routes::Routes,
    schema,
    views::All,
};
use crate::{
    doctor::{self, Finding, KeyPlace, Level},
    problem::Problem,
};

/// How long the database may take for one look at it.
const PATIENCE: Duration = Duration::from_secs(2);
const DATABASE: &str = "database";

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(Scope::ServerRead, "doctor.read", routes!(get_doctor))
        .read(Scope::ServerRead, "key.list", routes!(list_keys))
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Doctor)]
pub(crate) struct DoctorView {
    /// When it was looked at.
    #[schema(value_type = schema::Time)]
    at: Timestamp,
    /// The worst of what was found.
    worst: Level,
    /// Everything that was looked at, and what to do about it.
    findings: Vec<Finding>,
}

/// Looks at everything that the server can see of itself, and says how to mend what it finds.
#[utoipa::path(
    get,
    path = "/api/v1/doctor",
    tag = "server",
    responses((status = 200, description = "What was found.", body = DoctorView))
)]
async fn get_doctor(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Json<DoctorView> {
    let findings = examine(&state).await;
    let worst = findings.iter().map(|finding| finding.level).max();
    Json(DoctorView {
        at: state.parts().clock.now(),
        worst: worst.unwrap_or(Level::Ok),
        findings,
    })
}

/// The parts without which no client can be served. What is wrong and stops no client is not among them: whoever could
/// end the door by cutting the audit log would have found a way to end the door.
pub(crate) async fn readiness(state: &PeopleState) -> Vec<Finding> {
    let parts = state.parts();
    let now = parts.clock.now();
    let mut findings = vec![database(state).await];
    findings.extend(doctor::room(&parts.premises.data));
    findings.extend(certificates(&parts.identity, now));
    findings.push(doctor::crl(parts.identity.crl_valid_until(), now));
    findings.push(vault(state));
    findings
}

async fn database(state: &PeopleState) -> Finding {
    in_time(state.parts().store.ping())
        .await
        .map_or_else(|failed| failed, |()| Finding::ok(DATABASE, "it answers"))
}

fn vault(state: &PeopleState) -> Finding {
    let parts = state.parts();
    doctor::vault(
        parts.vault.is_failing(),
        parts.vault.newest(),
        parts.gateway.stats().not_kept,
        parts.vault.trouble().as_deref(),
    )
}

async fn examine(state: &PeopleState) -> Vec<Finding> {
    let parts = state.parts();
    let now = parts.clock.now();
    let mut findings = vec![database(state).await];
    findings.extend(doctor::room(&parts.premises.data));
    findings.extend(ledger(state).await);
    findings.extend(certificates(&parts.identity, now));
    findings.push(doctor::crl(parts.identity.crl_valid_until(), now));
    findings.push(doctor::detection(&parts.detect.stats()));
    findings.push(doctor::rules(&parts.rules.status()));
    findings.push(vault(state));
    findings.push(doctor::memory(&parts.premises.memory, doctor::has_swap()));
    findings.extend(doctor::retention(parts.vault.waits_for_clock()));
    findings.push(doctor::switch(&parts.respond.switch()));
    match in_time(parts.exports.status()).await {
        Ok(exports) => findings.extend(exports.iter().map(doctor::export)),
        Err(failed) => findings.push(failed),
    }
    findings.push(doctor::access_log(state.access_log_stats().lost));
    let doors = state.doors();
    findings.extend(doors.iter().map(|(door, addresses)| {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Finding::ok(door, format!("it listens on {}", addresses.join(", ")))
    }));
    let of_operators = doors.iter().find(|(door, _)| *door == doctor::OPERATORS);
    findings.extend(doctor::dangers(
        parts.gateway.insecure_addr(),
        of_operators.map_or(&[], |(_, addresses)| addresses),
    ));
    findings
}

/// The ledger and, by its newest entry, the clock.
async fn ledger(state: &PeopleState) -> Vec<Finding> {
    let parts = state.parts();
    // In this order: entries that are written meanwhile are in the database, and not in the number.
    let (written, _) = parts.ledger.head();
    let newest = match in_time(parts.store.journal().ledger_head()).await {
        Ok(newest) => newest,
        Err(failed) => return vec![failed],
    };
    let kept = newest.as_ref().map_or(0, |entry| entry.seq);
    let signed = match in_time(parts.store.ledger_tree().newest_checkpoint()).await {
        Ok(signed) => signed,
        Err(failed) => return vec![failed],
    };
    let log = parts.log.status();
    let unheard = log.witnesses.iter().filter_map(|witness| {
        let why = witness.error.as_ref()?;
        Some(format!("the witness {}: {why}", witness.name))
    });
    let unheard: Vec<String> = unheard.collect();
    let withheld = log.withheld.map(|why| why.to_string());
    let written_at = newest.and_then(|entry| entry.time());
    vec![
        doctor::ledger(written, kept),
        doctor::checkpoints((kept, withheld), signed.as_ref(), &unheard),
        // The clock is looked at after what it is compared with.
        doctor::clock(written_at, parts.clock.now()),
    ]
}

fn certificates(identity: &Identity, now: Timestamp) -> Vec<Finding> {
    let found = match identity.certificates() {
        Ok(found) => found,
        Err(error) => {
            let mend = "restore the data directory from a backup";
            return vec![Finding::fail("certificates", error.to_string(), mend)];
        }
    };
    let (of_doors, of_authority): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|one| one.name == DOORS);
    let mut findings = doctor::authority(&of_authority, now);
    let judge = |one| doctor::door_certificate(one, now);
    findings.extend(of_doors.iter().map(judge));
    findings
}

async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, Finding> {
    let mend = "look at the server's log, the disk and the load of this machine";
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the doctor could not read the database");
            Err(Finding::fail(DATABASE, "it failed; the log says how", mend))
        }
        Err(_) => Err(Finding::fail(DATABASE, "it does not answer in time", mend)),
    }
}

/// How the identity names what the doors show.
const DOORS: &str = "doors";

/// What a key is for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyPurpose {
    /// It signs the issuers.
    Root,
    /// It signs certificates of devices, services and doors, and the revocation list.
    Issuer,
    /// The doors prove with it whose they are.
    Doors,
    /// It seals all others.
    KeyEncryption,
}

/// A key that the server stands on; never what is in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerKey)]
pub(crate) struct KeyView {
    /// What it is for.
    purpose: KeyPurpose,
    /// Where it is.
    place: KeyPlace,
    /// Whether it is as it should be.
    state: Level,
    /// Since when it is in use; null where nobody wrote that down.
    #[schema(value_type = Option<schema::Time>)]
    since: Option<Timestamp>,
    /// Until when it may be used; null where it has no end of its own.
    #[schema(value_type = Option<schema::Time>)]
    until: Option<Timestamp>,
    /// How it is replaced by another.
    rotation: String,
}

/// Lists the keys that the server stands on: where they are, how old they are, and how they are replaced.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    tag = "server",
    responses((status = 200, description = "The keys.", body = All<KeyView>))
)]
async fn list_keys(
    State(state): State<PeopleState>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<All<KeyView>>, Problem> {
    let parts = state.parts();
    let (identity, now) = (&parts.identity, parts.clock.now());
    let certificates = identity.certificates();
    let certificates = certificates.map_err(|error| Problem::internal(&error))?;
    let has_root = identity.root_key_is_here();
    let signing = certificates
        .iter()
        .map(|one| signing_key(one, has_root, now));
    let sealing = KeyView {
        purpose: KeyPurpose::KeyEncryption,
        place: parts.premises.sealed_by,
        state: Level::Ok,
        since: parts.store.settings().keys_rotated_at().await?,
        until: None,
        rotation:
            "stop the server, run `palisade keys rotate`, start it again: all keys are sealed anew"
                .to_owned(),
    };
    Ok(Json(All::of(signing.chain([sealing]))))
}

fn signing_key(certificate: &CaCertificate, has_root: bool, now: Timestamp) -> KeyView {
    let (purpose, rotation) = match (certificate.name.as_str(), has_root) {
        ("root", true) => (
            KeyPurpose::Root,
            "it is here: take it offline with `palisade ca export-root`, then `palisade ca detach-root`",
        ),
        ("root", false) => (
            KeyPurpose::Root,
            "it is brought back for a new issuer alone: `palisade ca import-root`",
        ),
        (DOORS, _) => (
            KeyPurpose::Doors,
            "a new key and certificate are made by themselves two thirds into its life",
        ),
        (_, true) => (
            KeyPurpose::Issuer,
            "a new issuer is made by itself in time; `palisade ca renew-issuer` makes one now",
        ),
        (_, false) => (
            KeyPurpose::Issuer,
            "before it ends, import the root key and run `palisade ca renew-issuer`",
        ),
    };
    let judged = match purpose {
        KeyPurpose::Doors => doctor::door_certificate(certificate, now).level,
        _ => {
            let found = doctor::authority(std::slice::from_ref(certificate), now);
            found.first().map_or(Level::Ok, |found| found.level)
        }
    };
    let is_here = has_root || !matches!(purpose, KeyPurpose::Root);
    KeyView {
        purpose,
        place: if is_here {
            KeyPlace::Keystore
        } else {
            KeyPlace::Elsewhere
        },
        state: judged,
        since: Some(certificate.not_before),
        until: Some(certificate.not_after),
        rotation: rotation.to_owned(),
    }
}
