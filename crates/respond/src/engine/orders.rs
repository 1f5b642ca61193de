//! Ordering actions: what playbooks say, held against the guard rails.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use palisade_core::{
    ActionId, ActionState, CaseId, Impact, Mode, Order, Target, Timestamp,
    port::{Effector, Parameters},
};
use palisade_store::{ActionFilter, ActionRecord, Besides, Part, StoreError};
use serde_json::Value;

use super::{Respond, batch::Pending, intake::About};
use crate::{
    action::{earlier, later},
    guard::{self, Hits, Ruling},
    playbook::{Playbook, Step},
    subject::Subject,
};

/// How long the size of a part of the fleet is taken for what it was.
const SIZE_HOLDS: Duration = Duration::from_secs(60);
/// The same, where something would have to wait because of it.
const SIZE_HOLDS_AT_LEAST: Duration = Duration::from_secs(2);
/// Parts of the fleet whose size is remembered.
const MAX_SIZES: usize = 10_000;
/// The longest time that doubles: beyond, repeat offenders double no longer.
const MAX_DOUBLINGS: u64 = 16;

/// What ordering an action came to.
pub(super) enum Ordered {
    /// A new one.
    New(Box<ActionRecord>),
    /// One in force, which now holds longer.
    Joined(Box<ActionRecord>),
    /// None: it does not apply, or its turn has not come.
    Nothing,
}

impl Respond {
    /// Orders one step of a playbook.
    pub(super) async fn order_step(
        &self,
        playbook: &Playbook,
        step: &Step,
        about: &About<'_>,
        context: &Value,
    ) -> Result<Ordered, StoreError> {
        let (case, subject) = (about.case, about.subject);
        let Some(effector) = self.effectors.get(step.action.as_str()) else {
            return Ok(Ordered::Nothing);
        };
        if self.has_no_destination(step) {
            return Ok(Ordered::Nothing);
        }
        let mut targets = subject.targets().into_iter();
        let Some(target) = targets.find(|target| effector.applies_to(target)) else {
            return Ok(Ordered::Nothing);
        };
        let now = self.clock.now();
        if let Some(times) = step.only_if_repeated
            && self.offences(playbook, &target, now).await? < times
        {
            return Ok(Ordered::Nothing);
        }
        let ttl_s = self.ttl(step, &target, now).await?;
        let ruling = self
            .rule((effector.as_ref(), step), &target, subject, about.pending)
            .await?;
        if let Some(joined) = self.join(step, &target, ttl_s, &ruling).await? {
            return Ok(Ordered::Joined(Box::new(joined)));
        }
        let draft = Draft {
            case: case.id,
            playbook: Some(playbook.name.clone()),
            parameters: step.parameters.clone(),
            mode: step.mode,
            ttl_s,
            reason: format!("{}: {}", playbook.name, case.title),
            context: context.clone(),
            ordered_by: None,
        };
        let record = self.record(draft, effector.as_ref(), target, subject, ruling);
        Ok(Ordered::New(Box::new(record)))
    }

    /// A shipped playbook tells whoever is called `default`, who need not be there.
    fn has_no_destination(&self, step: &Step) -> bool {
        step.parameters.get("to").and_then(Value::as_str) == Some("default")
            && !self.destinations.has(&step.action, "default")
    }

    /// How often other actions of a playbook were in force on a target.
    async fn offences(
        &self,
        playbook: &Playbook,
        target: &Target,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let since = earlier(now, self.config.repeat_window_s);
        let mut most = 0;
        for step in playbook
            .actions
            .iter()
            .filter(|step| step.only_if_repeated.is_none())
        {
            let actions = self.store.actions();
            let times = actions
                .times(&step.action, &target.to_string(), since)
                .await?;
            most = most.max(times);
        }
        Ok(most)
    }

    /// How long an action is to hold: twice as long for each time that the target was there before.
    async fn ttl(
        &self,
        step: &Step,
        target: &Target,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let Some(ttl) = step.ttl else {
            return Ok(None);
        };
        let since = earlier(now, self.config.repeat_window_s);
        let actions = self.store.actions();
        let times = actions
            .times(&step.action, &target.to_string(), since)
            .await?;
        let longer = ttl.seconds().saturating_mul(1 << times.min(MAX_DOUBLINGS));
        Ok(Some(longer.min(self.config.max_ttl_s.max(ttl.seconds()))))
    }

    /// The same action on the same target, where one is in force: it is joined, and holds longer where this
    /// one would be done now. One that waits for a person is joined by another that would wait, and never
    /// holds up one that would not.
    pub(super) async fn join(
        &self,
        step: &Step,
        target: &Target,
        ttl_s: Option<u64>,
        ruling: &Ruling,
    ) -> Result<Option<ActionRecord>, StoreError> {
        let (is_now, waits) = (
            ruling.state == ActionState::Running,
            ruling.state == ActionState::Waiting,
        );
        if !is_now && !waits {
            return Ok(None);
        }
        let filter = ActionFilter {
            states: vec![
                ActionState::Waiting,
                ActionState::Running,
                ActionState::Done,
            ],
            target: Some(target.to_string()),
            action: Some(step.action.clone()),
            case: None,
        };
        let live = self.store.actions().list(None, 16, &filter).await?;
        let to = step.parameters.get("to");
        let found = live.into_iter().find(|record| {
            let is_live = record.is_in_force() || (waits && record.state == ActionState::Waiting);
            is_live && record.order.parameters.get("to") == to
        });
        let Some(mut record) = found else {
            return Ok(None);
        };
        if let (true, Some(until), Some(ttl)) = (is_now, record.until, ttl_s) {
            record.until = Some(until.max(later(self.clock.now(), ttl)));
            record.due_at = record.until;
        }
        Ok(Some(record))
    }

    pub(super) async fn rule(
        &self,
        (effector, step): (&dyn Effector, &Step),
        target: &Target,
        subject: &Subject,
        pending: &Pending,
    ) -> Result<Ruling, StoreError> {
        let device = subject.device.as_ref();
        let (stopped, impact) = (self.switch.stopped(), effector.impact());
        // Who is only told about is not touched.
        let untouchable = match impact {
            Impact::None => None,
            _ => self.config.never_touch.covers(target, device),
        };
        let about = (target, device);
        let objection = self.objection(effector, about, &step.parameters).await;
        let hits = self.hits(impact, target, subject, pending).await?;
        Ok(guard::rule(&guard::Case {
            mode: step.mode,
            max_mode: self.config.max_mode,
            impact,
            stopped: stopped.as_deref(),
            untouchable: untouchable.as_deref(),
            objection: objection.as_ref(),
            hits: &hits,
        }))
    }

    /// How much happened already, over the fleet and over the parts of it that the target is of.
    async fn hits(
        &self,
        impact: Impact,
        target: &Target,
        subject: &Subject,
        pending: &Pending,
    ) -> Result<Vec<Hits>, StoreError> {
        let caps = &self.config.caps;
        let since = earlier(self.clock.now(), caps.window_s);
        let (actions, target_name) = (self.store.actions(), target.to_string());
        let besides = Besides {
            target: &target_name,
            segments: &caps.drill_segments,
        };
        let of_device = match target {
            Target::Device(_) => subject.device.as_ref(),
            Target::Address(_) | Target::ApiToken(_) | Target::Account(_) | Target::Fleet => None,
        };
        let is_drill =
            of_device.is_some_and(|device| caps.drill_segments.contains(&device.posture.segment));
        let others = match is_drill {
            true => 0,
            false => actions.hit(impact, &Part::Fleet, &besides, since).await?,
        };
        // Of what is pending nothing takes anything, so that only what tells somebody can matter.
        let not_written = if impact == Impact::None {
            pending.told()
        } else {
            0
        };
        if not_written > 0 && others + not_written >= caps.count(impact) {
            pending.doubt();
        }
        let mut hits = vec![Hits {
            of: "the fleet".to_owned(),
            others,
            cap: caps.count(impact),
        }];
        let Some(device) = of_device.filter(|_| impact >= Impact::Full && !is_drill) else {
            return Ok(hits);
        };
        let segment = &device.posture.segment;
        let parts = [
            (format!("segment {segment}"), Part::Segment(segment)),
            (
                format!("product {}", device.product),
                Part::Product(&device.product),
            ),
        ];
        for (of, part) in parts {
            let others = actions.hit(impact, &part, &besides, since).await?;
            let mut cap = caps.share(self.size(&of, &part, SIZE_HOLDS).await?);
            if others >= cap {
                cap = caps.share(self.size(&of, &part, SIZE_HOLDS_AT_LEAST).await?);
            }
            hits.push(Hits { of, others, cap });
        }
        Ok(hits)
    }

    /// How many devices a part of the fleet has, as of a while ago.
    async fn size(&self, of: &str, part: &Part<'_>, holds: Duration) -> Result<u64, StoreError> {
        let held = self.sizes.lock().get(of).copied();
        if let Some((counted, size)) = held
            && counted.elapsed() < holds
        {
            return Ok(size);
        }
        let size = self.size_now(part).await?;
        let mut sizes = self.sizes.lock();
        if sizes.len() >= MAX_SIZES {
            sizes.clear();
        }
        sizes.insert(of.to_owned(), (Instant::now(), size));
        Ok(size)
    }

    async fn size_now(&self, part: &Part<'_>) -> Result<u64, StoreError> {
        let drills = &self.config.caps.drill_segments;
        self.store.actions().size(part, drills).await
    }

    /// An action as it is first written down.
    pub(super) fn record(
        &self,
        draft: Draft,
        effector: &dyn Effector,
        target: Target,
        subject: &Subject,
        ruling: Ruling,
    ) -> ActionRecord {
        let now = self.clock.now();
        let of_device = match &target {
            Target::Device(_) => subject.device.as_ref(),
            Target::Address(_) | Target::ApiToken(_) | Target::Account(_) | Target::Fleet => None,
        };
        let due_at = match ruling.state {
            ActionState::Running => Some(now),
            ActionState::Waiting => Some(later(now, self.config.approval_timeout_s)),
            _ => None,
        };
        let is_over = due_at.is_none();
        ActionRecord {
            order: Order {
                id: ActionId::generate(),
                case: draft.case,
                action: effector.name().to_owned(),
                target,
                parameters: draft.parameters,
                reason: draft.reason,
                context: draft.context,
            },
            playbook: draft.playbook,
            impact: effector.impact(),
            mode: draft.mode,
            state: ruling.state,
            why: ruling.why,
            told: None,
            ordered_by: draft.ordered_by,
            decided_by: None,
            refused: false,
            lifted: false,
            product: of_device.map(|device| device.product.clone()),
            segment: of_device.map(|device| device.posture.segment.clone()),
            ttl_s: draft.ttl_s,
            ordered_at: now,
            done_at: None,
            until: None,
            due_at,
            ended_at: is_over.then_some(now),
            attempts: 0,
            memory: None,
        }
    }

    /// Hands what is to be done to the runner. What it has no room for it finds by itself.
    pub(super) fn dispatch(&self, records: &[ActionRecord]) {
        for record in records {
            self.counters.ordered.fetch_add(1, Ordering::Relaxed);
            if record.state == ActionState::Waiting {
                self.counters.waited.fetch_add(1, Ordering::Relaxed);
            }
        }
        let is_running = |record: &&ActionRecord| record.state == ActionState::Running;
        let running: Vec<ActionRecord> = records.iter().filter(is_running).cloned().collect();
        if !running.is_empty() && self.runs.try_send(running).is_err() {
            tracing::debug!("the runner is busy: it finds what is due by itself");
        }
    }

    /// Writes into the journal what was ordered; of what runs the runner tells.
    pub(super) async fn tell_ordered(&self, records: &[ActionRecord]) {
        let is_still = |record: &&ActionRecord| record.state != ActionState::Running;
        let still: Vec<ActionRecord> = records.iter().filter(is_still).cloned().collect();
        if still.is_empty() {
            return;
        }
        if let Err(error) = self.tell(&still).await {
            tracing::warn!(%error, "orders could not be written into the journal; it is tried again");
            self.has_untold.store(true, Ordering::Relaxed);
        }
    }
}

/// What an order says.
pub(super) struct Draft {
    pub(super) case: CaseId,
    pub(super) playbook: Option<String>,
    pub(super) parameters: Parameters,
    pub(super) mode: Mode,
    pub(super) ttl_s: Option<u64>,
    pub(super) reason: String,
    pub(super) context: Value,
    pub(super) ordered_by: Option<String>,
}

impl Respond {
    /// The effector of a name.
    pub(super) fn effector(&self, name: &str) -> Option<&Arc<dyn Effector>> {
        self.effectors.get(name)
    }
}
