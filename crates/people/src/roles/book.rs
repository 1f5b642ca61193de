//! All roles that there are: those that ship, those in files, and those that people wrote by REST.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arc_swap::ArcSwapOption;
use palisade_core::Timestamp;
use palisade_store::{Account, RoleRecord, StoreError};

use super::{
    catalogue::Catalogue,
    compiled::Compiled,
    directory::Directory,
    standing::Standing,
    text::{MAX_TEXT, RoleProblem, RoleText, compile},
};
use crate::{People, Role};

/// The roles that ship.
const SHIPPED: [(Role, &str); 6] = [
    (Role::Owner, include_str!("../../../../roles/owner.cedar")),
    (
        Role::SecurityAnalyst,
        include_str!("../../../../roles/security-analyst.cedar"),
    ),
    (
        Role::Operator,
        include_str!("../../../../roles/operator.cedar"),
    ),
    (
        Role::ReleaseManager,
        include_str!("../../../../roles/release-manager.cedar"),
    ),
    (
        Role::Auditor,
        include_str!("../../../../roles/auditor.cedar"),
    ),
    (
        Role::Technician,
        include_str!("../../../../roles/technician.cedar"),
    ),
];
/// The most files of roles that are read.
const MAX_FILES: usize = 200;

/// A role as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleView {
    /// Its name, what it is for, its policies.
    pub text: RoleText,
    /// Whether it stands in a file of the data directory.
    pub in_file: bool,
    /// The actions that it may permit, by name.
    pub actions: Vec<&'static str>,
    /// How often it was written, and when and by whom last, if by REST.
    pub written: Option<(u64, Timestamp, String)>,
}

/// A role, ready to decide.
pub(super) struct Loaded {
    view: RoleView,
    pub(super) compiled: Compiled,
}

/// Why a role was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteRoleError {
    /// It is not what a role must be.
    #[error("the role is not valid")]
    Problems(Vec<RoleProblem>),
    /// It may do what its writer may not.
    #[error("nobody makes or changes a role that may do what they may not themselves: {}", .0.join(", "))]
    Beyond(Vec<&'static str>),
    /// It ships, or stands in a file.
    #[error(
        "role {0} ships or stands in a file and cannot be changed here: write one under another name"
    )]
    Fixed(Role),
    /// It is there already, was changed meanwhile, or there are too many.
    #[error(
        "role {0} exists already, was changed meanwhile, or there are 200 roles: look and try again"
    )]
    Changed(Role),
    /// There is none.
    #[error("role {0} does not exist")]
    Unknown(Role),
    /// Somebody has it.
    #[error("role {0} is held by {1}: take it away there first")]
    Held(Role, String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads roles and holds them ready.
pub struct RoleBook {
    catalogue: Arc<Catalogue>,
    fixed: Vec<Arc<Loaded>>,
    current: ArcSwapOption<Roles>,
}

/// All roles at a time.
pub struct Roles {
    catalogue: Arc<Catalogue>,
    directory: Arc<Directory>,
    by_name: BTreeMap<String, Arc<Loaded>>,
}

impl RoleBook {
    /// The roles that ship, and those of files. A file that cannot be read gives nobody anything: it is named
    /// in the log, and there is no such role.
    ///
    /// # Errors
    /// When a role that ships cannot be read.
    pub fn new(catalogue: Catalogue, files: &[RoleText]) -> Result<Self, RoleProblem> {
        let mut fixed = Vec::new();
        for (role, cedar) in SHIPPED {
            let text = RoleText {
                role,
                description: first_comment(cedar),
                cedar: cedar.to_owned(),
            };
            let loaded = Loaded::new(text, false, None, &catalogue).map_err(|mut problems| {
                problems
                    .pop()
                    .unwrap_or_else(|| RoleProblem::of(&"no reason"))
            })?;
            fixed.push(Arc::new(loaded));
        }
        for text in files {
            match Loaded::new(text.clone(), true, None, &catalogue) {
                Ok(loaded) => fixed.push(Arc::new(loaded)),
                Err(problems) => {
                    for problem in problems {
                        tracing::error!(%problem, role = %text.role, "the file of a role cannot be used");
                    }
                }
            }
        }
        Ok(Self {
            catalogue: Arc::new(catalogue),
            fixed,
            current: ArcSwapOption::empty(),
        })
    }

    fn roles(&self, directory: Arc<Directory>) -> Arc<Roles> {
        let before = self.current.load_full();
        if let Some(current) = &before
            && current.directory.epoch == directory.epoch
        {
            return current.clone();
        }
        let mut by_name: BTreeMap<String, Arc<Loaded>> = BTreeMap::new();
        for record in &directory.roles {
            let known = before
                .as_ref()
                .and_then(|roles| roles.by_name.get(&record.name))
                .filter(|loaded| loaded.is_of(record));
            let loaded = known.cloned().or_else(|| self.load(record));
            if let Some(loaded) = loaded {
                by_name.insert(record.name.clone(), loaded);
            }
        }
        for fixed in &self.fixed {
            by_name.insert(fixed.view.text.role.to_string(), fixed.clone());
        }
        let roles = Arc::new(Roles {
            catalogue: self.catalogue.clone(),
            directory,
            by_name,
        });
        self.current.store(Some(roles.clone()));
        roles
    }

    fn load(&self, record: &RoleRecord) -> Option<Arc<Loaded>> {
        let text = RoleText {
            role: Role::parse(&record.name)?,
            description: record.description.clone(),
            cedar: record.cedar.clone(),
        };
        let written = (record.version, record.changed_at, record.changed_by.clone());
        match Loaded::new(text, false, Some(written), &self.catalogue) {
            Ok(loaded) => Some(Arc::new(loaded)),
            Err(problems) => {
                for problem in problems {
                    tracing::error!(%problem, role = %record.name, "a role cannot be used any more");
                }
                None
            }
        }
    }
}

impl Loaded {
    fn new(
        text: RoleText,
        in_file: bool,
        written: Option<(u64, Timestamp, String)>,
        catalogue: &Catalogue,
    ) -> Result<Self, Vec<RoleProblem>> {
        let compiled = compile(&text, catalogue)?;
        let actions = catalogue.actions().iter().enumerate();
        let actions = actions
            .filter(|(index, _)| compiled.ever(*index))
            .map(|(_, action)| action.name)
            .collect();
        Ok(Self {
            view: RoleView {
                text,
                in_file,
                actions,
                written,
            },
            compiled,
        })
    }

    fn is_of(&self, record: &RoleRecord) -> bool {
        let written = self.view.written.as_ref();
        written
            .is_some_and(|(version, at, _)| *version == record.version && *at == record.changed_at)
    }
}

impl Roles {
    /// All of them, by name.
    pub fn list(&self) -> impl Iterator<Item = &RoleView> {
        self.by_name.values().map(|loaded| &loaded.view)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, role: &Role) -> Option<&RoleView> {
        self.by_name.get(role.as_str()).map(|loaded| &loaded.view)
    }

    /// The actions that there are.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Who is in which team, and what accounts are.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What an account may do at a time.
    #[must_use]
    pub fn standing(&self, account: &Account, now: Timestamp) -> Standing {
        let held = self.directory.held_by(account, now).into_iter();
        let assignments = held.map(|held| {
            let role = self.by_name.get(held.role.as_str()).cloned();
            (held, role)
        });
        let who = (account.name.clone(), self.directory.teams_of(&account.name));
        Standing::new(self.catalogue.clone(), who, assignments.collect(), now)
    }
}

impl People {
    /// Tells what actions there are; only the first who does is heard. Before that nobody may do anything.
    ///
    /// # Errors
    /// When a role that ships cannot be read against them.
    pub fn know_actions(&self, catalogue: Catalogue) -> Result<(), RoleProblem> {
        for act in self.four_eyes() {
            if catalogue.index_of(act).is_none() {
                tracing::error!(
                    act,
                    "accounts.four_eyes names an act that there is not: nothing waits for it"
                );
            }
        }
        let book = RoleBook::new(catalogue, &self.role_files)?;
        let _ = self.book.set(book);
        Ok(())
    }

    /// All roles as they are now, and who has them.
    ///
    /// # Errors
    /// When the database fails, or it was not yet said what actions there are.
    pub async fn roles(&self) -> Result<Arc<Roles>, StoreError> {
        let directory = self.directory.get(&self.ground.store).await?;
        match self.book.get() {
            Some(book) => Ok(book.roles(directory)),
            None => {
                let empty = Catalogue::new(Vec::new(), [])
                    .map_err(|error| StoreError::corrupt("roles", error))?;
                Ok(Arc::new(Roles {
                    catalogue: Arc::new(empty),
                    directory,
                    by_name: BTreeMap::new(),
                }))
            }
        }
    }

    /// Writes a role: a new one, or a new version of one. `may` says what its writer may do everywhere.
    ///
    /// # Errors
    /// When it is not valid, may do what its writer may not, or cannot be written.
    pub async fn write_role(
        &self,
        text: RoleText,
        is_new: bool,
        writer: &str,
        may: impl Fn(&str) -> bool,
    ) -> Result<RoleView, WriteRoleError> {
        let roles = self.roles().await?;
        let role = text.role.clone();
        let before = roles.get(&role);
        let version = match before {
            Some(RoleView { written: None, .. }) => return Err(WriteRoleError::Fixed(role)),
            Some(_) if is_new => return Err(WriteRoleError::Changed(role)),
            None if role.is_shipped() => return Err(WriteRoleError::Fixed(role)),
            None if !is_new => return Err(WriteRoleError::Unknown(role)),
            Some(RoleView { written, .. }) => written.as_ref().map(|(version, ..)| *version),
            None => None,
        };
        let loaded = Loaded::new(text, false, None, roles.catalogue());
        let view = loaded.map_err(WriteRoleError::Problems)?.view;
        let of_before = before.into_iter().flat_map(|before| &before.actions);
        let mut beyond: Vec<&str> = view.actions.iter().chain(of_before).copied().collect();
        beyond.retain(|action| !may(action));
        beyond.dedup();
        if !beyond.is_empty() {
            beyond.truncate(20);
            return Err(WriteRoleError::Beyond(beyond));
        }
        let record = RoleRecord {
            name: role.to_string(),
            description: view.text.description.clone(),
            cedar: view.text.cedar.clone(),
            version: 0,
            changed_at: self.ground.clock.now(),
            changed_by: writer.to_owned(),
        };
        let done = self.ground.store.roles().put(&record, version).await;
        self.directory.changed();
        match done? {
            true => {
                let roles = self.roles().await?;
                roles
                    .get(&role)
                    .cloned()
                    .ok_or(WriteRoleError::Unknown(role))
            }
            false => Err(WriteRoleError::Changed(role)),
        }
    }

    /// Removes a role that nobody has. `may` says what whoever removes it may do everywhere.
    ///
    /// # Errors
    /// When there is none, it ships, somebody has it, or the database fails.
    pub async fn remove_role(
        &self,
        role: &Role,
        may: impl Fn(&str) -> bool,
    ) -> Result<(), WriteRoleError> {
        let roles = self.roles().await?;
        let view = roles
            .get(role)
            .ok_or_else(|| WriteRoleError::Unknown(role.clone()))?;
        if view.written.is_none() {
            return Err(WriteRoleError::Fixed(role.clone()));
        }
        let beyond: Vec<&str> = view
            .actions
            .iter()
            .filter(|action| !may(action))
            .copied()
            .collect();
        if !beyond.is_empty() {
            return Err(WriteRoleError::Beyond(beyond));
        }
        if let Some(holder) = self.holder_of(&roles, role).await? {
            return Err(WriteRoleError::Held(role.clone(), holder));
        }
        let done = self.ground.store.roles().remove(role.as_str()).await;
        self.directory.changed();
        match done? {
            true => Ok(()),
            false => Err(WriteRoleError::Unknown(role.clone())),
        }
    }

    async fn holder_of(&self, roles: &Roles, role: &Role) -> Result<Option<String>, StoreError> {
        for account in self.ground.store.accounts().list().await? {
            let directory = roles.directory();
            let mut names = directory
                .assigned(&account.name)
                .into_iter()
                .map(|one| one.role);
            if account.roles.iter().any(|name| name == role.as_str())
                || names.any(|name| name == role.as_str())
            {
                return Ok(Some(format!("account {}", account.name)));
            }
        }
        let mut teams = roles.directory().teams.iter();
        let team = teams.find(|team| team.assignments.iter().any(|one| one.role == role.as_str()));
        Ok(team.map(|team| format!("team {}", team.name)))
    }
}

/// What people read of a role in a file: its first comment.
fn first_comment(cedar: &str) -> String {
    let lines = cedar.lines().map_while(|line| line.strip_prefix("//"));
    let text: Vec<&str> = lines.map(str::trim).collect();
    text.join(" ").chars().take(500).collect()
}

/// Reads the files of roles in a directory (`<name>.cedar`), where there is one. What is no role is named in
/// the log and passed over.
pub(crate) fn read_files(directory: &Path) -> Vec<RoleText> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "cedar"));
    paths.sort();
    let mut found = Vec::new();
    for path in paths.into_iter().take(MAX_FILES) {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let role = name.and_then(Role::parse).filter(|role| !role.is_shipped());
        let is_small = std::fs::metadata(&path).is_ok_and(|file| file.len() <= MAX_TEXT as u64);
        let cedar = is_small
            .then(|| std::fs::read_to_string(&path).ok())
            .flatten();
        match (role, cedar) {
            (Some(role), Some(cedar)) => found.push(RoleText {
                role,
                description: first_comment(&cedar),
                cedar,
            }),
            _ => tracing::error!(
                path = %path.display(),
                "the file of a role cannot be used: its name must be that of a role that does not ship, and it \
                 has at most 32 KiB"
            ),
        }
    }
    found
}
