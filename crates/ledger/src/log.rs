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

use crate::{Ledger, LedgerConfig, LedgerError, Verification, WitnessError, witness::Witness};

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
        "there is no published checkpoint over {wanted} entries yet; the newest is over {published}, and {signed} of \
         {required} witnesses signed the next: `palisade ledger status` says why"
    )]
    NotYet {
        /// Over how many it was to be.
        wanted: u64,
        /// Over how many there is one.
        published: u64,
        /// How many witnesses signed the next.
        signed: usize,
        /// How many must.
        required: usize,
    },
    /// A witness is not set up as one can be.
    #[error("the witness {0}: {1}")]
    Witness(String, #[source] NoteKeyError),
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
    /// The root certificates that each witness's own must lead to, in DER.
    pub roots: Vec<Vec<Vec<u8>>>,
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

/// How a witness is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessStatus {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Over how many entries it signed last since the start.
    pub signed: u64,
    /// Why it did not sign the newest checkpoint, where it did not.
    pub error: Option<WitnessError>,
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
    /// How many witnesses must have signed a checkpoint before others see it.
    pub required: usize,
    /// The witnesses.
    pub witnesses: Vec<WitnessStatus>,
}

/// The log.
pub struct Log {
    parts: LogParts,
    origin: String,
    signers: Vec<(NoteKey, LogKey)>,
    witnesses: Vec<Witness>,
    state: Mutex<State>,
    // One checkpoint is made at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct State {
    published: Option<Published>,
    withheld: Option<Contradiction>,
    /// In the order of the configuration.
    witnesses: Vec<WitnessStatus>,
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
        let mut witnesses = Vec::new();
        for (at, config) in parts.config.witnesses.iter().enumerate() {
            let key = config.read_key();
            let key = key.map_err(|why| LogError::Witness(config.url.clone(), why))?;
            let roots = parts.roots.get(at).map(Vec::as_slice).unwrap_or_default();
            witnesses.push(Witness::new(config, key, roots));
        }
        let status = |(witness, config): (&Witness, &crate::WitnessConfig)| WitnessStatus {
            name: witness.key.name().to_owned(),
            url: config.url.clone(),
            signed: 0,
            error: None,
        };
        let all = witnesses.iter().zip(&parts.config.witnesses);
        let state = State {
            published: published.and_then(read),
            withheld: None,
            witnesses: all.map(status).collect(),
        };
        let log = Self {
            parts,
            origin,
            signers,
            witnesses,
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
            required: self.parts.config.witnesses_required,
            witnesses: state.witnesses,
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
        let signed = self.state().witnesses.clone();
        let signed = signed.iter().filter(|witness| witness.signed > newest);
        published.filter(enough).ok_or(LogError::NotYet {
            wanted: at_least,
            published: newest,
            signed: signed.count(),
            required: self.parts.config.witnesses_required,
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

    /// Signs the tree as it is now, has witnesses sign it, and publishes it where enough did.
    async fn advance(&self) -> Result<(), LogError> {
        let _turn = self.turn.lock().await;
        let (size, root) = self.parts.ledger.head();
        let known = self.published().map_or(0, |published| published.size);
        let lag = |witness: &WitnessStatus| witness.signed != size;
        if size == 0 || size == known && !self.state().witnesses.iter().any(lag) {
            return Ok(());
        }
        self.agrees().await?;
        let mut note = self.sign(size, root);
        let mut row = CheckpointRow {
            size,
            root: root.to_vec(),
            note: note.to_string(),
            signed_at: self.parts.clock.now(),
            published_at: None,
        };
        let tree = self.parts.store.ledger_tree();
        if size != known {
            // Written down before anybody sees it: after a crash nothing else is signed over as many entries.
            tree.put_checkpoint(&row).await?;
        }
        self.ask_witnesses(size, &mut note).await;
        let policy = Trust {
            witnesses: self
                .witnesses
                .iter()
                .map(|witness| witness.key.clone())
                .collect(),
            required: self.parts.config.witnesses_required,
            ..self.trust()
        };
        if let Err(error) = policy.open(&note) {
            tracing::warn!(%error, entries = size, "the checkpoint is not published");
            return Ok(());
        }
        row.note = note.to_string();
        row.published_at = Some(self.parts.clock.now());
        tree.put_checkpoint(&row).await?;
        self.state().published = read(row);
        Ok(())
    }

    /// Asks all witnesses at once, and puts what they sign under the note.
    async fn ask_witnesses(&self, size: u64, note: &mut Note) {
        let mut asked = tokio::task::JoinSet::new();
        for (at, witness) in self.witnesses.iter().enumerate() {
            let saw = self
                .state()
                .witnesses
                .get(at)
                .map_or(0, |status| status.signed);
            let (witness, ledger, note) =
                (witness.clone(), self.parts.ledger.clone(), note.clone());
            asked.spawn(async move { (at, witness.ask(&ledger, (size, &note), saw).await) });
        }
        while let Some(answered) = asked.join_next().await {
            let Ok((at, answered)) = answered else {
                continue;
            };
            let mut state = self.state();
            let Some(status) = state.witnesses.get_mut(at) else {
                continue;
            };
            match answered {
                Ok(signature) => {
                    status.signed = size;
                    status.error = None;
                    note.sign(signature);
                }
                Err(error) => {
                    // What does not change is said once.
                    if status.error.as_ref() != Some(&error) {
                        tracing::error!(%error, witness = status.name, "a witness did not sign");
                    }
                    status.error = Some(error);
                }
            }
        }
    }

    fn sign(&self, size: u64, root: Hash) -> Note {
        let origin = self.origin.clone();
        let mut note = Note::new(Checkpoint { origin, size, root }.text());
        for (public, key) in &self.signers {
            let bytes = key.sign(note.text().as_bytes());
            let (name, id) = (public.name().to_owned(), public.id());
            note.sign(Signature { name, id, bytes });
        }
        note
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
