//! Actions whose end is not ours alone to bring about: they are looked at until they are over.

use std::{sync::atomic::Ordering, time::Duration};

use palisade_core::{
    ActionState, Mode,
    port::{EffectError, Parameters, Progress},
};
use palisade_store::{ActionRecord, CaseChange};

use super::{Respond, batch::Pending, intake::entry, orders::Draft};
use crate::{
    DeskError, RespondError,
    action::{ActionEvent, later},
    playbook::Step,
};

/// How often an action that waits for something is looked at, in seconds.
const EVERY_S: u64 = 5;
/// The longest that one look takes.
const PATIENCE: Duration = Duration::from_secs(10);

impl Respond {
    /// Has an action that is done looked at until it is over, where its effector asks for it.
    pub(super) fn watch(&self, record: &mut ActionRecord) {
        let is_watched = self
            .effector(&record.order.action)
            .is_some_and(|effector| effector.is_watched());
        if is_watched && record.state == ActionState::Done && record.memory.is_some() {
            let next = later(self.clock.now(), EVERY_S);
            record.due_at = Some(record.until.map_or(next, |until| until.min(next)));
        }
    }

    /// Looks at an action that is done and in force.
    pub(super) async fn look_at(&self, mut record: ActionRecord) -> Result<(), RespondError> {
        let memory = record.memory.clone().unwrap_or_default();
        let Some(effector) = self.effector(&record.order.action).cloned() else {
            return Ok(());
        };
        let looking = effector.look(&record.order, &memory);
        let progress = match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(progress)) => progress,
            Ok(Err(EffectError::Failed(error))) => {
                tracing::debug!(%error, action = %record.order.id, "it cannot be said where an action stands");
                Progress::Waits(record.why.clone())
            }
            Ok(Err(error)) => Progress::Waits(error.to_string()),
            Err(_) => Progress::Waits(record.why.clone()),
        };
        let why = match progress {
            Progress::Over(why) => {
                return match self.change(record, ActionEvent::Over(why)).await? {
                    Some(over) => self.note_over(&over).await,
                    None => Ok(()),
                };
            }
            Progress::Holds => record.why.clone(),
            Progress::Waits(why) => why,
            Progress::Overdue { why, then } => {
                if record.why != why {
                    self.tell_overdue(&record, &why, then).await?;
                }
                why
            }
        };
        let is_news = record.why != why;
        record.why = why;
        self.watch(&mut record);
        if is_news {
            record.told = None;
        }
        let replaced = self
            .store
            .actions()
            .replace(ActionState::Done, &record)
            .await?;
        if is_news && replaced {
            self.tell_soon(&record).await;
        }
        Ok(())
    }

    /// It came to its end: the journal hears of it, although it is done as before.
    async fn note_over(&self, over: &ActionRecord) -> Result<(), RespondError> {
        let text = format!("{}: {}", over.order.action, over.why);
        let line = entry(over.order.case, self.clock.now(), "action", None, text);
        let change = CaseChange {
            entries: vec![line],
            ..CaseChange::default()
        };
        self.store.cases().write(&change).await?;
        self.tell_soon(over).await;
        Ok(())
    }

    async fn tell_soon(&self, record: &ActionRecord) {
        if let Err(error) = self.tell(std::slice::from_ref(record)).await {
            tracing::warn!(%error, "where an action stands could not be written into the journal; it is tried again");
            self.has_untold.store(true, Ordering::Relaxed);
        }
    }

    /// A person is told that an action waits longer than it should, and what is to follow is ordered, inside the
    /// guard rails.
    async fn tell_overdue(
        &self,
        record: &ActionRecord,
        why: &str,
        then: Option<&'static str>,
    ) -> Result<(), RespondError> {
        let _desk = self.desk.lock().await;
        let next = match then {
            Some(action) => self.order_next(record, action, why).await?,
            None => None,
        };
        let text = format!("{}: {why}", record.order.action);
        let line = entry(record.order.case, self.clock.now(), "action", None, text);
        let change = CaseChange {
            entries: vec![line],
            actions: next.iter().cloned().collect(),
            ..CaseChange::default()
        };
        self.store.cases().write(&change).await?;
        if let Some(next) = next {
            self.dispatch(std::slice::from_ref(&next));
            self.tell_ordered(std::slice::from_ref(&next)).await;
        }
        Ok(())
    }

    /// The action that follows another; `None` where it is there already or does not apply.
    async fn order_next(
        &self,
        after: &ActionRecord,
        action: &str,
        why: &str,
    ) -> Result<Option<ActionRecord>, RespondError> {
        let Some(effector) = self.effector(action).cloned() else {
            return Ok(None);
        };
        let target = after.order.target.clone();
        let subject = match self.subject_of(&target).await {
            Ok(subject) => subject,
            Err(DeskError::Store(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let step = Step {
            action: action.to_owned(),
            parameters: Parameters::new(),
            mode: Mode::Auto,
            ttl: None,
            only_if_repeated: None,
        };
        let ruling = self
            .rule(
                (effector.as_ref(), &step),
                &target,
                &subject,
                &Pending::default(),
            )
            .await?;
        if self.join(&step, &target, None, &ruling).await?.is_some() {
            return Ok(None);
        }
        let draft = Draft {
            case: after.order.case,
            playbook: after.playbook.clone(),
            parameters: step.parameters,
            mode: step.mode,
            ttl_s: None,
            reason: format!("{}: {why}", after.order.action),
            context: after.order.context.clone(),
            ordered_by: None,
        };
        Ok(Some(self.record(
            draft,
            effector.as_ref(),
            target,
            &subject,
            ruling,
        )))
    }
}
