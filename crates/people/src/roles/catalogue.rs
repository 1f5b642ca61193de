//! The actions that roles are about, and the Cedar schema that is made of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};

use super::text::RoleProblem;

/// Something that can be done at the REST door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionInfo {
    /// Its name (`device.quarantine`).
    pub name: &'static str,
    /// The scope that it belongs to (`devices:write`).
    pub scope: &'static str,
    /// What it does, for people.
    pub about: String,
    /// Whether it is done on one device, which the request names.
    pub on_device: bool,
}

/// All actions, in the order of their names.
pub struct Catalogue {
    actions: Vec<ActionInfo>,
    uids: Vec<EntityUid>,
    /// All that there are, those of no action as well.
    scopes: BTreeMap<&'static str, EntityUid>,
    schema: Schema,
    text: String,
}

/// The types of Cedar's entities.
pub(super) struct Types {
    pub(super) account: EntityTypeName,
    pub(super) role: EntityTypeName,
    pub(super) team: EntityTypeName,
    pub(super) device: EntityTypeName,
    pub(super) server: EntityTypeName,
}

impl Types {
    pub(super) fn new() -> Result<Self, RoleProblem> {
        Ok(Self {
            account: type_name("Account")?,
            role: type_name("Role")?,
            team: type_name("Team")?,
            device: type_name("Device")?,
            server: type_name("Server")?,
        })
    }
}

fn type_name(text: &str) -> Result<EntityTypeName, RoleProblem> {
    text.parse().map_err(|error| RoleProblem::of(&error))
}

impl Catalogue {
    /// Reads a list of actions, and one of scopes: a role may name one that no action belongs to any more.
    ///
    /// # Errors
    /// When Cedar takes a name for none.
    pub fn new(
        mut actions: Vec<ActionInfo>,
        scopes: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, RoleProblem> {
        actions.sort_by_key(|action| action.name);
        actions.dedup_by_key(|action| action.name);
        let of_actions = actions.iter().map(|action| action.scope);
        let scopes: BTreeSet<&'static str> = of_actions.chain(scopes).collect();
        let text = schema_of(&actions, &scopes);
        let (schema, _) =
            Schema::from_cedarschema_str(&text).map_err(|error| RoleProblem::of(&error))?;
        let action_type = type_name("Action")?;
        let uid =
            |name: &str| EntityUid::from_type_name_and_id(action_type.clone(), EntityId::new(name));
        Ok(Self {
            uids: actions.iter().map(|action| uid(action.name)).collect(),
            scopes: scopes
                .into_iter()
                .map(|scope| (scope, uid(scope)))
                .collect(),
            actions,
            schema,
            text,
        })
    }

    /// The actions.
    #[must_use]
    pub fn actions(&self) -> &[ActionInfo] {
        &self.actions
    }

    /// The Cedar schema that roles are checked against.
    #[must_use]
    pub fn schema_text(&self) -> &str {
        &self.text
    }

    /// Where an action stands in the list.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let find = self
            .actions
            .binary_search_by(|action| action.name.cmp(name));
        find.ok()
    }

    /// The scopes that no action belongs to.
    pub(super) fn idle_scopes(&self) -> impl Iterator<Item = (&'static str, &EntityUid)> {
        let is_idle = |scope: &&str| !self.actions.iter().any(|action| action.scope == *scope);
        let scopes = self.scopes.iter().map(|(scope, uid)| (*scope, uid));
        scopes.filter(move |(scope, _)| is_idle(scope))
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(super) fn uid(&self, index: usize) -> Option<&EntityUid> {
        self.uids.get(index)
    }

    /// The action's own name, and that of the group of its scope.
    pub(super) fn names_of(&self, index: usize) -> [Option<&EntityUid>; 2] {
        let scope = self.actions.get(index).map(|action| action.scope);
        [
            self.uid(index),
            scope.and_then(|scope| self.scopes.get(scope)),
        ]
    }
}

fn schema_of(actions: &[ActionInfo], scopes: &BTreeSet<&str>) -> String {
    let mut text = String::from(
        "// Who asks: an account, which is in the role whose policies are looked at, and in its teams.\n\
         entity Role;\nentity Team;\nentity Account in [Role, Team];\n\
         // What is worked on: one device, where the request names one, else the server.\n\
         entity Server;\n\
         entity Device {\n  product: String,\n  segment: String,\n  lifecycle: String,\n  trust: Long\n} \
         tags String;\n\
         // The hour (0 to 23) and the day of the week (Monday is 1), in UTC.\n\
         type Circumstances = { hour: Long, weekday: Long };\n\n\
         // A scope is the group of its actions.\n",
    );
    for scope in scopes {
        let _ = writeln!(text, "action {scope:?};");
    }
    text.push('\n');
    for action in actions {
        let resource = if action.on_device { "Device" } else { "Server" };
        let _ = writeln!(
            text,
            "action {:?} in [{:?}] appliesTo {{ principal: [Account], resource: [{resource}], context: \
             Circumstances }};",
            action.name, action.scope
        );
    }
    text
}
