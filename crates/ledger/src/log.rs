//! The ledger as a transparency log: it signs which tree the ledger has (C2SP tlog-checkpoint), and never two
//! that contradict each other.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use palisade_core::{Clock, Timestamp};
use palisade_keys::{Keystore, KeystoreError, LogKey};
use palisade_store::{CheckpointRow, Store, StoreError};
use palisade_tlog::{
    Algorithm, Checkpoint, Hash, Note, NoteKey, NoteKeyError, Signature, Trust, TrustError,
};
use tokio_util::sync::CancellationToken;

use crate::{Ledger, LedgerConfig, LedgerError, Verification};

/// The setting that keeps the log's name.
const ORIGIN: &str = "ledger_origin";
/// What the names of the log's keys in the keystore begin with.
const KEY: &str = "ledger-";

/// Why there is no log, or no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A key cannot be had.
    #[error(transparent)]
    Keys(#[from] KeystoreError),
    /// The log's name is none.
    #[error("the log cannot be named {0:?}: {1}")]
    Name(String, #[source] NoteKeyError),
    /// The configuration names another log than the one that is there.
    #[error(
        "ledger.origin is {wanted:?}, and this ledger has been {known:?} since its first checkpoint: a log \
         does not change its name; set it back, or take the key out of the configuration"
    )]
    Renamed {
        /// What the configuration says.
        wanted: String,
        /// The name it has.
        known: String,
    },
    /// What was signed before does not agree with the ledger.
    #[error("no checkpoint is signed: {0}")]
    Withheld(Contradiction),
    /// A checkpoint that somebody kept is not to be believed.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// There is no checkpoint over so many entries.
    #[error(
        "there is no published checkpoint over {wanted} entries yet; the newest is over {published}"
    )]
    NotYet {
        /// Over how many it was to be.
        wanted: u64,
        /// Over how many there is one.
        published: u64,
    },
}

/// How the ledger contradicts its own last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// It has fewer entries.
    #[error(
        "the ledger has {found} entries, and a checkpoint over {signed} was signed: its end was cut off or it \
         was rolled back; restore the data directory from a backup that has all of them"
    )]
    Shorter {
        /// How many it has.
        found: u64,
        /// How many were signed.
        signed: u64,
    },
    /// They are others.
    #[error(
        "the first {0} entries of the ledger are not those that were signed: some were rewritten; restore the \
         data directory from a backup, and keep this one as evidence"
    )]
    Rewritten(u64),
    /// The checkpoint that the database keeps is not ours.
    #[error(
        "the last checkpoint in the database was not signed by this log: somebody put it there, or the          keystore is another one"
    )]
    Forged,
}

/// What the log is made of.
pub struct LogParts {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// Where checkpoints are kept.
    pub store: Store,
    /// Where its key is.
    pub keys: Arc<Keystore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How it is set up.
    pub config: LedgerConfig,
    /// How this server is reached; the log is named after it, unless the configuration names it.
    pub host: String,
}

/// A checkpoint that others may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Over how many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The note with its signatures.
    pub note: String,
    /// When it was signed.
    pub signed_at: Timestamp,
}

/// How the log is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// Its name.
    pub origin: String,
    /// The keys that sign its checkpoints, as verifiers take them.
    pub keys: Vec<String>,
    /// The newest checkpoint that others may see.
    pub published: Option<Published>,
    /// Why no checkpoint is signed, where none is.
    pub withheld: Option<Contradiction>,
}

/// The log.
pub struct Log {
    parts: LogParts,
    origin: String,
    signers: Vec<(NoteKey, LogKey)>,
    state: Mutex<State>,
    // One checkpoint is made at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct State {
    published: Option<Published>,
    withheld: Option<Contradiction>,
}

impl Log {
    /// Opens the log of a ledger; at the first time it makes its key and chooses its name.
    ///
    /// # Errors
    /// When the database or the keystore fails, or the configuration gives the log another name.
    pub async fn open(parts: LogParts) -> Result<Arc<Self>, LogError> {
        let keys = signing_keys(&parts.keys)?;
        let origin = name(&parts, &keys).await?;
        let signers = keys.into_iter().map(|key| {
            let public = NoteKey::new(&origin, Algorithm::Ed25519, key.public_key());
            let public = public.map_err(|why| LogError::Name(origin.clone(), why))?;
            Ok((public, key))
        });
        let signers = signers.collect::<Result<Vec<_>, LogError>>()?;
        let published = parts.store.ledger_tree().published_checkpoint().await?;
        let state = State {
            published: published.and_then(read),
            withheld: None,
        };
        let log = Self {
            parts,
            origin,
            signers,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        };
        match log.agrees().await {
            // The server goes on: what happens from here on is still written down.
            Ok(()) | Err(LogError::Withheld(_)) => Ok(Arc::new(log)),
            Err(error) => Err(error),
        }
    }

    /// Its name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keys that sign its checkpoints.
    pub fn keys(&self) -> impl Iterator<Item = &NoteKey> {
        self.signers.iter().map(|(key, _)| key)
    }

    /// Whether anybody may read checkpoints and tiles of hashes.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.parts.config.publish_hashes
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> LogStatus {
        let state = self.state().clone();
        LogStatus {
            origin: self.origin.clone(),
            keys: self.keys().map(ToString::to_string).collect(),
            published: state.published,
            withheld: state.withheld,
        }
    }

    /// The newest checkpoint that others may see.
    #[must_use]
    pub fn published(&self) -> Option<Published> {
        self.state().published.clone()
    }

    /// A checkpoint over at least so many entries; one is made where there is none yet.
    ///
    /// # Errors
    /// When there are not so many, the ledger contradicts what was signed before, or the database fails.
    pub async fn checkpoint(&self, at_least: u64) -> Result<Published, LogError> {
        let enough = |found: &Published| found.size >= at_least;
        if let Some(found) = self.published().filter(enough) {
            return Ok(found);
        }
        self.advance().await?;
        let published = self.published();
        let newest = published.as_ref().map_or(0, |found| found.size);
        published.filter(enough).ok_or(LogError::NotYet {
            wanted: at_least,
            published: newest,
        })
    }

    /// Reads all entries again and checks every hash, and that they are those of the last checkpoint and of the one
    /// that somebody kept.
    ///
    /// # Errors
    /// When the one that was kept is not of this log, or the database fails.
    pub async fn verify(
        &self,
        kept: Option<&Note>,
        progress: impl FnMut(u64) + Send,
    ) -> Result<Verification, LogError> {
        let mut signed = Vec::new();
        if let Some(kept) = kept {
            signed.push(self.trust().open(kept)?.checkpoint);
        }
        let newest = self.parts.store.ledger_tree().newest_checkpoint().await?;
        match newest.map(|newest| self.opened(&newest.note)) {
            None => {}
            Some(Some(newest)) => signed.push(newest),
            Some(None) => return Err(LogError::Withheld(Contradiction::Forged)),
        }
        Ok(self.parts.ledger.verify_against(&signed, progress).await?)
    }

    /// Signs a checkpoint now and then, until cancelled.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut tick =
            tokio::time::interval(Duration::from_secs(self.parts.config.checkpoint_every_s));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                _ = tick.tick() => {}
            }
            match self.advance().await {
                Ok(()) => told = None,
                // What does not change is said once.
                Err(error) => {
                    let why = error.to_string();
                    if told.as_ref() != Some(&why) {
                        tracing::error!(%error, "the ledger has no new checkpoint");
                        told = Some(why);
                    }
                }
            }
        }
    }

    /// Signs and publishes the tree as it is now, where it grew.
    async fn advance(&self) -> Result<(), LogError> {
        let _turn = self.turn.lock().await;
        let (size, root) = self.parts.ledger.head();
        let known = self.published().map_or(0, |published| published.size);
        if size == 0 || size == known {
            return Ok(());
        }
        self.agrees().await?;
        let now = self.parts.clock.now();
        let row = CheckpointRow {
            size,
            root: root.to_vec(),
            note: self.sign(size, root),
            signed_at: now,
            published_at: Some(now),
        };
        // Written down before anybody sees it: after a crash nothing else is signed over as many entries.
        self.parts.store.ledger_tree().put_checkpoint(&row).await?;
        self.state().published = read(row);
        Ok(())
    }

    fn sign(&self, size: u64, root: Hash) -> String {
        let origin = self.origin.clone();
        let mut note = Note::new(Checkpoint { origin, size, root }.text());
        for (public, key) in &self.signers {
            let bytes = key.sign(note.text().as_bytes());
            let (name, id) = (public.name().to_owned(), public.id());
            note.sign(Signature { name, id, bytes });
        }
        note.to_string()
    }

    /// Whether the ledger goes on from what was signed last.
    async fn agrees(&self) -> Result<(), LogError> {
        let signed = self.parts.store.ledger_tree().newest_checkpoint().await?;
        let withheld = match signed {
            None => None,
            Some(signed) => match self.opened(&signed.note) {
                Some(signed) => self.contradiction(&signed).await?,
                None => Some(Contradiction::Forged),
            },
        };
        let before = std::mem::replace(&mut self.state().withheld, withheld);
        match withheld {
            None => Ok(()),
            Some(contradiction) => {
                if before != withheld {
                    tracing::error!(%contradiction, "the ledger contradicts its own checkpoint");
                }
                Err(LogError::Withheld(contradiction))
            }
        }
    }

    async fn contradiction(
        &self,
        signed: &Checkpoint,
    ) -> Result<Option<Contradiction>, LedgerError> {
        let found = match self.parts.ledger.root_at(signed.size).await {
            Ok(found) => found,
            Err(LedgerError::Tile { .. }) => {
                return Ok(Some(Contradiction::Rewritten(signed.size)));
            }
            Err(error) => return Err(error),
        };
        Ok(match found {
            None => Some(Contradiction::Shorter {
                found: self.parts.ledger.head().0,
                signed: signed.size,
            }),
            Some(root) if root == signed.root => None,
            Some(_) => Some(Contradiction::Rewritten(signed.size)),
        })
    }

    /// A checkpoint of this log.
    fn opened(&self, note: &str) -> Option<Checkpoint> {
        let note = note.parse().ok()?;
        Some(self.trust().open(&note).ok()?.checkpoint)
    }

    /// What others are to believe.
    fn trust(&self) -> Trust {
        Trust {
            keys: self.keys().cloned().collect(),
            ..Trust::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

fn read(row: CheckpointRow) -> Option<Published> {
    Some(Published {
        size: row.size,
        root: row.root.try_into().ok()?,
        note: row.note,
        signed_at: row.signed_at,
    })
}

/// The keys of the log, the newest last; one is made where there is none.
fn signing_keys(keystore: &Keystore) -> Result<Vec<LogKey>, KeystoreError> {
    let number = |name: &String| name.strip_prefix(KEY)?.parse::<u32>().ok();
    let mut numbers: Vec<u32> = keystore.list().iter().filter_map(number).collect();
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Ok(vec![keystore.generate_log_key(&format!("{KEY}1"))?]);
    }
    let keys = numbers.into_iter();
    keys.map(|number| keystore.log_key(&format!("{KEY}{number}")))
        .collect()
}

/// The name that the log has, or is given now.
async fn name(parts: &LogParts, keys: &[LogKey]) -> Result<String, LogError> {
    let known = parts.store.settings().get(ORIGIN).await?;
    let known = known.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match (known, &parts.config.origin) {
        (Some(known), Some(wanted)) if *wanted != known => Err(LogError::Renamed {
            wanted: wanted.clone(),
            known,
        }),
        (Some(known), _) => Ok(known),
        (None, wanted) => {
            let own = keys.first().map(LogKey::public_key).unwrap_or_default();
            let own: String = own
                .iter()
                .take(4)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let name = wanted.clone();
            let name = name.unwrap_or_else(|| format!("{}/ledger/{own}", parts.host));
            parts.store.settings().put(ORIGIN, name.as_bytes()).await?;
            Ok(name)
        }
    }
}
