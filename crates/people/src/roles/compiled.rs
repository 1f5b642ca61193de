//! A role that was read. What its policies say of an action without looking at anything is found once, when
//! the role is read; Cedar is asked at a request only where a policy looks at the device or the time.

use std::collections::HashSet;

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, Entity, EntityId,
    EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint, Request, ResourceConstraint,
    RestrictedExpression,
};
use palisade_core::{Device, Timestamp};

use super::{
    catalogue::{Catalogue, Types},
    text::RoleProblem,
};
use crate::Role;

/// What a role says of an action.
enum Answer {
    Never,
    Always,
    /// What these policies say at the time.
    Ask(Box<PolicySet>),
}

/// A role, ready to decide.
pub(super) struct Compiled {
    answers: Vec<Answer>,
    types: Types,
    role: EntityUid,
}

/// What a request looks like besides who asks for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    hour: i64,
    weekday: i64,
}

impl Circumstances {
    /// Those at a time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        let hours = now.as_second().div_euclid(3_600);
        Self {
            hour: hours.rem_euclid(24),
            // 1970-01-01 was a Thursday, day 4 of a week that begins with Monday.
            weekday: (hours.div_euclid(24) + 3).rem_euclid(7) + 1,
        }
    }
}

impl Compiled {
    pub(super) fn new(
        role: &Role,
        set: &PolicySet,
        catalogue: &Catalogue,
    ) -> Result<Self, RoleProblem> {
        let types = Types::new()?;
        for scope in idle_scopes_of(set, catalogue) {
            tracing::warn!(%role, scope, "a role names a scope that nothing belongs to here: that part permits nothing");
        }
        let role =
            EntityUid::from_type_name_and_id(types.role.clone(), EntityId::new(role.as_str()));
        let mut answers = Vec::with_capacity(catalogue.actions().len());
        for (index, action) in catalogue.actions().iter().enumerate() {
            let resource = if action.on_device {
                &types.device
            } else {
                &types.server
            };
            let names = catalogue.names_of(index);
            answers.push(answer(set, names, (&types, &role), resource)?);
        }
        Ok(Self {
            answers,
            types,
            role,
        })
    }

    /// Whether it permits an action always, whatever is looked at.
    pub(super) fn always(&self, action: usize) -> bool {
        matches!(self.answers.get(action), Some(Answer::Always))
    }

    /// Whether it may ever permit an action.
    pub(super) fn ever(&self, action: usize) -> bool {
        !matches!(self.answers.get(action), Some(Answer::Never) | None)
    }

    /// Whether it permits an action now, on a device where one is given.
    pub(super) fn permits(
        &self,
        catalogue: &Catalogue,
        action: usize,
        (account, teams): (&str, &[String]),
        device: Option<&Device>,
        now: Timestamp,
    ) -> bool {
        let set = match self.answers.get(action) {
            Some(Answer::Always) => return true,
            Some(Answer::Never) | None => return false,
            Some(Answer::Ask(set)) => set,
        };
        let Some(uid) = catalogue.uid(action) else {
            return false;
        };
        match self.ask(set, uid, (account, teams), device, Circumstances::at(now)) {
            Ok(allowed) => allowed,
            Err(problem) => {
                tracing::error!(%problem, "Cedar could not be asked about a role");
                false
            }
        }
    }

    fn ask(
        &self,
        set: &PolicySet,
        action: &EntityUid,
        (account, teams): (&str, &[String]),
        device: Option<&Device>,
        now: Circumstances,
    ) -> Result<bool, RoleProblem> {
        let uid = |kind: &EntityTypeName, id: &str| {
            EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
        };
        let of = |error: &dyn std::fmt::Display| RoleProblem::of(error);
        let principal = uid(&self.types.account, account);
        let teams = teams.iter().map(|team| uid(&self.types.team, team));
        let parents: HashSet<EntityUid> = teams.chain([self.role.clone()]).collect();
        let principal_entity = Entity::new_no_attrs(principal.clone(), parents);
        let (resource, resource_entity) = match device {
            Some(device) => {
                let resource = uid(&self.types.device, device.id.as_str());
                let entity = device_entity(resource.clone(), device)?;
                (resource, entity)
            }
            None => {
                let resource = uid(&self.types.server, "server");
                let entity = Entity::new_no_attrs(resource.clone(), HashSet::new());
                (resource, entity)
            }
        };
        let entities = Entities::from_entities([principal_entity, resource_entity], None)
            .map_err(|error| of(&error))?;
        let context = [("hour", now.hour), ("weekday", now.weekday)]
            .map(|(name, value)| (name.to_owned(), RestrictedExpression::new_long(value)));
        let context = Context::from_pairs(context).map_err(|error| of(&error))?;
        let request = Request::new(principal, action.clone(), resource, context, None)
            .map_err(|error| of(&error))?;
        let answer = Authorizer::new().is_authorized(&request, set, &entities);
        // A policy that fails to evaluate is skipped by Cedar; one that forbids must not be.
        let failed = answer.diagnostics().errors().next().is_some();
        Ok(answer.decision() == Decision::Allow && !failed)
    }
}

fn device_entity(uid: EntityUid, device: &Device) -> Result<Entity, RoleProblem> {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let posture = &device.posture;
    let attributes = [
        ("product", text(device.product.as_str())),
        ("segment", text(posture.segment.as_str())),
        ("lifecycle", text(posture.lifecycle.as_str())),
        (
            "trust",
            RestrictedExpression::new_long(i64::from(posture.trust.value())),
        ),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    let tags = device.labels.iter();
    let tags = tags.map(|(key, value)| (key.to_string(), text(value)));
    Entity::new_with_tags(uid, attributes, HashSet::new(), tags)
        .map_err(|error| RoleProblem::of(&error))
}

/// The scopes that policies name and no action belongs to.
fn idle_scopes_of(set: &PolicySet, catalogue: &Catalogue) -> Vec<&'static str> {
    let names = |policy: &Policy, uid: &EntityUid| match policy.action_constraint() {
        ActionConstraint::Any => false,
        ActionConstraint::Eq(named) => named == *uid,
        ActionConstraint::In(named) => named.contains(uid),
    };
    let is_named = |uid: &EntityUid| set.policies().any(|policy| names(policy, uid));
    let idle = catalogue.idle_scopes().filter(|(_, uid)| is_named(uid));
    idle.map(|(scope, _)| scope).collect()
}

fn answer(
    set: &PolicySet,
    names: [Option<&EntityUid>; 2],
    who: (&Types, &EntityUid),
    resource: &EntityTypeName,
) -> Result<Answer, RoleProblem> {
    let mut concerned = PolicySet::new();
    let (mut always, mut sometimes, mut forbids) = (false, false, None);
    for policy in set.policies() {
        let Some(certain) = applies(policy, names, who, resource) else {
            continue;
        };
        concerned
            .add(policy.clone())
            .map_err(|error| RoleProblem::of(&error))?;
        match (policy.effect(), certain) {
            (Effect::Permit, true) => always = true,
            (Effect::Permit, false) => sometimes = true,
            (Effect::Forbid, certain) => forbids = Some(forbids.unwrap_or(false) || certain),
        }
    }
    Ok(match (always || sometimes, forbids) {
        (false, _) | (_, Some(true)) => Answer::Never,
        (true, None) if always => Answer::Always,
        (true, _) => Answer::Ask(Box::new(concerned)),
    })
}

/// Whether a policy is about an action at all, and then whether it applies whatever is looked at.
fn applies(
    policy: &Policy,
    names: [Option<&EntityUid>; 2],
    (types, role): (&Types, &EntityUid),
    resource: &EntityTypeName,
) -> Option<bool> {
    let is_named = |uid: &EntityUid| names.contains(&Some(uid));
    let concerns = match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => names.first() == Some(&Some(&uid)),
        ActionConstraint::In(uids) => uids.iter().any(is_named),
    };
    if !concerns {
        return None;
    }
    let of_whoever = match policy.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Is(kind) => kind == types.account,
        PrincipalConstraint::In(parent) | PrincipalConstraint::IsIn(_, parent) => parent == *role,
        PrincipalConstraint::Eq(_) => false,
    };
    let on_whatever = match policy.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::Is(kind) if kind == *resource => true,
        // It is about the other kind of resource.
        ResourceConstraint::Is(_) => return None,
        _ => false,
    };
    Some(of_whoever && on_whatever && !policy.has_non_scope_constraint())
}
