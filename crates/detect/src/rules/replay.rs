//! Replay: what rules would have found in events that are stored. Nothing is raised.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use palisade_core::{Event, Severity, Timestamp};
use palisade_store::{EventFilter, Store, StoreError};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    FlatEvent, RuleEngine, RuleError, RuleMatch, Rules, SigmaEngine, posted, watcher::subject,
};
use crate::{Seen, directory::Directory};

/// The most events of a replay.
const MAX_EVENTS: u64 = 5_000_000;
/// The longest that a replay may take.
const MAX_TIME: Duration = Duration::from_secs(15 * 60);
/// The most lines of a report.
const MAX_LINES: usize = 10_000;
const BATCH: u32 = 1_000;

/// What is to be replayed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplayOrder {
    /// Events since then; all that are stored if absent.
    pub after: Option<Timestamp>,
    /// Events before then.
    pub until: Option<Timestamp>,
    /// Rules to try instead of those in force.
    pub text: Option<String>,
}

/// How far a replay came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// It goes on.
    Running,
    /// It is done, or stopped at one of its bounds.
    Done,
    /// It was stopped.
    Stopped,
    /// It failed.
    Failed,
}

/// What a rule would have said about somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Which rule.
    pub rule: String,
    /// What it is called.
    pub title: String,
    /// How bad it would be.
    pub severity: Severity,
    /// About whom.
    pub subject: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
}

/// A replay, and what it found until now.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// How far it came.
    pub state: ReplayState,
    /// Events looked at.
    pub events: u64,
    /// How far through the stored events it is, 0 to 100.
    pub percent: u8,
    /// The time of the event that it looked at last.
    pub reached: Option<Timestamp>,
    /// Whether it stopped at its bound on events or time before the end.
    pub is_cut: bool,
    /// Matches that found no line in the report, which has ten thousand at most.
    pub beyond: u64,
    /// Why it failed.
    pub problem: Option<String>,
    /// What would have been found, the worst and most frequent first.
    pub found: Vec<Replayed>,
}

/// Why a replay did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is one already.
    #[error("a replay is running: wait for it, or stop it")]
    Busy,
    /// The rules to try are wrong.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

/// The replay that is running, or the one that ran last.
#[derive(Debug, Default)]
pub(super) struct Replays(Mutex<Option<Job>>);

#[derive(Debug, Clone)]
struct Job {
    cancel: CancellationToken,
    replay: Arc<Mutex<Replay>>,
}

impl Rules {
    /// Begins a replay; there is one at a time.
    ///
    /// # Errors
    /// When one is running, or the rules to try are wrong.
    pub fn start_replay(&self, order: ReplayOrder) -> Result<Replay, ReplayError> {
        let set = match &order.text {
            Some(text) => Arc::new(posted(text)?),
            None => self.set(),
        };
        let mut current = self.replays.0.lock();
        if let Some(job) = current.as_ref()
            && job.replay.lock().state == ReplayState::Running
        {
            return Err(ReplayError::Busy);
        }
        let job = Job {
            cancel: CancellationToken::new(),
            replay: Arc::new(Mutex::new(Replay::begun())),
        };
        let run = Run {
            job: job.clone(),
            store: self.store.clone(),
            directory: Directory::new(self.store.clone()),
            engine: set.engine(),
            order,
            lines: HashMap::new(),
            matches: Vec::new(),
        };
        // It ends by itself within its bounds, and holds nothing that must be closed.
        tokio::spawn(run.run());
        let replay = job.replay.lock().clone();
        *current = Some(job);
        Ok(replay)
    }

    /// The replay that is running, or the one that ran last.
    #[must_use]
    pub fn replay(&self) -> Option<Replay> {
        let job = self.replays.0.lock().clone()?;
        let replay = job.replay.lock().clone();
        Some(replay)
    }

    /// Stops the replay that is running; `false` where there is none.
    pub fn stop_replay(&self) -> bool {
        let job = self.replays.0.lock().clone();
        job.is_some_and(|job| {
            job.cancel.cancel();
            job.replay.lock().state == ReplayState::Running
        })
    }
}

impl Replay {
    fn begun() -> Self {
        Self {
            state: ReplayState::Running,
            events: 0,
            percent: 0,
            reached: None,
            is_cut: false,
            beyond: 0,
            problem: None,
            found: Vec::new(),
        }
    }
}

struct Run {
    job: Job,
    store: Store,
    directory: Directory,
    engine: SigmaEngine,
    order: ReplayOrder,
    /// By rule and subject.
    lines: HashMap<(usize, String), Replayed>,
    matches: Vec<RuleMatch>,
}

impl Run {
    async fn run(mut self) {
        let ended = self.replay().await;
        let mut replay = self.job.replay.lock();
        match ended {
            Ok(()) if self.job.cancel.is_cancelled() => replay.state = ReplayState::Stopped,
            Ok(()) => {
                replay.state = ReplayState::Done;
                if !replay.is_cut {
                    replay.percent = 100;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a replay of rules failed");
                replay.state = ReplayState::Failed;
                replay.problem = Some(error.to_string());
            }
        }
    }

    async fn replay(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        let newest = self.store.journal().newest_event().await?;
        let first = match self.order.after {
            Some(after) => position(&self.store, after, newest).await?,
            None => 0,
        };
        let mut reached = first;
        while reached < newest && !self.job.cancel.is_cancelled() {
            let all = EventFilter::default();
            let stored = self
                .store
                .journal()
                .events_after(reached, BATCH, &all)
                .await?;
            let Some(last) = stored.last() else {
                return Ok(());
            };
            reached = last.position;
            for one in &stored {
                let Ok(event) = serde_json::from_str::<Event>(&one.body) else {
                    continue;
                };
                if self.order.until.is_some_and(|until| event.time >= until) {
                    self.publish(&event, 1, reached, (first, newest));
                    return Ok(());
                }
                self.look(one.position, &event).await?;
            }
            if let Some(Ok(event)) = stored.last().map(|one| serde_json::from_str(&one.body)) {
                self.publish(&event, stored.len() as u64, reached, (first, newest));
            }
            let mut replay = self.job.replay.lock();
            if replay.events >= MAX_EVENTS || started.elapsed() >= MAX_TIME {
                replay.is_cut = reached < newest;
                return Ok(());
            }
        }
        Ok(())
    }

    async fn look(&mut self, position: u64, event: &Event) -> Result<(), StoreError> {
        let device = match event.principal.as_ref().and_then(|who| who.device()) {
            Some(id) => self.directory.find(id).await?,
            None => None,
        };
        let seen = Seen {
            position,
            event,
            device: device.as_deref(),
        };
        let flat = FlatEvent::of(&seen);
        // What was "now" then is not known; it was about when the event was written down.
        self.engine.evaluate(&flat, event.time, &mut self.matches);
        for found in std::mem::take(&mut self.matches) {
            let subject = subject(&found, &seen).to_string();
            self.note(&found, subject, event.time);
        }
        Ok(())
    }

    fn note(&mut self, found: &RuleMatch, subject: String, at: Timestamp) {
        let key = (found.rule, subject);
        if let Some(line) = self.lines.get_mut(&key) {
            line.count += 1;
            line.first = line.first.min(at);
            line.last = line.last.max(at);
            return;
        }
        let rules = self.engine.set().rules();
        let (true, Some(rule)) = (self.lines.len() < MAX_LINES, rules.get(found.rule)) else {
            self.job.replay.lock().beyond += 1;
            return;
        };
        let line = Replayed {
            rule: rule.id.clone(),
            title: rule.title.clone(),
            severity: rule.severity,
            subject: key.1.clone(),
            count: 1,
            first: at,
            last: at,
        };
        self.lines.insert(key, line);
    }

    fn publish(&self, event: &Event, events: u64, reached: u64, (first, newest): (u64, u64)) {
        let mut found: Vec<Replayed> = self.lines.values().cloned().collect();
        found.sort_by(|one, other| {
            let key = |line: &Replayed| (line.severity, line.count);
            let worst = key(other).cmp(&key(one));
            worst.then_with(|| (&one.rule, &one.subject).cmp(&(&other.rule, &other.subject)))
        });
        let share = (reached - first) * 100 / (newest - first).max(1);
        let mut replay = self.job.replay.lock();
        replay.events += events;
        replay.percent = u8::try_from(share.min(100)).unwrap_or(100);
        replay.reached = Some(event.time);
        replay.found = found;
    }
}

/// The position before the first event since a time. Events are stored about in the order of their times.
async fn position(store: &Store, after: Timestamp, newest: u64) -> Result<u64, StoreError> {
    let (mut low, mut high) = (0, newest);
    while low < high {
        let middle = low + (high - low) / 2;
        let all = EventFilter::default();
        let next = store.journal().events_after(middle, 1, &all).await?;
        let is_before = next.first().is_some_and(|stored| {
            let event = serde_json::from_str::<Event>(&stored.body);
            event.is_ok_and(|event| event.time < after)
        });
        match is_before {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}
