//! The one step that mends what an audit found.

use axum::extract::State;
use palisade_core::{AuditRunId, DeviceId, GrantId, Lifecycle, Principal, Serial, TokenId};
use palisade_detect::{
    Subject,
    audit::{Check, Mitigation},
};
use palisade_identity::RevocationReason;
use palisade_policy::PostureError;
use palisade_store::AuditResource;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    audits::{CheckDoc, known_run},
    auth::Caller,
    extract::{JsonBody, NoParameters, Path, Query},
    routes::Routes,
    schema,
    text::{Line, Reason},
};
use crate::problem::{Problem, ProblemKind};

/// What is mended in one request; more takes more requests.
const MOST: usize = 1_000;
const PAGE: u32 = 500;

pub(super) fn routes() -> Routes {
    Routes::default().write(
        Scope::DetectWrite,
        "audit.mitigate",
        routes!(mitigate_audit),
    )
}

/// What is to be mended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "check": "permissive-grant",
    "resources": ["grant/01JZX3R5W8Q2M4N6P7T9V0A1BC"],
    "reason": "nobody needs it"
}))]
pub(crate) struct MitigateRequest {
    /// What which check found.
    #[schema(value_type = CheckDoc)]
    check: Check,
    /// Which things, by name; the first thousand that were not mended yet where none is named.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Line<1, 200>>>, max_items = 1000, nullable = false)]
    resources: Vec<Line<1, 200>>,
    /// Why; it is recorded.
    #[serde(default)]
    reason: Reason,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepOutcome)]
pub(crate) enum Outcome {
    /// It was done.
    Done,
    /// There was nothing to do, or not for a machine.
    Skipped,
    /// It failed.
    Failed,
}

/// What was done about one thing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    /// What.
    resource: String,
    /// What came of it.
    outcome: Outcome,
    /// What was done, or why not.
    detail: String,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Mitigated {
    /// How many steps were done.
    #[schema(minimum = 0)]
    done: usize,
    /// How many were not needed, or not for a machine.
    #[schema(minimum = 0)]
    skipped: usize,
    /// How many failed.
    #[schema(minimum = 0)]
    failed: usize,
    /// Each of them.
    steps: Vec<Step>,
}

/// Mends what a check found, by the one step that the check names.
///
/// Each step is an act of its own as well: what it changes is recorded where it changes. It needs the
/// scope of that act besides: `devices:write` to quarantine, `ca:write` to revoke.
#[utoipa::path(
    post,
    path = "/api/v1/audits/runs/{id}/mitigate",
    tag = "audits",
    params(("id" = schema::AuditRunId, Path, description = "The run.")),
    request_body = MitigateRequest,
    responses((status = 200, description = "What was done.", body = Mitigated))
)]
async fn mitigate_audit(
    State(state): State<PeopleState>,
    caller: Caller,
    Path(id): Path<AuditRunId>,
    Query(NoParameters {}): Query<NoParameters>,
    JsonBody(request): JsonBody<MitigateRequest>,
) -> Result<Done<Mitigated>, Problem> {
    known_run(&state, id).await?;
    let about = request.check.about();
    if about.mitigation == Mitigation::ByHand {
        return Err(Problem::conflict(format!(
            "a person has to mend this: begin with `{}`",
            about.command
        )));
    }
    let needed = scope_of(about.mitigation);
    if !caller.scopes.allow(needed) {
        let why = format!("the token has no scope {}", needed.as_str());
        return Err(Problem::new(ProblemKind::Forbidden, why));
    }
    let mender = Mender {
        state: &state,
        caller: &caller,
        run: id,
        check: request.check,
        reason: request.reason.as_str(),
    };
    let steps = mender.mend(&request.resources).await?;
    let count = |wanted: Outcome| steps.iter().filter(|step| step.outcome == wanted).count();
    let mitigated = Mitigated {
        done: count(Outcome::Done),
        skipped: count(Outcome::Skipped),
        failed: count(Outcome::Failed),
        steps,
    };
    let target = format!(
        "{id}: {} ({} done, {} skipped, {} failed)",
        request.check, mitigated.done, mitigated.skipped, mitigated.failed
    );
    let reason = Some(request.reason).filter(|reason| !reason.as_str().is_empty());
    Ok(Done::changed(target, mitigated).because(reason))
}

/// The scope that the step itself needs.
fn scope_of(mitigation: Mitigation) -> Scope {
    match mitigation {
        Mitigation::RevokeCertificate | Mitigation::RenewIssuer | Mitigation::RefreshCrl => {
            Scope::CaWrite
        }
        Mitigation::RemoveGrant => Scope::PolicyWrite,
        Mitigation::QuarantineDevice | Mitigation::RetireDevice | Mitigation::DisconnectDevice => {
            Scope::DevicesWrite
        }
        Mitigation::VerifyLedger => Scope::LedgerRead,
        Mitigation::RevokeApiToken => Scope::Admin,
        Mitigation::RevokeEnrolmentToken => Scope::TokensWrite,
        Mitigation::ByHand => Scope::DetectWrite,
    }
}

struct Mender<'a> {
    state: &'a PeopleState,
    caller: &'a Caller,
    run: AuditRunId,
    check: Check,
    reason: &'a str,
}

/// What a step came to: done, or skipped, and why.
type Came = Result<(Outcome, String), Problem>;

fn done(what: impl Into<String>) -> Came {
    Ok((Outcome::Done, what.into()))
}

fn skipped(why: impl Into<String>) -> Came {
    Ok((Outcome::Skipped, why.into()))
}

impl Mender<'_> {
    async fn mend(&self, named: &[Line<1, 200>]) -> Result<Vec<Step>, Problem> {
        if named.len() > MOST {
            let detail = format!("resources: at most {MOST} at once");
            return Err(Problem::invalid(detail));
        }
        let found = match named {
            [] => self.unmended().await?,
            named => self.named(named).await?,
        };
        let mut steps = Vec::with_capacity(found.len());
        for resource in found {
            steps.push(self.step(&resource).await?);
        }
        Ok(steps)
    }

    async fn unmended(&self) -> Result<Vec<AuditResource>, Problem> {
        let audits = self.state.store().audits();
        let (mut found, mut after) = (Vec::new(), String::new());
        while found.len() < MOST {
            let check = self.check.as_str();
            let part = audits.resources(self.run, check, &after, PAGE).await?;
            let Some(last) = part.last() else {
                break;
            };
            after.clone_from(&last.resource);
            found.extend(part.into_iter().filter(|one| one.mitigated_at.is_none()));
        }
        found.truncate(MOST);
        Ok(found)
    }

    /// All of them, or none where one was not found by the run.
    async fn named(&self, named: &[Line<1, 200>]) -> Result<Vec<AuditResource>, Problem> {
        let audits = self.state.store().audits();
        let mut found = Vec::with_capacity(named.len());
        for name in named {
            let check = self.check.as_str();
            let one = audits.resource(self.run, check, name.as_str()).await?;
            found.push(one.ok_or_else(|| {
                Problem::invalid(format!(
                    "resources: check {check} of this run found no {name}"
                ))
            })?);
        }
        Ok(found)
    }

    async fn step(&self, resource: &AuditResource) -> Result<Step, Problem> {
        let (outcome, detail) = match self.act(resource).await {
            Ok(came) => came,
            Err(problem) => (Outcome::Failed, problem.detail().to_owned()),
        };
        if outcome == Outcome::Done {
            let by = (self.caller.name.as_str(), self.state.parts().clock.now());
            let audits = self.state.store().audits();
            audits
                .mitigated(self.run, self.check.as_str(), &resource.resource, by)
                .await?;
        }
        Ok(Step {
            resource: resource.resource.clone(),
            outcome,
            detail,
        })
    }

    async fn act(&self, resource: &AuditResource) -> Came {
        let parts = self.state.parts();
        let (kind, id) = resource
            .resource
            .split_once('/')
            .unwrap_or((resource.resource.as_str(), ""));
        let device = Subject::parse(&resource.subject).and_then(|about| about.device().cloned());
        match (self.check.about().mitigation, kind, device) {
            (Mitigation::RevokeCertificate, "certificate", _) => self.revoke(id).await,
            (Mitigation::RemoveGrant, "grant", _) => {
                let grant = GrantId::parse(id).map_err(Problem::invalid)?;
                match parts.pdp.remove_grant(grant).await? {
                    true => done("the grant is removed"),
                    false => skipped("it is removed already"),
                }
            }
            (Mitigation::QuarantineDevice, _, Some(device)) => self.quarantine(&device).await,
            (Mitigation::RetireDevice, _, Some(device)) => self.retire(&device).await,
            (Mitigation::DisconnectDevice, _, Some(device)) => {
                let closed = parts.gateway.close_sessions(&Principal::from(device));
                done(format!("{closed} sessions are closed"))
            }
            (Mitigation::RenewIssuer, "ca", _) if id.starts_with("issuer") => {
                parts.identity.renew_issuer().await?;
                done("there is a new issuer")
            }
            (Mitigation::RenewIssuer, ..) => skipped(
                "a person has to do it: a new root is planned, and a service asks for its own \
                 certificate anew",
            ),
            (Mitigation::RefreshCrl, ..) => {
                parts.identity.refresh_crl().await?;
                done("there is a new CRL")
            }
            (Mitigation::VerifyLedger, "ledger", _) => self.verify().await,
            (Mitigation::RevokeApiToken, "api_token", _) => self.revoke_api_token(id).await,
            (Mitigation::RevokeEnrolmentToken, "enrolment_token", _) => {
                let token = TokenId::parse(id).map_err(Problem::invalid)?;
                match self.state.store().tokens().revoke_enrolment(token).await? {
                    true => done("the token is revoked"),
                    false => skipped("there is no such token any more"),
                }
            }
            _ => skipped("a person has to do it"),
        }
    }

    async fn revoke(&self, serial: &str) -> Came {
        let serial: Serial = serial.parse().map_err(Problem::invalid)?;
        let reason = match self.check {
            Check::SharedKey => RevocationReason::KeyCompromise,
            _ => RevocationReason::Superseded,
        };
        match self.state.parts().identity.revoke(&serial, reason).await? {
            true => done("the certificate is revoked"),
            false => skipped("it is revoked already"),
        }
    }

    async fn quarantine(&self, device: &DeviceId) -> Came {
        let pdp = &self.state.parts().pdp;
        let before = pdp.posture(device).await?;
        let before = before.ok_or(PostureError::Unknown)?.lifecycle;
        match before {
            Lifecycle::Registered | Lifecycle::Active => {
                let why = format!("audit {}: {}", self.check, self.reason);
                pdp.set_lifecycle(
                    device,
                    Lifecycle::Quarantined,
                    why.trim_end_matches([':', ' ']),
                )
                .await?;
                done("the device is quarantined")
            }
            contained => skipped(format!("the device is {contained} already")),
        }
    }

    async fn retire(&self, device: &DeviceId) -> Came {
        let parts = self.state.parts();
        let why = format!("audit {}: {}", self.check, self.reason);
        let why = why.trim_end_matches([':', ' ']);
        parts
            .pdp
            .set_lifecycle(device, Lifecycle::Retired, why)
            .await?;
        let code = RevocationReason::CessationOfOperation;
        let principal = Principal::from(device.clone());
        let revoked = parts.identity.revoke_all_of(&principal, code).await?;
        done(format!(
            "the device is retired and {} certificates are revoked",
            revoked.len()
        ))
    }

    async fn verify(&self) -> Came {
        let turn = self.state.inner.verification.acquire().await;
        let _turn = turn.map_err(|error| Problem::internal(&error))?;
        let parts = self.state.parts();
        let found = parts.ledger.verify(|_| {}).await?;
        if let Some(fault) = found.fault {
            return Err(Problem::conflict(fault));
        }
        let settings = self.state.store().settings();
        settings.note_ledger_verified(parts.clock.now()).await?;
        done(format!("{} entries are whole", found.entries))
    }

    async fn revoke_api_token(&self, id: &str) -> Came {
        let token = TokenId::parse(id).map_err(Problem::invalid)?;
        if token == self.caller.token {
            return skipped("this is the token that you use: revoke it with another one");
        }
        match self.state.store().tokens().revoke_api(token).await? {
            true => done("the token is revoked"),
            false => skipped("there is no such token any more"),
        }
    }
}
