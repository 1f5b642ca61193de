//! Doing what was ordered. What is written down as running is done, whoever wrote it and whether or not
//! the process that did still lives.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use palisade_core::{ActionState, Impact, port::EffectError};
use palisade_store::{ActionRecord, CaseChange, StoreError};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    LOOK, Respond,
    claims::{Claim, Claims},
    intake::entry,
};
use crate::{
    RespondError,
    action::{self, ActionEvent, later},
    case::{self, CaseEvent},
};

/// Actions of one lane at once.
const OF_LANE: usize = 4;
/// Actions of one lane that are read at once.
const READ: u32 = 32;
/// The longest that one attempt takes; an effector has its own, shorter patience.
const PATIENCE: Duration = Duration::from_secs(60);
/// Actions whose state is told again at once.
const TELL: u32 = 256;

/// Does what is due.
pub(super) struct Runner {
    respond: Arc<Respond>,
    lanes: HashMap<String, Arc<Semaphore>>,
    claims: Claims,
    tasks: JoinSet<()>,
}

impl Runner {
    pub(super) fn new(respond: Arc<Respond>) -> Self {
        Self {
            respond,
            lanes: HashMap::new(),
            claims: Claims::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Works until `cancel`, and ends what is under way.
    pub(super) async fn run(
        mut self,
        mut runs: mpsc::Receiver<Vec<ActionRecord>>,
        cancel: &CancellationToken,
    ) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(records) = runs.recv() => self.begin(records),
                Some(_) = self.tasks.join_next() => {}
                _ = look.tick() => {
                    if let Err(error) = self.look().await {
                        tracing::warn!(%error, "it could not be looked for actions that are due");
                    }
                }
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Begins the actions of a run: those that take something one after the other, and each that only
    /// tells somebody by itself, so that nothing waits for a destination that hangs.
    fn begin(&mut self, records: Vec<ActionRecord>) {
        let (telling, taking): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|record| record.impact == Impact::None);
        for record in telling {
            self.begin_one(record);
        }
        let claimed: Vec<(Claim, ActionRecord)> = taking
            .into_iter()
            .filter_map(|record| Some((self.claims.claim(record.order.id)?, record)))
            .collect();
        let respond = self.respond.clone();
        self.tasks.spawn(async move {
            for (_claim, record) in claimed {
                respond.work_on(record).await;
            }
        });
    }

    /// Begins one action where its lane has room; otherwise it is found again.
    fn begin_one(&mut self, record: ActionRecord) {
        let lane = self
            .lanes
            .entry(record.lane())
            .or_insert_with(|| Arc::new(Semaphore::new(OF_LANE)));
        let Ok(place) = lane.clone().try_acquire_owned() else {
            return;
        };
        let Some(claim) = self.claims.claim(record.order.id) else {
            return;
        };
        let respond = self.respond.clone();
        self.tasks.spawn(async move {
            respond.work_on(record).await;
            drop((claim, place));
        });
    }

    /// Looks for what is due, lane by lane.
    async fn look(&mut self) -> Result<(), StoreError> {
        let (respond, now) = (self.respond.clone(), self.respond.clock.now());
        if respond.has_untold.swap(false, Ordering::Relaxed)
            && let Err(error) = self.tell_untold().await
        {
            tracing::warn!(%error, "what was done could not be written into the journal; it is tried again");
            respond.has_untold.store(true, Ordering::Relaxed);
        }
        let actions = respond.store.actions();
        for lane in actions.due_lanes(now).await? {
            let room = self
                .lanes
                .get(&lane)
                .map_or(OF_LANE, |lane| lane.available_permits());
            if room == 0 {
                continue;
            }
            for record in actions.due(&lane, now, READ).await? {
                self.begin_one(record);
            }
        }
        Ok(())
    }

    /// Writes into the journal what a process that died did not.
    async fn tell_untold(&self) -> Result<(), RespondError> {
        let mut left = self.respond.store.actions().untold(TELL).await?;
        while !left.is_empty() {
            self.respond.tell(&left).await?;
            left = self.respond.store.actions().untold(TELL).await?;
        }
        Ok(())
    }
}

impl Respond {
    /// Takes an action on by one step, if it is due.
    async fn work_on(&self, record: ActionRecord) {
        let (id, action) = (record.order.id, record.order.action.clone());
        if let Err(error) = self.take_on(record).await {
            tracing::warn!(%id, action, %error, "an action could not be taken on; it is tried again");
        }
    }

    async fn take_on(&self, given: ActionRecord) -> Result<(), RespondError> {
        // What was read may have moved on while it waited for its turn.
        let Some(record) = self.store.actions().find(given.order.id).await? else {
            return Ok(());
        };
        let now = self.clock.now();
        if record.due_at.is_none_or(|due| due > now) {
            return Ok(());
        }
        match record.state {
            ActionState::Running => self.apply(record).await,
            ActionState::Undoing => self.undo_now(record).await,
            ActionState::Waiting => self.change(record, ActionEvent::Expired).await.map(drop),
            ActionState::Done if record.until.is_none_or(|until| until > now) => {
                self.look_at(record).await
            }
            ActionState::Done => match self.change(record, ActionEvent::Ended).await? {
                Some(undoing) => self.undo_now(undoing).await,
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    async fn apply(&self, record: ActionRecord) -> Result<(), RespondError> {
        if record.is_automatic()
            && let Some(why) = self.switch.stopped()
        {
            let why = format!("all automatic action is stopped {why}");
            let until = later(self.clock.now(), self.config.approval_timeout_s);
            let stopped = ActionEvent::Stopped(why, until);
            if self.change(record, stopped).await?.is_some() {
                self.counters.waited.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(());
        }
        let Some(effector) = self.effector(&record.order.action).cloned() else {
            let why = "there is no such action any longer".to_owned();
            return self
                .change(record, ActionEvent::Failed(why))
                .await
                .map(drop);
        };
        let is_first = record.attempts == 0 && record.told != Some(ActionState::Running);
        let doing = tokio::time::timeout(PATIENCE, effector.apply(&record.order));
        // The target does not wait for the journal; that it was done is told after that it began.
        let (applied, told) = tokio::join!(doing, async {
            match is_first {
                true => self.tell(std::slice::from_ref(&record)).await,
                false => Ok(()),
            }
        });
        let event = match applied {
            Ok(Ok(memory)) => ActionEvent::Applied(memory),
            Ok(Err(EffectError::Failed(error))) => self.faltered(&record, error.to_string()),
            Ok(Err(error)) => ActionEvent::Failed(error.to_string()),
            Err(_) => self.faltered(&record, "it took too long".to_owned()),
        };
        let changed = self.change(record, event).await?;
        match changed.map(|record| record.state) {
            Some(ActionState::Done) => self.counters.done.fetch_add(1, Ordering::Relaxed),
            Some(ActionState::Failed) => self.counters.failed.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        told
    }

    fn faltered(&self, record: &ActionRecord, why: String) -> ActionEvent {
        let until = later(record.ordered_at, self.config.retry_for_s);
        ActionEvent::Faltered(why, until)
    }

    async fn undo_now(&self, record: ActionRecord) -> Result<(), RespondError> {
        let memory = record.memory.clone().unwrap_or_default();
        let undone = match self.effector(&record.order.action).cloned() {
            Some(effector) => {
                let doing = effector.undo(&record.order, &memory);
                tokio::time::timeout(PATIENCE, doing)
                    .await
                    .unwrap_or_else(|_| Err(EffectError::Failed("it took too long".into())))
            }
            None => Err(EffectError::NotApplicable(
                "there is no such action any longer".to_owned(),
            )),
        };
        let event = match undone {
            Ok(()) => ActionEvent::Undone(String::new()),
            Err(EffectError::Failed(error)) => ActionEvent::UndoFaltered(error.to_string()),
            // What is not there any longer need not be undone.
            Err(error) => ActionEvent::Undone(error.to_string()),
        };
        if let Some(record) = self.change(record, event).await?
            && record.state == ActionState::Undone
        {
            self.counters.undone.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes an action on by a step, writes it down and tells the journal; `None` where somebody else was
    /// faster.
    pub(super) async fn change(
        &self,
        mut record: ActionRecord,
        event: ActionEvent,
    ) -> Result<Option<ActionRecord>, RespondError> {
        let before = record.state;
        let stepped = action::step(&mut record, event, self.clock.now());
        self.watch(&mut record);
        if stepped.is_err() || !self.store.actions().replace(before, &record).await? {
            return Ok(None);
        }
        if record.state != before {
            if let Err(error) = self.tell(std::slice::from_ref(&record)).await {
                self.has_untold.store(true, Ordering::Relaxed);
                tracing::warn!(%error, "what was done could not be written into the journal; it is tried again");
            }
            self.settle_case(&record).await?;
        }
        Ok(Some(record))
    }

    /// Lets a case follow what was done to its subject.
    pub(super) async fn settle_case(&self, record: &ActionRecord) -> Result<(), RespondError> {
        let event = match record.state {
            ActionState::Done if record.impact >= Impact::Full => CaseEvent::Contained,
            ActionState::Undone if record.impact >= Impact::Full => CaseEvent::Released,
            _ => return Ok(()),
        };
        let _desk = self.desk.lock().await;
        let Some(mut case) = self.store.cases().find(record.order.case).await? else {
            return Ok(());
        };
        // A campaign has many subjects, of which this is one.
        if case.subject != record.order.target.to_string() {
            return Ok(());
        }
        let Ok(state) = case::step(case.state, event) else {
            return Ok(());
        };
        if state == case.state {
            return Ok(());
        }
        let now = self.clock.now();
        (case.state, case.updated_at) = (state, now);
        let text = format!("{}: {} {}", state.as_str(), record.order.action, record.why);
        let change = CaseChange {
            entries: vec![entry(case.id, now, "state", None, text)],
            cases: vec![case],
            ..CaseChange::default()
        };
        Ok(self.store.cases().write(&change).await?)
    }
}
