//! Who is what: read from the database once after each change, and held in memory.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use palisade_core::Timestamp;
use palisade_store::{Account, Bounds, RoleAssignment, RoleRecord, Store, StoreError, Team};

use crate::Role;

/// How somebody came to a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// It was given to the account.
    Account,
    /// It was given to this team, which the account is in.
    Team(String),
    /// It was asked for and approved under this name, for a time.
    Elevation(String),
}

/// A role that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub role: Role,
    /// On which devices; everywhere if nothing is said.
    pub bounds: Option<Bounds>,
    /// Until when; for good if nothing is said.
    pub until: Option<Timestamp>,
    /// How they came to it.
    pub via: Via,
}

/// What is known of roles, teams and assignments at a time.
pub struct Directory {
    pub(super) epoch: u64,
    pub(super) roles: Vec<RoleRecord>,
    /// The teams.
    pub teams: Vec<Team>,
    held: HashMap<String, Vec<Held>>,
}

impl Directory {
    /// What an account is at a time.
    #[must_use]
    pub fn held_by(&self, account: &Account, now: Timestamp) -> Vec<Held> {
        let plain = account.roles.iter().filter_map(|name| Role::parse(name));
        let plain = plain.map(|role| Held {
            role,
            bounds: None,
            until: None,
            via: Via::Account,
        });
        let besides = self.held.get(&account.name).into_iter().flatten();
        let besides = besides.filter(|held| held.until.is_none_or(|until| until > now));
        plain.chain(besides.cloned()).collect()
    }

    /// What was assigned to an account itself besides its plain roles, over or not.
    #[must_use]
    pub fn assigned(&self, account: &str) -> Vec<RoleAssignment> {
        let held = self.held.get(account).into_iter().flatten();
        let own = held.filter(|held| held.via == Via::Account);
        own.map(|held| RoleAssignment {
            role: held.role.to_string(),
            bounds: held.bounds.clone(),
            until: held.until,
        })
        .collect()
    }

    /// The teams that an account is in.
    #[must_use]
    pub fn teams_of(&self, account: &str) -> Vec<String> {
        let is_in = |team: &&Team| team.members.iter().any(|member| member == account);
        let teams = self.teams.iter().filter(is_in);
        teams.map(|team| team.name.clone()).collect()
    }
}

/// The newest directory, read again after each change.
#[derive(Default)]
pub(crate) struct Newest {
    epoch: AtomicU64,
    current: ArcSwapOption<Directory>,
    reading: tokio::sync::Mutex<()>,
}

impl Newest {
    /// Says that something was changed: whoever asks from now on sees it.
    pub(crate) fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) async fn get(&self, store: &Store) -> Result<Arc<Directory>, StoreError> {
        if let Some(current) = self.valid() {
            return Ok(current);
        }
        let _one_reads = self.reading.lock().await;
        if let Some(current) = self.valid() {
            return Ok(current);
        }
        // A change while it is read makes it one of the past, which the next who asks sees by its epoch.
        let epoch = self.epoch.load(Ordering::SeqCst);
        let directory = Arc::new(read(store, epoch).await?);
        self.current.store(Some(directory.clone()));
        Ok(directory)
    }

    fn valid(&self) -> Option<Arc<Directory>> {
        let current = self.current.load_full()?;
        (current.epoch == self.epoch.load(Ordering::SeqCst)).then_some(current)
    }
}

async fn read(store: &Store, epoch: u64) -> Result<Directory, StoreError> {
    let mut held: HashMap<String, Vec<Held>> = HashMap::new();
    let of = |assignment: &RoleAssignment, via: Via| {
        Role::parse(&assignment.role).map(|role| Held {
            role,
            bounds: assignment.bounds.clone(),
            until: assignment.until,
            via,
        })
    };
    for (account, assignments) in store.roles().assignments().await? {
        let assignments = assignments.iter().filter_map(|one| of(one, Via::Account));
        held.entry(account).or_default().extend(assignments);
    }
    let teams = store.teams().list().await?;
    for team in &teams {
        for member in &team.members {
            let via = || Via::Team(team.name.clone());
            let assignments = team.assignments.iter().filter_map(|one| of(one, via()));
            held.entry(member.clone()).or_default().extend(assignments);
        }
    }
    for one in store.approvals().elevations().await? {
        let (Some(role), Some(until), true) =
            (Role::parse(&one.role), one.ends_at, one.state == "approved")
        else {
            continue;
        };
        held.entry(one.account).or_default().push(Held {
            role,
            bounds: None,
            until: Some(until),
            via: Via::Elevation(one.id.to_string()),
        });
    }
    Ok(Directory {
        epoch,
        roles: store.roles().list().await?,
        teams,
        held,
    })
}
