//! What people say about actions, playbooks and the switch.

use palisade_core::{ActionId, ActionState, CaseId, Impact, Mode, Target, port::Parameters};
use palisade_store::{ActionFilter, ActionRecord, CaseChange, PlaybookSwitch};
use serde_json::json;

use super::{Respond, intake::entry, orders::Draft};
use crate::{
    DeskError, Playbook, PlaybookInfo, PlaybookProblem, RespondError, Switch,
    action::{self, ActionEvent, later},
    guard::Ruling,
    playbook::SubjectKind,
    subject::Subject,
};

/// An action that a person orders.
#[derive(Debug, Clone, PartialEq)]
pub struct Hand {
    /// For which case.
    pub case: CaseId,
    /// What: the name of an action.
    pub action: String,
    /// On what.
    pub target: Target,
    /// How exactly.
    pub parameters: Parameters,
    /// After how many seconds it is undone by itself.
    pub ttl_s: Option<u64>,
    /// Why.
    pub reason: String,
}

impl Respond {
    /// Orders an action by hand. What cannot be undone waits for another person, where two are asked for.
    ///
    /// # Errors
    /// When there is no such case or action, the parameters are not valid, the action does not apply to
    /// the target, the target is never touched, or it cannot be done or need not be as things stand.
    pub async fn order(&self, hand: Hand, by: &str) -> Result<ActionRecord, DeskError> {
        let effector = self.effector(&hand.action).ok_or_else(|| {
            let names: Vec<&str> = self.actions().iter().map(|one| one.name).collect();
            DeskError::Invalid(format!(
                "there is no action {:?}; there are {}",
                hand.action,
                names.join(", ")
            ))
        })?;
        effector
            .check(&hand.parameters)
            .map_err(|error| DeskError::Invalid(format!("action {}: {error}", hand.action)))?;
        if !effector.applies_to(&hand.target) {
            let why = format!("{} does not apply to {}", hand.action, hand.target);
            return Err(DeskError::Invalid(why));
        }
        let is_held = !matches!(effector.impact(), Impact::None | Impact::Permanent);
        if hand.ttl_s.is_some() && !is_held {
            let why = format!("{} leaves nothing that could be undone", hand.action);
            return Err(DeskError::Invalid(why));
        }
        let record = {
            let _desk = self.desk.lock().await;
            let case = self.case(hand.case).await?;
            let subject = self.subject_of(&hand.target).await?;
            self.may_touch(&hand.target, &subject)?;
            let about = (&hand.target, subject.device.as_ref());
            let objection = self
                .objection(effector.as_ref(), about, &hand.parameters)
                .await;
            if let Some(objection) = objection {
                return Err(DeskError::Refused(objection.to_string()));
            }
            let is_for_two = effector.impact() == Impact::Permanent && self.config.second_person;
            let ruling = match is_for_two {
                true => Ruling {
                    state: ActionState::Waiting,
                    why: "what cannot be undone asks for another person's approval".to_owned(),
                },
                false => Ruling {
                    state: ActionState::Running,
                    why: format!("ordered by {by}"),
                },
            };
            let context = json!({
                "title": case.title,
                "severity": case.severity,
                "subject": case.subject,
                "state": case.state,
                "ordered_by": by,
            });
            let draft = Draft {
                case: case.id,
                playbook: None,
                parameters: hand.parameters,
                mode: if is_for_two {
                    Mode::Approve
                } else {
                    Mode::Auto
                },
                ttl_s: hand.ttl_s,
                reason: hand.reason,
                context,
                ordered_by: Some(by.to_owned()),
            };
            let record = self.record(draft, effector.as_ref(), hand.target, &subject, ruling);
            let change = CaseChange {
                actions: vec![record.clone()],
                ..CaseChange::default()
            };
            self.store.cases().write(&change).await?;
            record
        };
        self.dispatch(std::slice::from_ref(&record));
        self.tell_ordered(std::slice::from_ref(&record)).await;
        Ok(record)
    }

    pub(super) async fn subject_of(&self, target: &Target) -> Result<Subject, DeskError> {
        let (device, source, kind) = match target {
            Target::Device(id) => {
                let found = self.store.devices().find(id).await?;
                if found.is_none() {
                    return Err(DeskError::Invalid(format!("there is no device {id}")));
                }
                (found, None, SubjectKind::Device)
            }
            Target::Address(address) => (None, Some(*address), SubjectKind::Address),
            Target::ApiToken(_) => (None, None, SubjectKind::ApiToken),
            Target::Account(_) => (None, None, SubjectKind::Account),
            Target::Fleet => (None, None, SubjectKind::Fleet),
        };
        Ok(Subject {
            text: target.to_string(),
            kind,
            device,
            source,
        })
    }

    fn may_touch(&self, target: &Target, subject: &Subject) -> Result<(), DeskError> {
        let never = &self.config.never_touch;
        match never.covers(target, subject.device.as_ref()) {
            Some(why) => Err(DeskError::Refused(format!(
                "the configuration says that it is never touched: {why}"
            ))),
            None => Ok(()),
        }
    }

    /// Approves an action that waits. Where the same was done to the same target meanwhile, nothing is done a second
    /// time: the action ends and says which one holds, and that one holds as long as this one would have.
    ///
    /// # Errors
    /// When there is none, it does not wait, it is never touched by now, it cannot be done or need not be any longer
    /// (then it is over), or the person ordered it.
    pub async fn approve(&self, id: ActionId, by: &str) -> Result<ActionRecord, DeskError> {
        let record = self.action(id).await?;
        if self.config.second_person && record.ordered_by.as_deref() == Some(by) {
            let why = "who ordered an action cannot approve it: ask somebody else";
            return Err(DeskError::Refused(why.to_owned()));
        }
        if let Target::Device(device) = &record.order.target
            && self.store.devices().find(device).await?.is_none()
        {
            return Err(DeskError::Refused(format!("there is no device {device}")));
        }
        let subject = self.subject_of(&record.order.target).await?;
        self.may_touch(&record.order.target, &subject)?;
        if record.state == ActionState::Waiting
            && let Some(objection) = self.objection_to(&record).await?
        {
            let moot = ActionEvent::Moot(objection.to_string());
            self.decide(record, moot).await?;
            return Err(DeskError::Refused(format!(
                "{objection}; the action is over"
            )));
        }
        if let Some(twin) = self.twin(&record).await? {
            let (id, why) = (twin.order.id, "approved, and done already by action");
            self.hold_as_long(twin, record.ttl_s).await?;
            let done = ActionEvent::DoneBefore(by.to_owned(), format!("{why} {id}"));
            return self.decide(record, done).await;
        }
        let approved = self
            .decide(record, ActionEvent::Approved(by.to_owned()))
            .await?;
        if self.runs.try_send(vec![approved.clone()]).is_err() {
            tracing::debug!("the runner is busy: it finds what is due by itself");
        }
        Ok(approved)
    }

    /// A newer action that did the same to the same target: one that is in force, or that took what cannot be given
    /// back. What only tells somebody has none.
    async fn twin(&self, waiting: &ActionRecord) -> Result<Option<ActionRecord>, DeskError> {
        if waiting.impact == Impact::None || waiting.state != ActionState::Waiting {
            return Ok(None);
        }
        let filter = ActionFilter {
            states: vec![ActionState::Running, ActionState::Done],
            target: Some(waiting.order.target.to_string()),
            action: Some(waiting.order.action.clone()),
            case: None,
        };
        let newer = self.store.actions().list(None, 16, &filter).await?;
        Ok(newer.into_iter().find(|one| {
            let is_done = one.is_in_force() || one.impact == Impact::Permanent;
            one.order.id > waiting.order.id && is_done
        }))
    }

    /// Lets an action in force hold at least so long from now.
    async fn hold_as_long(
        &self,
        mut twin: ActionRecord,
        ttl_s: Option<u64>,
    ) -> Result<(), DeskError> {
        let Some(until) = twin.until.filter(|_| twin.state == ActionState::Done) else {
            return Ok(());
        };
        twin.until = ttl_s.map(|ttl| until.max(later(self.clock.now(), ttl)));
        twin.due_at = twin.until;
        self.store
            .actions()
            .replace(ActionState::Done, &twin)
            .await?;
        Ok(())
    }

    /// Rejects an action that waits.
    ///
    /// # Errors
    /// When there is none, or it does not wait.
    pub async fn reject(
        &self,
        id: ActionId,
        by: &str,
        reason: &str,
    ) -> Result<ActionRecord, DeskError> {
        let record = self.action(id).await?;
        let event = ActionEvent::Rejected(by.to_owned(), reason.to_owned());
        self.decide(record, event).await
    }

    /// Takes back an action that is done. It is under way when this returns.
    ///
    /// # Errors
    /// When there is none, it is not done, or it left nothing that could be undone.
    pub async fn undo(
        &self,
        id: ActionId,
        by: &str,
        reason: &str,
    ) -> Result<ActionRecord, DeskError> {
        let record = self.action(id).await?;
        let event = ActionEvent::Undo(by.to_owned(), reason.to_owned());
        let undoing = self.decide(record, event).await?;
        if self.runs.try_send(vec![undoing.clone()]).is_err() {
            tracing::debug!("the runner is busy: it finds what is due by itself");
        }
        Ok(undoing)
    }

    /// An action.
    ///
    /// # Errors
    /// When there is none.
    pub async fn action(&self, id: ActionId) -> Result<ActionRecord, DeskError> {
        let found = self.store.actions().find(id).await?;
        found.ok_or(DeskError::NoAction(id))
    }

    async fn decide(
        &self,
        mut record: ActionRecord,
        event: ActionEvent,
    ) -> Result<ActionRecord, DeskError> {
        let before = record.state;
        action::step(&mut record, event, self.clock.now())?;
        if !self.store.actions().replace(before, &record).await? {
            let why = "the action moved on in the same moment: look at it, then try again";
            return Err(DeskError::Refused(why.to_owned()));
        }
        self.tell(std::slice::from_ref(&record))
            .await
            .map_err(|error| match error {
                RespondError::Journal(error) => DeskError::Journal(error),
                RespondError::Store(error) => DeskError::Store(error),
                other => DeskError::Refused(other.to_string()),
            })?;
        Ok(record)
    }

    /// Stops all automatic action, or lets it go on. What waits goes on waiting.
    ///
    /// # Errors
    /// When it cannot be written down. Stopping is in force all the same, until the server stops.
    pub async fn turn(&self, stopped: bool, reason: &str, by: &str) -> Result<Switch, DeskError> {
        let switch = Switch {
            stopped,
            reason: reason.to_owned(),
            by: Some(by.to_owned()),
            at: Some(self.clock.now()),
        };
        self.switch.turn(switch.clone()).await?;
        Ok(switch)
    }

    /// The playbooks, by name.
    #[must_use]
    pub fn playbooks(&self) -> Vec<PlaybookInfo> {
        self.book.all()
    }

    /// Why the directory of playbooks as it is now is not in force; nothing where it is.
    #[must_use]
    pub fn playbook_problem(&self) -> Option<PlaybookProblem> {
        self.book.problem()
    }

    /// A playbook.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn playbook(&self, name: &str) -> Result<PlaybookInfo, DeskError> {
        let found = self.book.find(name);
        found.ok_or_else(|| DeskError::NoPlaybook(name.chars().take(80).collect()))
    }

    /// Reads a text as a playbook against what this installation can do, and puts it nowhere.
    ///
    /// # Errors
    /// Says what is wrong with it, and on which line.
    pub fn check_playbook(&self, text: &str) -> Result<Playbook, PlaybookProblem> {
        self.book.check(text)
    }

    /// Switches a playbook on or off. What it ordered before goes on.
    ///
    /// # Errors
    /// When there is none of that name, or it cannot be written down.
    pub async fn switch_playbook(
        &self,
        name: &str,
        enabled: bool,
        by: &str,
    ) -> Result<PlaybookInfo, DeskError> {
        let playbook = self.playbook(name)?;
        let switch = PlaybookSwitch {
            playbook: playbook.playbook.name.clone(),
            enabled,
            changed_by: by.to_owned(),
            changed_at: self.clock.now(),
        };
        self.store.actions().switch_playbook(&switch).await?;
        self.book.note(&switch);
        self.playbook(name)
    }

    /// Adds a line to a case's timeline.
    pub(super) fn line(
        &self,
        case: CaseId,
        kind: &str,
        by: &str,
        text: String,
    ) -> palisade_store::CaseEntry {
        entry(case, self.clock.now(), kind, Some(by), text)
    }
}
