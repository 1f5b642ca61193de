//! Explanations: everything behind a decision, for people and programs.

use std::net::IpAddr;

use palisade_core::{
    Attribute, Decision, DenyReason, Device, Explanation, GrantId, PolicyId, Principal, Request,
    Stamp,
};

use crate::{
    Pdp, Subject,
    bound::Bound,
    cell::Standing,
    engine::{Asker, Circumstances, Message, Verdict},
    pdp::denied_before_policy,
};

impl Pdp {
    /// Decides a request as [`Pdp::decide`] does and says why. Slower, counted nowhere, and seen by no
    /// shadow.
    #[must_use]
    pub fn explain(&self, subject: &Subject, request: &Request<'_>) -> Explanation {
        let in_force = self.in_force.load();
        let standing = subject.cell.standing();
        let around = Circumstances::new(subject.source(), self.clock.now());
        let denied = |reason| Verdict {
            decision: Decision::Deny(reason),
            policies: Vec::new(),
        };
        let mut grants = Vec::new();
        let verdict = match denied_before_policy(&standing) {
            Some(reason) => denied(reason),
            None => match Bound::of(&subject.cell, &standing, &in_force, &self.restrictions) {
                None => denied(DenyReason::Unknown),
                Some(bound) => {
                    grants = bound.grants().covering(request);
                    match bound.asker() {
                        _ if !bound.grants().cover(request) => denied(DenyReason::NoGrant),
                        Ok(asker) => in_force.engine.decide(asker, request, around),
                        Err(reason) => denied(reason),
                    }
                }
            },
        };
        let reason = match verdict.decision {
            Decision::Allow => None,
            Decision::Deny(reason) => Some(reason),
        };
        let principal = subject.principal();
        Explanation {
            allowed: reason.is_none(),
            summary: summary(
                principal,
                request,
                reason.as_ref(),
                &grants,
                &verdict.policies,
            ),
            reason,
            grants,
            policies: verdict.policies,
            attributes: {
                let mut all = attributes(principal, &standing, request, around);
                all.extend(self.restriction_of(principal));
                all
            },
            stamp: Stamp {
                policy: in_force.epoch,
                posture: standing.epoch(),
            },
            source: Some(subject.source()),
            decided_at: around.now,
        }
    }
}

impl Pdp {
    /// Whether the policies in force, grants aside, would permit a request to a device like this one,
    /// which need not exist. Counted nowhere, and seen by no shadow.
    #[must_use]
    pub fn permits(&self, device: &Device, source: IpAddr, request: &Request<'_>) -> bool {
        let asker = Asker::device(device.id.as_str(), &device.product, &device.posture);
        let Ok(asker) = asker else {
            return false;
        };
        let around = Circumstances::new(source, self.clock.now());
        let in_force = self.in_force.load();
        let verdict = in_force.engine.decide(&asker, request, around);
        verdict.decision.is_allow()
    }

    /// What restricts a principal's grants, where an action does.
    fn restriction_of(&self, principal: &Principal) -> Option<Attribute> {
        let held = self.restriction(principal.device()?)?;
        let topics: Vec<String> = held
            .topics
            .iter()
            .map(|topic| format!("{:?}", topic.as_str()))
            .collect();
        Some(Attribute {
            path: "restriction.topics".to_owned(),
            value: format!("[{}]", topics.join(", ")),
        })
    }
}

/// One sentence for people.
fn summary(
    principal: &Principal,
    request: &Request<'_>,
    reason: Option<&DenyReason>,
    grants: &[GrantId],
    policies: &[PolicyId],
) -> String {
    let who = format!("{} {}", principal.kind(), principal.id());
    let what = wish(request);
    match reason {
        None => {
            let permitted = format!(
                "{} {} it",
                list("policy", "policies", policies),
                s("permit", policies)
            );
            match grants {
                [] => format!("{who} may {what}: {permitted}"),
                grants => {
                    let covered = format!(
                        "{} {} it",
                        list("grant", "grants", grants),
                        s("cover", grants)
                    );
                    format!("{who} may {what}: {covered} and {permitted}")
                }
            }
        }
        Some(DenyReason::NoGrant) if grants.is_empty() => {
            format!("{who} may not {what}: none of its grants covers that")
        }
        Some(DenyReason::NoGrant) => {
            format!("{who} may not {what}: its grants let it publish there, but not retain")
        }
        Some(DenyReason::Forbidden { policies }) => {
            let forbidden = list("policy", "policies", policies);
            format!(
                "{who} may not {what}: {forbidden} {} it",
                s("forbid", policies)
            )
        }
        Some(DenyReason::NotSealed) => {
            format!("{who} may not {what}: a grant demands that it is sealed for its readers")
        }
        Some(DenyReason::NotPermitted) => {
            format!("{who} may not {what}: no policy permits it, and nothing is allowed by default")
        }
        Some(DenyReason::Lifecycle { lifecycle }) => {
            format!("{who} may not {what}: it is {lifecycle}, and such a device is served nothing")
        }
        Some(DenyReason::Unknown) => format!("{who} may not {what}: it is not known here"),
        Some(DenyReason::EvaluationFailed { detail }) => {
            format!("{who} may not {what}: a policy could not be evaluated ({detail})")
        }
    }
}

fn wish(request: &Request<'_>) -> String {
    match request {
        Request::Connect => "connect".to_owned(),
        Request::Enroll => "enrol".to_owned(),
        Request::Renew => "renew its certificate".to_owned(),
        Request::Publish {
            topic,
            retain: false,
            ..
        } => format!("publish to {topic}"),
        Request::Publish {
            topic,
            retain: true,
            ..
        } => format!("publish to {topic} and retain it"),
        Request::Subscribe { filter, .. } => format!("subscribe to {}", filter.as_str()),
        Request::Receive { topic, .. } => format!("receive from {topic}"),
    }
}

fn list<T: ToString>(one: &str, many: &str, items: &[T]) -> String {
    let named: Vec<String> = items.iter().map(ToString::to_string).collect();
    format!(
        "{} {}",
        if items.len() == 1 { one } else { many },
        named.join(", ")
    )
}

/// A verb after so many subjects.
fn s<T>(verb: &str, subjects: &[T]) -> String {
    format!("{verb}{}", if subjects.len() == 1 { "s" } else { "" })
}

/// What policies could see, in Cedar's notation.
fn attributes(
    principal: &Principal,
    standing: &Standing,
    request: &Request<'_>,
    around: Circumstances,
) -> Vec<Attribute> {
    let attribute = |path: &str, value: String| Attribute {
        path: path.to_owned(),
        value,
    };
    let quoted = |text: &str| format!("\"{}\"", text.escape_debug());
    let kind = match principal {
        Principal::Device(_) => "Device",
        Principal::Service(_) => "Service",
    };
    let mut seen = vec![
        attribute("principal", format!("{kind}::{}", quoted(principal.id()))),
        attribute(
            "action",
            format!("Action::{}", quoted(request.action().as_str())),
        ),
    ];
    if let Standing::Device(known) = standing {
        let posture = &known.posture;
        seen.extend([
            attribute("principal.lifecycle", quoted(posture.lifecycle.as_str())),
            attribute("principal.trust", posture.trust.value().to_string()),
            attribute("principal.segment", quoted(posture.segment.as_str())),
            attribute("principal.product", quoted(known.product.as_str())),
        ]);
    }
    if let Some(message) = Message::of(request) {
        seen.extend([
            attribute("context.topic", quoted(request.resource())),
            attribute("context.qos", message.qos.to_string()),
            attribute("context.size", message.size.to_string()),
            attribute("context.retain", message.retain.to_string()),
        ]);
    }
    seen.extend([
        attribute(
            "context.source",
            format!("ip({})", quoted(&around.source.to_string())),
        ),
        attribute("context.hour", around.hour.to_string()),
        attribute("context.weekday", around.weekday.to_string()),
    ]);
    seen
}
