//! A role that was read. What its policies say of an action without looking at anything is found once, when
//! the role is read; Cedar is asked at a request only where a policy looks at the device or the time.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, Entity, EntityId,
    EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, Request,
    ResourceConstraint, RestrictedExpression,
};
use palisade_core::{Device, Timestamp};

use super::{
    catalogue::{Catalogue, Types},
    mask::Mask,
    text::RoleProblem,
};
use crate::Role;

/// The annotation that says what a policy hides of what it lets somebody read.
pub(super) const MASK: &str = "mask";

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
    masks: HashMap<PolicyId, Mask>,
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
        let masks = masks_of(set)?;
        let mut answers = Vec::with_capacity(catalogue.actions().len());
        for (index, action) in catalogue.actions().iter().enumerate() {
            let resource = if action.on_device {
                &types.device
            } else {
                &types.server
            };
            let names = catalogue.names_of(index);
            answers.push(answer((set, &masks), names, (&types, &role), resource)?);
        }
        Ok(Self {
            answers,
            masks,
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

    /// Whether it may hide something of what an action shows.
    pub(super) fn masks(&self, action: usize) -> bool {
        let Some(Answer::Ask(set)) = self.answers.get(action) else {
            return false;
        };
        set.policies()
            .any(|policy| self.masks.contains_key(policy.id()))
    }

    /// Whether it permits an action now, on a device where one is given, and then what it hides of it.
    pub(super) fn permits(
        &self,
        catalogue: &Catalogue,
        action: usize,
        (account, teams): (&str, &[String]),
        device: Option<&Device>,
        now: Timestamp,
    ) -> Option<Mask> {
        let set = match self.answers.get(action) {
            Some(Answer::Always) => return Some(Mask::default()),
            Some(Answer::Never) | None => return None,
            Some(Answer::Ask(set)) => set,
        };
        let [Some(uid), scope] = catalogue.names_of(action) else {
            return None;
        };
        match self.ask(
            set,
            (uid, scope),
            (account, teams),
            device,
            Circumstances::at(now),
        ) {
            Ok(permitted) => permitted,
            Err(problem) => {
                tracing::error!(%problem, "Cedar could not be asked about a role");
                None
            }
        }
    }

    fn ask(
        &self,
        set: &PolicySet,
        (action, scope): (&EntityUid, Option<&EntityUid>),
        (account, teams): (&str, &[String]),
        device: Option<&Device>,
        now: Circumstances,
    ) -> Result<Option<Mask>, RoleProblem> {
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
        // That an action is in its scope is known to Cedar from this alone.
        let scope = scope.cloned().into_iter().collect();
        let action_entity = Entity::new_no_attrs(action.clone(), scope);
        let entities = [principal_entity, action_entity, resource_entity];
        let entities = Entities::from_entities(entities, None).map_err(|error| of(&error))?;
        let context = [("hour", now.hour), ("weekday", now.weekday)]
            .map(|(name, value)| (name.to_owned(), RestrictedExpression::new_long(value)));
        let context = Context::from_pairs(context).map_err(|error| of(&error))?;
        let request = Request::new(principal, action.clone(), resource, context, None)
            .map_err(|error| of(&error))?;
        let answer = Authorizer::new().is_authorized(&request, set, &entities);
        // A policy that fails to evaluate is skipped by Cedar; one that forbids must not be.
        let failed = answer.diagnostics().errors().next().is_some();
        if answer.decision() != Decision::Allow || failed {
            return Ok(None);
        }
        // Each policy that lets it happen has its say in what is seen.
        let mut hidden = Mask::default();
        for mask in answer
            .diagnostics()
            .reason()
            .filter_map(|id| self.masks.get(id))
        {
            hidden.add(mask);
        }
        Ok(Some(hidden))
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

/// What each policy hides.
fn masks_of(set: &PolicySet) -> Result<HashMap<PolicyId, Mask>, RoleProblem> {
    let mut masks = HashMap::new();
    for policy in set.policies() {
        if let Some(text) = policy.annotation(MASK) {
            let mask = text.parse().map_err(|error| RoleProblem::of(&error))?;
            masks.insert(policy.id().clone(), mask);
        }
    }
    Ok(masks)
}

fn answer(
    (set, masks): (&PolicySet, &HashMap<PolicyId, Mask>),
    names: [Option<&EntityUid>; 2],
    who: (&Types, &EntityUid),
    resource: &EntityTypeName,
) -> Result<Answer, RoleProblem> {
    let mut concerned = PolicySet::new();
    let (mut always, mut sometimes, mut forbids, mut is_masked) = (false, false, None, false);
    for policy in set.policies() {
        let Some(certain) = applies(policy, names, who, resource) else {
            continue;
        };
        concerned
            .add(policy.clone())
            .map_err(|error| RoleProblem::of(&error))?;
        // What is hidden is found by asking.
        let certain = certain && !masks.contains_key(policy.id());
        is_masked |= masks.contains_key(policy.id());
        match (policy.effect(), certain) {
            (Effect::Permit, true) => always = true,
            (Effect::Permit, false) => sometimes = true,
            (Effect::Forbid, certain) => forbids = Some(forbids.unwrap_or(false) || certain),
        }
    }
    Ok(match (always || sometimes, forbids) {
        (false, _) | (_, Some(true)) => Answer::Never,
        (true, None) if always && !is_masked => Answer::Always,
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
