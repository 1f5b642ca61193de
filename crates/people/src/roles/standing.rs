//! What an account may do at a time: what any of its assignments allows, where it is bound to.

use std::{collections::BTreeSet, sync::Arc};

use palisade_core::{Device, Timestamp};
use palisade_store::Bounds;

use super::{
    book::Loaded,
    catalogue::Catalogue,
    directory::{Held, Via},
    mask::Mask,
};
use crate::Role;

/// Where an account may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Nowhere, whatever the device.
    Nowhere,
    /// On some devices, or at some times.
    Somewhere,
    /// Everywhere.
    Everywhere,
}

/// On what something is to be done.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// On the server as a whole.
    Server,
    /// On a device.
    Device(&'a Device),
    /// On nothing that bounds could be about: whoever has the role anywhere may.
    Anywhere,
}

/// What an account may do at a time.
#[derive(Clone)]
pub struct Standing {
    catalogue: Arc<Catalogue>,
    account: String,
    teams: Vec<String>,
    now: Timestamp,
    assignments: Vec<(Held, Option<Arc<Loaded>>)>,
}

impl Standing {
    pub(super) fn new(
        catalogue: Arc<Catalogue>,
        (account, teams): (String, Vec<String>),
        assignments: Vec<(Held, Option<Arc<Loaded>>)>,
        now: Timestamp,
    ) -> Self {
        Self {
            catalogue,
            account,
            teams,
            now,
            assignments,
        }
    }

    /// The actions that there are.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The roles that count now, and where.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.assignments.iter().map(|(held, _)| held)
    }

    /// The names of the roles that count now.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let names: BTreeSet<Role> = self.held().map(|held| held.role.clone()).collect();
        names.into_iter().collect()
    }

    /// How far an action reaches, by its place in the catalogue.
    #[must_use]
    pub fn reach(&self, action: usize) -> Reach {
        let mut reach = Reach::Nowhere;
        let roles = self
            .assignments
            .iter()
            .filter_map(|(_, role)| role.as_ref());
        let is_masked = roles.into_iter().any(|role| role.compiled.masks(action));
        for (held, role) in &self.assignments {
            let Some(role) = role else { continue };
            let counts = !is_masked || is_elevation(held);
            if held.bounds.is_none() && role.compiled.always(action) && counts {
                return Reach::Everywhere;
            }
            if role.compiled.ever(action) {
                reach = Reach::Somewhere;
            }
        }
        reach
    }

    /// Whether an action may be done at a place.
    #[must_use]
    pub fn may(&self, action: usize, place: Place<'_>) -> bool {
        self.permit(action, place).is_some()
    }

    /// Whether an action may be done at a place, and then what is hidden of what it shows: all that any role hides that
    /// lets it happen. A role that was approved for a time and hides nothing shows all.
    #[must_use]
    pub fn permit(&self, action: usize, place: Place<'_>) -> Option<Mask> {
        let mut hidden: Option<Mask> = None;
        for (held, role) in &self.assignments {
            let (is_within, device) = match (place, &held.bounds) {
                (Place::Device(device), Some(bounds)) => (bounds.hold(device), Some(device)),
                (Place::Device(device), None) => (true, Some(device)),
                (Place::Server, bounds) => (bounds.is_none(), None),
                (Place::Anywhere, _) => (true, None),
            };
            if !is_within {
                continue;
            }
            let Some(mask) = self.permits(role.as_deref(), action, device) else {
                continue;
            };
            if mask.is_empty() && is_elevation(held) {
                return Some(mask);
            }
            hidden.get_or_insert_default().add(&mask);
        }
        hidden
    }

    /// Within which bounds a list may be read; none stands for everywhere, no bounds at all for nowhere.
    #[must_use]
    pub fn within(&self, action: usize) -> Option<Vec<Bounds>> {
        let mut all = Vec::new();
        for (held, role) in &self.assignments {
            if self.permits(role.as_deref(), action, None).is_some() {
                all.push(held.bounds.clone()?);
            }
        }
        Some(all)
    }

    /// The scopes of which every action may be done everywhere; `*` where all of all may.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        self.scopes_that(|reach| reach == Reach::Everywhere)
    }

    /// The scopes of which every action may be done somewhere.
    #[must_use]
    pub fn scopes_somewhere(&self) -> Vec<String> {
        self.scopes_that(|reach| reach != Reach::Nowhere)
    }

    /// The actions that may be done somewhere.
    #[must_use]
    pub fn actions(&self) -> Vec<&'static str> {
        let actions = self.catalogue.actions().iter().enumerate();
        actions
            .filter(|(index, _)| self.reach(*index) != Reach::Nowhere)
            .map(|(_, action)| action.name)
            .collect()
    }

    fn scopes_that(&self, is_enough: impl Fn(Reach) -> bool) -> Vec<String> {
        let (mut has, mut lacks) = (BTreeSet::new(), BTreeSet::new());
        for (index, action) in self.catalogue.actions().iter().enumerate() {
            match is_enough(self.reach(index)) {
                true => has.insert(action.scope),
                false => lacks.insert(action.scope),
            };
        }
        if lacks.is_empty() && !has.is_empty() {
            return vec!["*".to_owned()];
        }
        has.difference(&lacks)
            .map(|scope| (*scope).to_owned())
            .collect()
    }

    fn permits(
        &self,
        role: Option<&Loaded>,
        action: usize,
        device: Option<&Device>,
    ) -> Option<Mask> {
        let who = (self.account.as_str(), self.teams.as_slice());
        let compiled = &role?.compiled;
        compiled.permits(&self.catalogue, action, who, device, self.now)
    }
}

fn is_elevation(held: &Held) -> bool {
    matches!(held.via, Via::Elevation(_))
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standing")
            .field("account", &self.account)
            .field("roles", &self.roles())
            .finish_non_exhaustive()
    }
}
