//! The vault as others hold it: opened, run, asked.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use object_store::ObjectStore;
use palisade_core::{
    Actor, AdministrativeAct, Clock, Door, Event, EventKind, Outcome, Timestamp,
    port::{CannotKeep, Journal, JournalError, Telemetry, TelemetrySink},
};
use palisade_keys::{Remembered, RootConfig, VersionedWrap, WrapError};
use palisade_store::{ObjectState, Store, StoreError, VaultMark};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Log, LogError, LogFault, LogFile, Mark, Objects, ObjectsConfig, ObjectsError, Opened, RollAt,
    Worked,
    hands::Hands,
    keys::{KeyError, SegmentKeys},
    meter::{Meter, Reading},
    sealed::SealedError,
    works::Settled,
};

/// How the vault is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VaultConfig {
    /// After how many megabytes a file of the log is closed and rolled into sealed files.
    pub roll_mb: u32,
    /// After how many seconds it is, however small.
    pub roll_after_s: u32,
    /// While less of the log than this waits to be rolled, in megabytes, rolling it takes what the doors leave of the
    /// processors; from there on it takes its share. 0: always its share.
    pub roll_gently_mb: u32,
    /// The folder of sealed files, where `vault.objects` names no store; relative to the data directory.
    pub objects_dir: PathBuf,
    /// How many messages an account or a token may read within a minute, about.
    pub read_per_minute: u64,
    /// An object store for sealed files, in place of the folder.
    pub objects: ObjectsConfig,
    /// Where the root key is, which wraps all keys of the vault.
    pub root: RootConfig,
}

impl Default for VaultConfig {
    fn default() -> Self {
        Self {
            roll_mb: 32,
            roll_after_s: 600,
            roll_gently_mb: 1024,
            objects_dir: PathBuf::from("vault/objects"),
            read_per_minute: 100_000,
            objects: ObjectsConfig::default(),
            root: RootConfig::default(),
        }
    }
}

impl VaultConfig {
    /// Refuses what cannot work or is not safe.
    ///
    /// # Errors
    /// Begins with the key that is wrong, and says what it may be.
    pub fn check(&self) -> Result<(), String> {
        let objects = self.objects.check();
        objects.map_err(|why| format!("vault.objects.{why}"))?;
        let root = self.root.check();
        root.map_err(|why| format!("vault.root.{why}"))
    }

    /// The place of sealed files. Nothing is asked of a store yet.
    ///
    /// # Errors
    /// When it cannot work, or a file or a secret that it names cannot be read.
    pub fn open_objects(&self, data: &Path) -> Result<Objects, ObjectsError> {
        Objects::open(&self.objects, &data.join(&self.objects_dir), data)
    }
}

/// What a vault is made of.
pub struct VaultParts {
    /// How it is set up.
    pub config: VaultConfig,
    /// The data directory.
    pub data: PathBuf,
    /// The system of record.
    pub store: Store,
    /// The key that wraps those of segments and of the log.
    pub root: Arc<dyn VersionedWrap>,
    /// Where damage is written down.
    pub journal: Arc<dyn Journal>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why the vault cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Its log cannot be opened.
    #[error(transparent)]
    Open(#[from] LogError),
    /// A file of the log cannot be read.
    #[error("a file of the telemetry log: {0}")]
    Log(#[source] LogFault),
    /// A folder cannot be used.
    #[error("the vault's folder cannot be used: {0}")]
    Io(#[source] io::Error),
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A sealed file cannot be made or read.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The object store failed.
    #[error("the object store: {0}")]
    Objects(#[from] ObjectsError),
    /// Files that do not count any more are still there.
    #[error(
        "{files} sealed files that do not count any more could not be taken away, {path} first: {source}"
    )]
    Left {
        /// How many were tried.
        files: usize,
        /// The first.
        path: String,
        /// Why not.
        #[source]
        source: ObjectsError,
    },
    /// What is in the log cannot be rolled now.
    #[error("{0}")]
    Away(String),
    /// A hold stands against it.
    #[error("the hold {0} stands against it: release that first")]
    Held(String),
    /// The system of record failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl VaultError {
    /// What is left and does not count keeps nothing else; it was told, and is tried again.
    fn unless_left(self) -> Result<usize, Self> {
        match self {
            Self::Left { .. } => Ok(0),
            error => Err(error),
        }
    }

    /// Whether a file is damaged for good: it was had, and does not open.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Sealed(SealedError::Parquet(_) | SealedError::Arrow(_))
                | Self::Key(KeyError::Wrap(WrapError::Refused))
        )
    }
}

/// Telemetry, sealed.
pub struct Vault {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    journal: Arc<dyn Journal>,
    pub(crate) log: Arc<Log>,
    /// Below so many bytes that wait to be rolled they are rolled gently.
    pub(crate) roll_gently: u64,
    pub(crate) hands: Hands,
    pub(crate) keys: SegmentKeys,
    pub(crate) root: Arc<dyn VersionedWrap>,
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Where they are written and taken away.
    pub(crate) place: Objects,
    /// Why the log could not be rolled the last time.
    trouble: Mutex<Option<String>>,
    /// From when on the clock is believed, where it is not.
    pub(crate) believed_at: Mutex<Option<Timestamp>>,
    /// The last file of the log that is in sealed files.
    pub(crate) rolled: AtomicU64,
    meter: Meter,
    /// Held by whoever changes which sealed files there are.
    pub(crate) works: tokio::sync::Mutex<Settled>,
    /// Held by whoever reads: each takes memory.
    pub(crate) reads: Semaphore,
}

/// How many may read at once; others wait.
const READS: usize = 4;
/// How often it is written down how far the log is.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// How often sealed files are looked after. What does not count any more stays as long, for whoever reads it now.
const WORK_EVERY: Duration = Duration::from_secs(600);
/// How much longer than usual it takes at the most until what failed is tried again.
const MOST_PATIENCE: u32 = 60;
/// How long the start waits for an object store.
const LOOK: Duration = Duration::from_secs(5);

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// Opens the vault, for this process alone, and takes away what was never finished. Damage is no error: it is
    /// written down, and what is whole is kept.
    ///
    /// # Errors
    /// When a folder, a key or the system of record cannot be used.
    pub async fn open(parts: VaultParts) -> Result<Arc<Self>, VaultError> {
        let VaultParts {
            config,
            data,
            store,
            root,
            journal,
            clock,
        } = parts;
        let keys = SegmentKeys::open(store.clone(), root.clone(), clock.clone()).await?;
        let place = config.open_objects(&data)?;
        check_place(&place, &store).await?;
        let known = of_log(store.vault().mark().await?);
        let roll_at = RollAt {
            bytes: u64::from(config.roll_mb.max(1)) * 1024 * 1024,
            age: Duration::from_secs(u64::from(config.roll_after_s.max(1))),
        };
        let (folder, far) = (data.join("vault/log"), Remembered::new(root.clone()));
        let open = move || Log::open(&folder, Arc::new(far), roll_at, known);
        let opened = tokio::task::spawn_blocking(open).await;
        let Opened { log, damage } =
            opened.map_err(|error| VaultError::Io(io::Error::other(error)))??;
        let vault = Arc::new(Self {
            store,
            clock,
            journal,
            log: Arc::new(log),
            roll_gently: u64::from(config.roll_gently_mb) * 1024 * 1024,
            hands: Hands::default(),
            keys,
            root,
            objects: place.reader(),
            place,
            trouble: Mutex::default(),
            believed_at: Mutex::default(),
            rolled: AtomicU64::new(known.rolled),
            meter: Meter::new(config.read_per_minute),
            works: tokio::sync::Mutex::default(),
            reads: Semaphore::new(READS),
        });
        for damage in damage {
            vault.tell_of_damage(damage.file, &damage.fault).await?;
            vault.log.keep_aside(damage.file).map_err(VaultError::Io)?;
            // Of what can be read in part, that part is rolled first.
            let is_readable = |file: &LogFile| file.number == damage.file;
            if !vault.log.closed().iter().any(is_readable) {
                vault.log.remove(damage.file).map_err(VaultError::Io)?;
            }
        }
        vault.look_at_clock().await?;
        // A store on another machine may be away: messages are taken all the same.
        if !vault.place.is_remote() {
            vault.sweep().await.or_else(VaultError::unless_left)?;
        }
        Ok(vault)
    }

    /// Rolls, looks after sealed files and writes down how far the log is, until cancelled.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        // Apart: how far the log is must not wait for long works.
        tokio::join!(self.keep_mark(&cancel), self.keep_rolling(&cancel));
    }

    async fn keep_mark(&self, cancel: &CancellationToken) {
        let mut last = VaultMark::default();
        loop {
            let is_last = tokio::select! {
                () = tokio::time::sleep(MARK_EVERY) => false,
                () = cancel.cancelled() => true,
            };
            let mark = of_store(self.log.mark(self.rolled.load(Ordering::Acquire)));
            if mark != last {
                match self.store.vault().set_mark(mark).await {
                    Ok(()) => last = mark,
                    Err(error) => {
                        tracing::warn!(%error, "how far the telemetry log is could not be written down");
                    }
                }
            }
            if is_last {
                return;
            }
        }
    }

    async fn keep_rolling(&self, cancel: &CancellationToken) {
        let mut work_at = match self.place.is_remote() {
            // What was never finished is taken away now, as it was not when the vault was opened.
            true => Instant::now(),
            false => Instant::now() + WORK_EVERY,
        };
        let mut failed = 0;
        loop {
            let pause = MARK_EVERY * 2_u32.saturating_pow(failed).min(MOST_PATIENCE);
            let step = async {
                tokio::time::sleep(pause).await;
                let rolled = self.roll_again(failed > 0).await;
                if rolled.is_ok() && Instant::now() >= work_at {
                    work_at = Instant::now() + WORK_EVERY;
                    if let Err(error) = self.work().await {
                        tracing::warn!(%error, "sealed files could not be looked after; trying again");
                    }
                }
                rolled
            };
            // What is cut short here is as what a power cut leaves.
            let rolled = tokio::select! {
                rolled = step => rolled,
                () = cancel.cancelled() => return,
            };
            failed = match rolled {
                Ok(()) => 0,
                Err(error) => {
                    tracing::error!(%error, "the telemetry log could not be rolled; it is kept, and tried again");
                    *self.trouble.lock() = Some(error.to_string());
                    failed + 1
                }
            };
        }
    }

    async fn roll_again(&self, has_failed: bool) -> Result<(), VaultError> {
        if has_failed {
            // What the last attempt left is taken away before there is more of it; what does not count any more may be
            // read now, and has its time.
            let taken = self.take_away(&[ObjectState::Writing]).await;
            taken.or_else(VaultError::unless_left)?;
        }
        self.roll().await?;
        *self.trouble.lock() = None;
        Ok(())
    }

    async fn work(&self) -> Result<(), VaultError> {
        // Where somebody read the database during an erasure, wrapped keys are left in it.
        self.store.vault().scrub().await?;
        // What cannot be taken away now is not in the way of the rest.
        let swept = self.sweep().await;
        let expired = self.expire().await?;
        let merged = self.compact().await?;
        if (expired, merged) != (Worked::default(), Worked::default()) {
            tracing::info!(
                expired = expired.before,
                merged = merged.before,
                into = merged.after,
                "sealed files of telemetry were looked after"
            );
        }
        swept.map(drop)
    }

    /// Whether messages cannot be made durable now.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.log.is_failing()
    }

    /// Why the log could not be rolled into sealed files the last time; it is kept as long.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().clone();
        trouble.or_else(|| self.log.held())
    }

    /// The number of the last message that is durable.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.log.committed()
    }

    /// How many files the log has.
    #[must_use]
    pub fn log_files(&self) -> usize {
        self.log.files().len()
    }

    /// Lets a reader read so many messages now, or as many as are left of those that they may read within a minute.
    ///
    /// # Errors
    /// When none are left: how long they have to wait.
    pub fn may_read(&self, reader: &str, messages: usize) -> Result<Reading<'_>, Duration> {
        self.meter.take(reader, messages, self.clock.now())
    }

    pub(crate) async fn tell_of_damage(
        &self,
        file: u64,
        fault: &LogFault,
    ) -> Result<(), VaultError> {
        tracing::error!(file, %fault, "a file of the telemetry log is damaged");
        let target = format!("file {file} of the telemetry log");
        self.record_damage(target, fault.to_string()).await
    }

    pub(crate) async fn record_damage(
        &self,
        target: String,
        why: String,
    ) -> Result<(), VaultError> {
        let act = AdministrativeAct {
            actor: Actor::System("vault".to_owned()),
            act: "vault.damage".to_owned(),
            target,
            reason: Some(why),
            outcome: Outcome::Failed,
        };
        let event = Event::new(
            self.clock.now(),
            Door::Internal,
            EventKind::Administrative(act),
        );
        self.journal.record(vec![event]).await?;
        Ok(())
    }
}

impl TelemetrySink for Vault {
    fn keep(&self, message: &Telemetry<'_>) -> Result<u64, CannotKeep> {
        self.log.keep(message)
    }

    fn is_durable(&self, number: u64) -> bool {
        self.log.is_durable(number)
    }

    fn poll_durable(&self, number: u64, waker: &Waker) -> Poll<()> {
        self.log.poll_durable(number, waker)
    }
}

/// Refuses a place where the sealed files are not that there are. That it does not answer is no reason.
async fn check_place(place: &Objects, store: &Store) -> Result<(), VaultError> {
    let live = store.vault().objects_in(ObjectState::Live).await?;
    let Some(newest) = live.last() else {
        return Ok(());
    };
    match tokio::time::timeout(LOOK, place.check_has(&newest.path)).await {
        Ok(Err(error @ ObjectsError::Elsewhere { .. })) => Err(error.into()),
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "sealed files cannot be reached now");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("sealed files cannot be reached now: the object store does not answer");
            Ok(())
        }
    }
}

fn of_log(mark: VaultMark) -> Mark {
    Mark {
        rolled: mark.rolled,
        file: mark.file,
        chunks: mark.chunks,
        next_message: mark.next_message,
    }
}

pub(crate) fn of_store(mark: Mark) -> VaultMark {
    VaultMark {
        rolled: mark.rolled,
        file: mark.file,
        chunks: mark.chunks,
        next_message: mark.next_message,
    }
}
