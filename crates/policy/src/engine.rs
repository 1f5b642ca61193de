//! Cedar: the decision over one set of policies.

use std::{
    net::IpAddr,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityId, EntityTypeName,
    EntityUid, PolicySet, Request as CedarRequest, RestrictedExpression, Schema,
};
use palisade_core::{
    Action, Decision, DenyReason, PolicyId, Posture, ProductId, Request, Timestamp,
};
use serde::Serialize;

use crate::{
    SCHEMA,
    reads::Reads,
    text::{PolicyProblem, with_policies},
};

/// A policy, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyInfo {
    /// Its `@id`.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: String,
}

/// What a request looks like besides who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    pub(crate) source: IpAddr,
    pub(crate) now: Timestamp,
    pub(crate) hour: i64,
    pub(crate) weekday: i64,
}

impl Circumstances {
    pub(crate) fn new(source: IpAddr, now: Timestamp) -> Self {
        let hours = now.as_second().div_euclid(3_600);
        // 1970-01-01 was a Thursday, day 4 of a week that begins with Monday.
        let weekday = (hours.div_euclid(24) + 3).rem_euclid(7) + 1;
        Self {
            source,
            now,
            hour: hours.rem_euclid(24),
            weekday,
        }
    }
}

/// What Cedar said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    pub(crate) policies: Vec<PolicyId>,
}

/// Who asks, as policies see it.
#[derive(Debug)]
pub(crate) struct Asker {
    uid: EntityUid,
    entities: Entities,
}

/// One set of policies, ready to decide.
#[derive(Debug)]
pub(crate) struct Engine {
    // Indexed by action: Cedar looks at no policy that could not apply.
    by_action: Vec<(PolicySet, Reads)>,
    infos: Vec<PolicyInfo>,
    authorizer: Authorizer,
}

struct Names {
    actions: Vec<EntityUid>,
    fleet: EntityUid,
    device: EntityTypeName,
    service: EntityTypeName,
    schema: Schema,
}

#[expect(
    clippy::expect_used,
    reason = "the names and the schema are constants, tested below"
)]
static NAMES: LazyLock<Names> = LazyLock::new(|| {
    // INVARIANT: constant texts that parse; `the_constant_names_parse` holds it.
    let uid = |text: &str| EntityUid::from_str(text).expect("a constant name");
    Names {
        actions: Action::ALL
            .iter()
            .map(|action| uid(&format!("Action::\"{}\"", action.as_str())))
            .collect(),
        fleet: uid("Fleet::\"fleet\""),
        device: EntityTypeName::from_str("Device").expect("a constant name"),
        service: EntityTypeName::from_str("Service").expect("a constant name"),
        schema: Schema::from_cedarschema_str(SCHEMA)
            .expect("the shipped schema")
            .0,
    }
});

impl Asker {
    pub(crate) fn device(id: &str, product: &ProductId, posture: &Posture) -> Result<Self, String> {
        let uid = EntityUid::from_type_name_and_id(NAMES.device.clone(), EntityId::new(id));
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let attributes = [
            ("lifecycle", text(posture.lifecycle.as_str())),
            (
                "trust",
                RestrictedExpression::new_long(i64::from(posture.trust.value())),
            ),
            ("segment", text(posture.segment.as_str())),
            ("product", text(product.as_str())),
        ];
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let entity = Entity::new(uid.clone(), attributes.collect(), Default::default())
            .map_err(|error| error.to_string())?;
        Self::of(uid, entity)
    }

    pub(crate) fn service(id: &str) -> Result<Self, String> {
        let uid = EntityUid::from_type_name_and_id(NAMES.service.clone(), EntityId::new(id));
        Self::of(uid.clone(), Entity::new_no_attrs(uid, Default::default()))
    }

    fn of(uid: EntityUid, entity: Entity) -> Result<Self, String> {
        let entities =
            Entities::from_entities([entity], None).map_err(|error| error.to_string())?;
        Ok(Self { uid, entities })
    }
}

/// The actions that a request asks for: a retained message is asked twice, whether it may be
/// published and whether it may be kept. The second is asked only where the first is allowed.
pub(crate) fn actions_of(request: &Request<'_>) -> (Action, Option<Action>) {
    let kept = matches!(request, Request::Publish { retain: true, .. });
    (request.action(), kept.then_some(Action::Retain))
}

impl Engine {
    /// Parses and validates a text.
    pub(crate) fn new(text: &str) -> Result<Self, Vec<PolicyProblem>> {
        with_policies(text, &NAMES.schema, |set| {
            let by_action = NAMES.actions.iter().map(|uid| subset(set, uid)).collect();
            let mut infos: Vec<PolicyInfo> = set
                .policies()
                .map(|policy| PolicyInfo {
                    id: policy.id().to_string(),
                    effect: policy.effect().to_string(),
                })
                .collect();
            infos.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(Self {
                by_action,
                infos,
                authorizer: Authorizer::new(),
            })
        })
    }

    /// The same, but policies are shown all of a request, whatever they read.
    #[cfg(test)]
    pub(crate) fn showing_everything(text: &str) -> Result<Self, Vec<PolicyProblem>> {
        let mut engine = Self::new(text)?;
        engine
            .by_action
            .iter_mut()
            .for_each(|(_, reads)| *reads = Reads::ALL);
        Ok(engine)
    }

    pub(crate) fn infos(&self) -> &[PolicyInfo] {
        &self.infos
    }

    pub(crate) fn reads(&self, action: Action) -> Reads {
        self.by_action
            .get(action as usize)
            .map_or(Reads::ALL, |(_, reads)| *reads)
    }

    /// Decides a request.
    pub(crate) fn decide(
        &self,
        asker: &Asker,
        request: &Request<'_>,
        around: Circumstances,
    ) -> Verdict {
        let (first, second) = actions_of(request);
        let mut verdict = self.decide_action(asker, request, first, around);
        if let Some(second) = second.filter(|_| verdict.decision.is_allow()) {
            let kept = self.decide_action(asker, request, second, around);
            match kept.decision {
                Decision::Allow => verdict.policies.extend(kept.policies),
                Decision::Deny(_) => verdict = kept,
            }
        }
        verdict
    }

    /// Decides one of the actions that a request asks for.
    pub(crate) fn decide_action(
        &self,
        asker: &Asker,
        request: &Request<'_>,
        action: Action,
        around: Circumstances,
    ) -> Verdict {
        let failed = |detail: String| Verdict {
            decision: Decision::Deny(DenyReason::EvaluationFailed {
                detail: detail.into(),
            }),
            policies: Vec::new(),
        };
        let index = action as usize;
        let (Some((set, reads)), Some(uid)) = (self.by_action.get(index), NAMES.actions.get(index))
        else {
            return failed("the action is not known".to_owned());
        };
        let asked = context(request, *reads, around).and_then(|context| {
            let fleet = NAMES.fleet.clone();
            CedarRequest::new(asker.uid.clone(), uid.clone(), fleet, context, None)
                .map_err(|error| error.to_string())
        });
        let asked = match asked {
            Ok(asked) => asked,
            Err(detail) => return failed(detail),
        };
        let answer = self.authorizer.is_authorized(&asked, set, &asker.entities);
        if let Some(error) = answer.diagnostics().errors().next() {
            return failed(error.to_string());
        }
        let mut policies: Vec<PolicyId> = answer
            .diagnostics()
            .reason()
            .filter_map(|id| PolicyId::parse(AsRef::<str>::as_ref(id)).ok())
            .collect();
        policies.sort();
        let decision = match answer.decision() {
            CedarDecision::Allow => Decision::Allow,
            CedarDecision::Deny if policies.is_empty() => Decision::Deny(DenyReason::NotPermitted),
            CedarDecision::Deny => Decision::Deny(DenyReason::Forbidden {
                policies: Arc::from(policies.as_slice()),
            }),
        };
        Verdict { decision, policies }
    }
}

fn subset(set: &PolicySet, action: &EntityUid) -> (PolicySet, Reads) {
    let mut subset = PolicySet::new();
    let mut reads = Reads::default();
    for policy in set.policies().filter(|policy| may_apply(policy, action)) {
        reads = reads.and(Reads::of(policy));
        // INVARIANT: ids are unique in `set`, so they are unique in a part of it.
        let _ = subset.add(policy.clone());
    }
    (subset, reads)
}

/// What the policies of an action can see of a request. What none of them reads is left out.
fn context(request: &Request<'_>, reads: Reads, around: Circumstances) -> Result<Context, String> {
    type Pair = (String, RestrictedExpression);
    let pair = |name: &str, value: RestrictedExpression| -> Pair { (name.to_owned(), value) };
    let long = RestrictedExpression::new_long;
    let mut pairs = Vec::new();
    if reads.source {
        pairs.push(pair(
            "source",
            RestrictedExpression::new_ip(around.source.to_string()),
        ));
    }
    if reads.time {
        pairs.push(pair("hour", long(around.hour)));
        pairs.push(pair("weekday", long(around.weekday)));
    }
    if let Some(Message { qos, size, retain }) = Message::of(request) {
        if reads.topic {
            let topic = RestrictedExpression::new_string(request.resource().to_owned());
            pairs.push(pair("topic", topic));
        }
        if reads.qos {
            pairs.push(pair("qos", long(i64::from(qos))));
        }
        if reads.size {
            pairs.push(pair("size", long(size)));
        }
        if reads.retain {
            pairs.push(pair("retain", RestrictedExpression::new_bool(retain)));
        }
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

/// What policies can see of a message or subscription, besides its topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    pub(crate) qos: u8,
    pub(crate) size: i64,
    pub(crate) retain: bool,
}

impl Message {
    pub(crate) fn of(request: &Request<'_>) -> Option<Self> {
        let (qos, size, retain) = match request {
            Request::Connect | Request::Enroll | Request::Renew => return None,
            Request::Publish {
                qos, size, retain, ..
            } => (*qos, *size, *retain),
            Request::Receive { qos, size, .. } => (*qos, *size, false),
            Request::Subscribe { qos, .. } => (*qos, 0, false),
        };
        Some(Self {
            qos,
            size: i64::try_from(size).unwrap_or(i64::MAX),
            retain,
        })
    }
}

fn may_apply(policy: &cedar_policy::Policy, action: &EntityUid) -> bool {
    use cedar_policy::ActionConstraint;
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::In(list) => list.contains(action),
        ActionConstraint::Eq(uid) => uid == *action,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DEFAULT_POLICIES;

    #[test]
    fn the_constant_names_parse() {
        assert_eq!(NAMES.actions.len(), Action::ALL.len());
        for (index, action) in Action::ALL.iter().enumerate() {
            assert_eq!(*action as usize, index, "{action} is out of order");
        }
    }

    #[test]
    fn the_shipped_policies_are_valid_and_read_little() {
        let engine = Engine::new(DEFAULT_POLICIES).expect("valid");
        assert!(engine.infos().len() >= 5);
        assert_eq!(engine.reads(Action::Publish), Reads::default());
    }

    #[test]
    fn what_a_policy_reads_is_found_wherever_it_stands() {
        let text = "@id(\"a\") permit (principal, action == Action::\"publish\", resource) when \
                    { context.size < 100 || (context has qos && context.qos == 1) };\n\
                    @id(\"b\") forbid (principal, action, resource) unless { context.hour > 6 };";
        let engine = Engine::new(text).expect("valid");
        let publish = engine.reads(Action::Publish);
        assert!(
            publish.size && publish.qos && publish.time && !publish.retain,
            "{publish:?}"
        );
        let connect = engine.reads(Action::Connect);
        assert!(!connect.size && connect.time, "{connect:?}");
    }

    #[test]
    fn a_wrong_text_is_refused_with_its_line() {
        let unparsable =
            Engine::new("@id(\"a\")\npermit (principal, action, resource)\nwhen { 1 + };");
        assert_eq!(unparsable.expect_err("refused")[0].line, Some(3));
        let unknown = "@id(\"a\") permit (principal is Device, action, resource)\n\
                       when { principal.colour == \"red\" };";
        let problems = Engine::new(unknown).expect_err("refused");
        assert_eq!(
            (problems[0].line, problems[0].policy.as_deref()),
            (Some(2), Some("a"))
        );
        assert!(
            Engine::new("permit (principal, action, resource);").is_err(),
            "no @id"
        );
    }
}
