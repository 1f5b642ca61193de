//! What the live view shows: written by the scene, read by whoever draws.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// Where the demo stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server starts.
    Preparing,
    /// Devices get their certificates.
    Enrolling,
    /// All is well.
    Speaking,
    /// One device turns bad.
    Misbehaving,
    /// It is shut out.
    Contained,
}

impl Stage {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Preparing => "the server starts: authority, databases, keys, doors",
            Self::Enrolling => "devices make their keys and enrol over EST",
            Self::Speaking => "devices speak MQTT 5 over mutual TLS, each on topics of its own",
            Self::Misbehaving => {
                "one device turns bad: others' topics, a subscription to #, a flood"
            }
            Self::Contained => "it is shut out; the others go on",
        }
    }
}

/// How a device is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// Not enrolled yet.
    Unknown,
    /// Enrolled.
    Enrolled,
    /// In session.
    Connected,
    /// In session, and misbehaving.
    Bad,
    /// Shut out.
    Contained,
}

/// What the server has counted: of all since its start, or of a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) allowed: f64,
    pub(super) denied: f64,
}

/// Everything that is drawn.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) stage: Stage,
    pub(super) cells: Vec<Cell>,
    pub(super) totals: Counts,
    /// Denials per second, over time.
    pub(super) denials: Vec<u64>,
    /// Messages per second, over time.
    pub(super) messages: Vec<u64>,
    /// The bad device: its name, trust, lifecycle and what is held against it.
    pub(super) suspect: Option<Suspect>,
    /// What happened, and when.
    pub(super) steps: Vec<(Duration, String)>,
}

/// The device that turned bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) id: String,
    pub(super) trust: u8,
    pub(super) lifecycle: String,
    pub(super) reasons: Vec<String>,
}

/// The picture.
#[derive(Debug)]
pub(super) struct Picture {
    started: Instant,
    now: Mutex<Snapshot>,
}

/// As much history as a wide terminal shows.
const HISTORY: usize = 240;

impl Picture {
    pub(super) fn new(devices: u16) -> Self {
        Self {
            started: Instant::now(),
            now: Mutex::new(Snapshot {
                stage: Stage::Preparing,
                cells: vec![Cell::Unknown; devices.into()],
                totals: Counts::default(),
                denials: Vec::new(),
                messages: Vec::new(),
                suspect: None,
                steps: Vec::new(),
            }),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.change(|now| now.clone())
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.step(stage.words());
        self.change(|now| now.stage = stage);
    }

    pub(super) fn set(&self, device: usize, cell: Cell) {
        self.change(|now| {
            if let Some(place) = now.cells.get_mut(device) {
                *place = cell;
            }
        });
    }

    pub(super) fn step(&self, words: impl Into<String>) {
        let at = self.started.elapsed();
        self.change(|now| now.steps.push((at, words.into())));
    }

    /// Notes what was counted so far, and how much of it in a second.
    pub(super) fn count(&self, totals: Counts, rates: Counts) {
        self.change(|now| {
            now.totals = totals;
            for (history, value) in [
                (&mut now.denials, rates.denied),
                (&mut now.messages, rates.allowed),
            ] {
                if history.len() == HISTORY {
                    history.remove(0);
                }
                history.push(value as u64);
            }
        });
    }

    pub(super) fn suspect(&self, suspect: Suspect) {
        self.change(|now| now.suspect = Some(suspect));
    }

    fn change<R>(&self, with: impl FnOnce(&mut Snapshot) -> R) -> R {
        // A panic elsewhere does not spoil a picture.
        let mut now = self
            .now
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        with(&mut now)
    }
}
