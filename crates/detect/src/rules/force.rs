//! The rules in force: how they are loaded, reloaded, and switched on and off.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use palisade_core::{Clock, Timestamp};
use palisade_store::{DetectorState, Store};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    EngineStats, Rule, RuleError, RuleFile, RuleSet, SigmaEngine, folder, replay::Replays, shipped,
};
use crate::DetectError;

/// How often the folder of own rules is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Before a rule's id in the store of switches.
const KEY: &str = "rule/";

/// The rules in force.
pub struct Rules {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    folder: Option<PathBuf>,
    force: RwLock<Force>,
    /// An engine for the rules in force, until the watcher takes it.
    engine: Mutex<Option<SigmaEngine>>,
    is_new: AtomicBool,
    fired: Mutex<HashMap<String, Fired>>,
    stats: Mutex<EngineStats>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    pub(super) replays: Replays,
}

#[derive(Clone)]
struct Force {
    files: Arc<[RuleFile]>,
    set: Arc<RuleSet>,
    off: HashSet<String>,
    loaded_at: Timestamp,
    /// Why a newer set is not in force.
    problem: Option<RuleError>,
}

/// How often a rule matched since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// How often.
    pub count: u64,
    /// When it last did.
    pub last: Option<Timestamp>,
}

/// What came into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Rules that speak.
    pub rules: usize,
    /// Files, shipped ones included.
    pub files: usize,
}

/// Why other rules did not come into force; those that were in force stay so.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// A rule is wrong.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The system of record failed.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The server is ending.
    #[error("rules could not be read: the server is ending")]
    Ending,
}

/// How rules stand.
#[derive(Debug, Clone, PartialEq)]
pub struct RulesStatus {
    /// Rules that speak and are on.
    pub enabled: usize,
    /// Rules that speak.
    pub rules: usize,
    /// When they came into force.
    pub loaded_at: Timestamp,
    /// Why a newer set did not.
    pub problem: Option<RuleError>,
    /// What is held and was let go.
    pub engine: EngineStats,
}

impl Rules {
    /// Loads the shipped rules, and the own ones in `folder`. Where an own rule is wrong, the shipped ones
    /// are in force alone, and the log and [`Rules::status`] say why.
    ///
    /// # Errors
    /// When the store cannot be read, or a shipped rule is wrong.
    pub async fn open(
        store: Store,
        clock: Arc<dyn Clock>,
        folder: Option<PathBuf>,
    ) -> Result<Arc<Self>, DetectError> {
        let off = switched_off(&store).await?;
        let files: Arc<[RuleFile]> = shipped().into();
        let set = Arc::new(RuleSet::read(&files, |id| !off.contains(id))?);
        let engine = set.engine();
        let force = Force {
            files,
            set,
            off,
            loaded_at: clock.now(),
            problem: None,
        };
        let rules = Arc::new(Self {
            store,
            clock,
            folder,
            force: RwLock::new(force),
            engine: Mutex::new(Some(engine)),
            is_new: AtomicBool::new(true),
            fired: Mutex::default(),
            stats: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            replays: Replays::default(),
        });
        if rules.folder.is_some() {
            match rules.reload().await {
                Ok(_) | Err(ReloadError::Rule(_)) => {}
                Err(ReloadError::Detect(error)) => return Err(error),
                Err(ReloadError::Ending) => {}
            }
        }
        Ok(rules)
    }

    /// The rules in force.
    #[must_use]
    pub fn set(&self) -> Arc<RuleSet> {
        self.force.read().set.clone()
    }

    /// A rule in force, by its id; one that only serves correlations is not among them.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Rule> {
        let set = self.set();
        let mut speaking = set.rules().iter().filter(|rule| rule.speaks);
        speaking.find(|rule| rule.id == id).cloned()
    }

    /// How often a rule matched since the server started.
    #[must_use]
    pub fn fired(&self, id: &str) -> Fired {
        self.fired.lock().get(id).copied().unwrap_or_default()
    }

    /// How rules stand.
    #[must_use]
    pub fn status(&self) -> RulesStatus {
        let force = self.force.read();
        let rules = force.set.rules();
        RulesStatus {
            enabled: rules.iter().filter(|rule| rule.is_told()).count(),
            rules: rules.iter().filter(|rule| rule.speaks).count(),
            loaded_at: force.loaded_at,
            problem: force.problem.clone(),
            engine: *self.stats.lock(),
        }
    }

    /// Reads the folder of own rules again. All of it comes into force, or nothing.
    ///
    /// # Errors
    /// When a rule is wrong, or the folder cannot be read. The rules in force stay so.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _one = self.changing.lock().await;
        let off = switched_off(&self.store).await?;
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut files = shipped();
            if let Some(folder) = &folder {
                files.extend(folder::read(folder)?);
            }
            compile(files.into(), off)
        });
        let read = read.await.map_err(|_| ReloadError::Ending)?;
        self.take(read)
    }

    /// Switches a rule; `None` where there is none of this id. It is in force when this returns.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn switch(
        &self,
        id: &str,
        enabled: bool,
        by: &str,
    ) -> Result<Option<Rule>, ReloadError> {
        let _one = self.changing.lock().await;
        if self.find(id).is_none() {
            return Ok(None);
        }
        let state = DetectorState {
            detector: format!("{KEY}{id}"),
            enabled,
            changed_by: by.to_owned(),
            changed_at: self.clock.now(),
        };
        let switched = self.store.detectors().switch(&state).await;
        switched.map_err(DetectError::from)?;
        let Force { files, mut off, .. } = self.force.read().clone();
        match enabled {
            true => off.remove(id),
            false => off.insert(id.to_owned()),
        };
        let read = tokio::task::spawn_blocking(move || compile(files, off)).await;
        self.take(read.map_err(|_| ReloadError::Ending)?)?;
        Ok(self.find(id))
    }

    /// Looks at the folder of own rules every other second, until `cancel`.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let Some(folder) = self.folder.clone() else {
            cancel.cancelled().await;
            return;
        };
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut known = None;
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            let folder = folder.clone();
            let now = tokio::task::spawn_blocking(move || folder::fingerprint(&folder));
            let Ok(now) = now.await else {
                return;
            };
            let before = known.replace(now);
            if before.is_none_or(|before| before == now) {
                continue;
            }
            if let Err(ReloadError::Detect(error)) = self.reload().await {
                tracing::warn!(%error, "the folder of rules changed, and could not be read; it is tried again");
                known = before;
            }
        }
    }

    fn take(&self, read: Result<(Force, SigmaEngine), RuleError>) -> Result<Reloaded, ReloadError> {
        match read {
            Ok((mut force, engine)) => {
                force.loaded_at = self.clock.now();
                let rules = force.set.rules().iter().filter(|rule| rule.speaks).count();
                let reloaded = Reloaded {
                    rules,
                    files: force.files.len(),
                };
                *self.force.write() = force;
                *self.engine.lock() = Some(engine);
                self.is_new.store(true, Ordering::Release);
                tracing::info!(rules, "rules came into force");
                Ok(reloaded)
            }
            Err(error) => {
                tracing::error!(%error, "the new rules are refused; those in force stay so");
                self.force.write().problem = Some(error.clone());
                Err(error.into())
            }
        }
    }

    /// The engine of rules that came into force since this was last called.
    pub(super) fn take_engine(&self) -> Option<SigmaEngine> {
        if !self.is_new.swap(false, Ordering::Acquire) {
            return None;
        }
        self.engine.lock().take()
    }

    pub(super) fn note_fired(&self, id: &str, at: Timestamp) {
        let mut fired = self.fired.lock();
        if let Some(known) = fired.get_mut(id) {
            known.count += 1;
            known.last = known.last.max(Some(at));
        } else {
            let first = Fired {
                count: 1,
                last: Some(at),
            };
            fired.insert(id.to_owned(), first);
        }
    }

    pub(super) fn note_stats(&self, stats: EngineStats) {
        *self.stats.lock() = stats;
    }
}

fn compile(
    files: Arc<[RuleFile]>,
    off: HashSet<String>,
) -> Result<(Force, SigmaEngine), RuleError> {
    let set = Arc::new(RuleSet::read(&files, |id| !off.contains(id))?);
    let engine = set.engine();
    let force = Force {
        files,
        set,
        off,
        loaded_at: Timestamp::UNIX_EPOCH,
        problem: None,
    };
    Ok((force, engine))
}

async fn switched_off(store: &Store) -> Result<HashSet<String>, DetectError> {
    let switched = store.detectors().switched().await?;
    let off = switched.into_iter().filter(|state| !state.enabled);
    Ok(off
        .filter_map(|state| Some(state.detector.strip_prefix(KEY)?.to_owned()))
        .collect())
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
