//! The playbooks in force: those shipped, and those of a directory, which is read again when it changes.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use palisade_store::{PlaybookSwitch, Store, StoreError};
use parking_lot::Mutex;
use serde::Serialize;

use super::{
    Playbook, PlaybookProblem, SHIPPED,
    parse::{Effectors, MAX_TEXT, parse},
};

/// The most playbooks of a directory.
const MAX_FILES: usize = 200;

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
    off: Mutex<HashMap<String, bool>>,
}

#[derive(Debug, Default)]
struct Set {
    by_name: BTreeMap<String, Loaded>,
    /// What the directory looked like.
    seen: Vec<(PathBuf, u64, Option<SystemTime>)>,
    /// Why the directory as it is now is not in force.
    problem: Option<PlaybookProblem>,
}

#[derive(Debug, Clone)]
struct Loaded {
    playbook: Arc<Playbook>,
    origin: Origin,
    text: Arc<str>,
}

impl Book {
    /// Reads the playbooks.
    ///
    /// # Errors
    /// When one is not valid.
    pub(crate) async fn open(
        effectors: Effectors,
        directory: Option<PathBuf>,
        store: &Store,
    ) -> Result<Self, BookError> {
        let book = Self {
            effectors,
            directory,
            set: ArcSwap::default(),
            off: Mutex::default(),
        };
        let set = book.read()?;
        book.set.store(Arc::new(set));
        for switch in store.actions().switched_playbooks().await? {
            book.note(&switch);
        }
        Ok(book)
    }

    /// Reads the directory again where it changed. A bad file refuses the whole; what is in force goes on.
    pub(crate) fn refresh(&self) {
        let Some(directory) = &self.directory else {
            return;
        };
        let now = self.set.load();
        let seen = match look(directory) {
            Ok(seen) if seen == now.seen => return,
            Ok(seen) => seen,
            Err(problem) if now.problem.as_ref() == Some(&problem) => return,
            Err(problem) => return self.refuse(&now, now.seen.clone(), problem),
        };
        match self.read() {
            Ok(set) => {
                tracing::info!(playbooks = set.by_name.len(), "playbooks were read again");
                self.set.store(Arc::new(set));
            }
            Err(problem) => self.refuse(&now, seen, problem),
        }
    }

    fn refuse(
        &self,
        now: &Set,
        seen: Vec<(PathBuf, u64, Option<SystemTime>)>,
        problem: PlaybookProblem,
    ) {
        tracing::warn!(%problem, "the changed playbooks are not valid: those in force go on");
        self.set.store(Arc::new(Set {
            by_name: now.by_name.clone(),
            seen,
            problem: Some(problem),
        }));
    }

    fn read(&self) -> Result<Set, PlaybookProblem> {
        let mut set = Set::default();
        for (file, text) in SHIPPED {
            let playbook = parse(text, &self.effectors).map_err(|problem| problem.in_file(file))?;
            set.by_name.insert(
                playbook.name.clone(),
                loaded(playbook, Origin::Shipped, text),
            );
        }
        let Some(directory) = &self.directory else {
            return Ok(set);
        };
        set.seen = look(directory)?;
        let mut own: HashMap<String, String> = HashMap::new();
        for (path, _, _) in &set.seen {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| PlaybookProblem::new(None, error.to_string()).in_file(&file))?;
            let playbook =
                parse(&text, &self.effectors).map_err(|problem| problem.in_file(&file))?;
            if let Some(other) = own.insert(playbook.name.clone(), file.clone()) {
                let why = format!("name: {} is also the name of {other}", playbook.name);
                return Err(PlaybookProblem::new(None, why).in_file(&file));
            }
            set.by_name
                .insert(playbook.name.clone(), loaded(playbook, Origin::File, &text));
        }
        Ok(set)
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

/// The playbooks of a directory by name, with what tells whether they changed.
fn look(directory: &Path) -> Result<Vec<(PathBuf, u64, Option<SystemTime>)>, PlaybookProblem> {
    let failed = |path: &Path, why: String| {
        PlaybookProblem::new(None, why).in_file(&path.display().to_string())
    };
    let unreadable = |error: std::io::Error| failed(directory, error.to_string());
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_playbook = path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml");
        if !is_playbook {
            continue;
        }
        let about = std::fs::metadata(&path).map_err(|error| failed(&path, error.to_string()))?;
        if about.len() > MAX_TEXT as u64 {
            return Err(failed(
                &path,
                format!("a playbook has at most {MAX_TEXT} bytes"),
            ));
        }
        seen.push((path, about.len(), about.modified().ok()));
        if seen.len() > MAX_FILES {
            return Err(failed(
                directory,
                format!("at most {MAX_FILES} playbooks are read"),
            ));
        }
    }
    seen.sort();
    Ok(seen)
}
