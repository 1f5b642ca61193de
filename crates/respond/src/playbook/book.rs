//! The playbooks in force: those shipped, and those of a directory, which is read again when it changes. All of a
//! directory comes into force, or nothing: what was last good is kept, also over a restart.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use palisade_core::port::Effector;
use palisade_store::{PlaybookSwitch, Store, StoreError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    Playbook, PlaybookProblem, SHIPPED,
    folder::{self, PlaybookFile, Seen},
    parse::{Effectors, parse},
};

/// Under this name the store keeps what was last good.
const LAST_GOOD: &str = "playbooks/last_good";

/// Where a playbook comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It comes with Palisade.
    Shipped,
    /// From a file of the configured directory.
    File,
}

/// A playbook, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlaybookInfo {
    /// The playbook.
    #[serde(flatten)]
    pub playbook: Arc<Playbook>,
    /// Whether it is on.
    pub enabled: bool,
    /// Where it comes from.
    pub origin: Origin,
    /// Its text.
    pub text: Arc<str>,
}

/// The playbooks in force.
pub(crate) struct Book {
    effectors: Effectors,
    directory: Option<PathBuf>,
    set: ArcSwap<Set>,
    /// Whether the set in force is kept as the last good one.
    is_kept: AtomicBool,
    off: Mutex<HashMap<String, bool>>,
}

#[derive(Debug, Default)]
struct Set {
    by_name: BTreeMap<String, Loaded>,
    /// The files that it comes from, besides the shipped ones.
    own: Arc<[PlaybookFile]>,
    /// What the directory looked like; `None` where it could not be looked at.
    seen: Option<Seen>,
    /// Why the directory as it is now is not in force.
    problem: Option<PlaybookProblem>,
}

#[derive(Debug, Clone)]
struct Loaded {
    playbook: Arc<Playbook>,
    origin: Origin,
    text: Arc<str>,
}

/// The files of a directory that came into force.
#[derive(Debug, Serialize, Deserialize)]
struct LastGood {
    directory: PathBuf,
    files: Vec<PlaybookFile>,
}

impl Book {
    /// Reads the playbooks. Where one of the directory is not valid, or the directory cannot be read, what was last
    /// good is in force, or the shipped ones alone where nothing of the directory ever was; the log and
    /// [`Book::problem`] say why.
    ///
    /// # Errors
    /// When the store cannot be read, or a shipped one is not valid.
    pub(crate) async fn open(
        effectors: Effectors,
        directory: Option<PathBuf>,
        store: &Store,
    ) -> Result<Self, BookError> {
        let set = Set::of(Arc::default(), &effectors)?;
        let book = Self {
            effectors,
            directory,
            set: ArcSwap::from_pointee(set),
            is_kept: AtomicBool::new(true),
            off: Mutex::default(),
        };
        if let Some(directory) = &book.directory {
            book.begin(directory, store).await?;
        }
        for switch in store.actions().switched_playbooks().await? {
            book.note(&switch);
        }
        Ok(book)
    }

    async fn begin(&self, directory: &Path, store: &Store) -> Result<(), StoreError> {
        let seen = folder::look(directory);
        let read = seen.clone().and_then(|seen| self.read(seen));
        let problem = match read {
            Ok(set) => {
                self.set.store(Arc::new(set));
                self.is_kept.store(false, Ordering::Release);
                return self.keep(store).await;
            }
            Err(problem) => problem,
        };
        let last_good = self.last_good(directory, store).await?;
        let in_force = match &last_good {
            Some(_) => "those that were last good",
            None => "the shipped ones alone",
        };
        tracing::error!(%problem, in_force, "the directory of playbooks is refused; mend it, and it is read again");
        let set = last_good.map_or_else(|| self.set.load_full(), Arc::new);
        self.refuse(&set, seen.ok(), problem);
        Ok(())
    }

    /// What of a directory was last good, where it still is.
    async fn last_good(&self, directory: &Path, store: &Store) -> Result<Option<Set>, StoreError> {
        let Some(kept) = store.settings().get(LAST_GOOD).await? else {
            return Ok(None);
        };
        let kept: Option<LastGood> = serde_json::from_slice(&kept).ok();
        let files = kept.filter(|kept| kept.directory == directory);
        Ok(files.and_then(|kept| Set::of(kept.files.into(), &self.effectors).ok()))
    }

    /// Keeps what came into force, so that a start over a bad directory goes on with it.
    pub(crate) async fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        if self.is_kept.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let good = LastGood {
            directory: directory.clone(),
            files: self.set.load().own.to_vec(),
        };
        let written = match serde_json::to_vec(&good) {
            Ok(text) => store.settings().put(LAST_GOOD, &text).await,
            Err(error) => Err(StoreError::corrupt(LAST_GOOD, error)),
        };
        written.inspect_err(|_| self.is_kept.store(false, Ordering::Release))
    }

    /// Reads the directory again where it changed. A bad file refuses the whole; what is in force goes on.
    pub(crate) fn refresh(&self) {
        let Some(directory) = &self.directory else {
            return;
        };
        let now = self.set.load();
        let seen = match folder::look(directory) {
            Ok(seen) if now.seen.as_ref() == Some(&seen) => return,
            Ok(seen) => seen,
            Err(problem) if now.problem.as_ref() == Some(&problem) => return,
            Err(problem) => {
                warn_of(&problem);
                return self.refuse(&now, None, problem);
            }
        };
        match self.read(seen.clone()) {
            Ok(set) => {
                tracing::info!(playbooks = set.by_name.len(), "playbooks were read again");
                self.set.store(Arc::new(set));
                self.is_kept.store(false, Ordering::Release);
            }
            Err(problem) => {
                warn_of(&problem);
                self.refuse(&now, Some(seen), problem);
            }
        }
    }

    fn refuse(&self, in_force: &Set, seen: Option<Seen>, problem: PlaybookProblem) {
        self.set.store(Arc::new(Set {
            by_name: in_force.by_name.clone(),
            own: in_force.own.clone(),
            seen,
            problem: Some(problem),
        }));
    }

    fn read(&self, seen: Seen) -> Result<Set, PlaybookProblem> {
        let own = folder::read(&seen)?;
        Ok(Set {
            seen: Some(seen),
            ..Set::of(own.into(), &self.effectors)?
        })
    }

    /// Reads a text as a playbook, and puts it nowhere.
    pub(crate) fn check(&self, text: &str) -> Result<Playbook, PlaybookProblem> {
        parse(text, &self.effectors)
    }

    /// Notes that a person switched a playbook.
    pub(crate) fn note(&self, switch: &PlaybookSwitch) {
        self.off
            .lock()
            .insert(switch.playbook.clone(), !switch.enabled);
    }

    fn is_off(&self, name: &str) -> bool {
        self.off.lock().get(name).copied().unwrap_or(false)
    }

    /// Those that are on.
    pub(crate) fn enabled(&self) -> Vec<Arc<Playbook>> {
        let set = self.set.load();
        let on = set.by_name.iter().filter(|(name, _)| !self.is_off(name));
        on.map(|(_, loaded)| loaded.playbook.clone()).collect()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<PlaybookInfo> {
        let set = self.set.load();
        set.by_name
            .values()
            .map(|loaded| self.info(loaded))
            .collect()
    }

    /// One of them.
    pub(crate) fn find(&self, name: &str) -> Option<PlaybookInfo> {
        let set = self.set.load();
        set.by_name.get(name).map(|loaded| self.info(loaded))
    }

    /// Why the directory as it is now is not in force.
    pub(crate) fn problem(&self) -> Option<PlaybookProblem> {
        self.set.load().problem.clone()
    }

    fn info(&self, loaded: &Loaded) -> PlaybookInfo {
        PlaybookInfo {
            playbook: loaded.playbook.clone(),
            enabled: !self.is_off(&loaded.playbook.name),
            origin: loaded.origin.clone(),
            text: loaded.text.clone(),
        }
    }
}

impl Set {
    /// The shipped playbooks and those of files, which take the place of shipped ones of their names.
    fn of(own: Arc<[PlaybookFile]>, effectors: &Effectors) -> Result<Self, PlaybookProblem> {
        let mut by_name = BTreeMap::new();
        for (file, text) in SHIPPED {
            let playbook = parse(text, effectors).map_err(|problem| problem.in_file(file))?;
            let name = playbook.name.clone();
            by_name.insert(name, loaded(playbook, Origin::Shipped, text));
        }
        let mut files: HashMap<String, &str> = HashMap::new();
        for PlaybookFile { name: file, text } in own.iter() {
            let playbook = parse(text, effectors).map_err(|problem| problem.in_file(file))?;
            let name = playbook.name.clone();
            if let Some(other) = files.insert(name.clone(), file) {
                let why = format!("name: {name} is also the name of {other}");
                return Err(PlaybookProblem::new(None, why).in_file(file));
            }
            by_name.insert(name, loaded(playbook, Origin::File, text));
        }
        Ok(Self {
            by_name,
            own,
            ..Self::default()
        })
    }
}

/// Reads a directory of playbooks against the actions that there are, and puts it nowhere; returns how many there
/// are.
///
/// # Errors
/// Says what is wrong, in which file and on which line.
pub fn check_directory(
    directory: &Path,
    effectors: &[Arc<dyn Effector>],
) -> Result<usize, PlaybookProblem> {
    let by_name = effectors.iter().map(|one| (one.name(), one.clone()));
    let files = folder::read(&folder::look(directory)?)?;
    let count = files.len();
    Set::of(files.into(), &by_name.collect()).map(|_| count)
}

fn warn_of(problem: &PlaybookProblem) {
    tracing::error!(%problem, "the changed playbooks are refused; those in force stay so");
}

/// Why playbooks could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// One is not valid.
    #[error("a playbook is not valid: {0}")]
    Playbook(#[from] PlaybookProblem),
    /// The system of record failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn loaded(playbook: Playbook, origin: Origin, text: &str) -> Loaded {
    Loaded {
        playbook: Arc::new(playbook),
        origin,
        text: text.into(),
    }
}
