//! Actions: what is done about cases, written down before it is done.

use palisade_core::{
    ActionId, ActionState, CaseId, Impact, Mode, Order, ProductId, SegmentId, Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, any::AnyRow};

use crate::{Store, StoreError, query_builder::QueryBuilder, row, transaction::Lane};

/// An action as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// What is ordered.
    #[serde(flatten)]
    pub order: Order,
    /// By which playbook; absent where a person ordered it.
    pub playbook: Option<String>,
    /// How much it takes from its target.
    pub impact: Impact,
    /// How it is done.
    pub mode: Mode,
    /// How far it came.
    pub state: ActionState,
    /// Why it is in that state, for people.
    pub why: String,
    /// The last state that the journal knows.
    pub told: Option<ActionState>,
    /// Which person ordered it.
    pub ordered_by: Option<String>,
    /// Which person approved, rejected or undid it.
    pub decided_by: Option<String>,
    /// Whether that person rejected or undid it.
    #[serde(default)]
    pub refused: bool,
    /// Whether what it did was taken back from without: by a person who released its target.
    #[serde(default)]
    pub lifted: bool,
    /// The product of its target, if that is a device.
    pub product: Option<ProductId>,
    /// The segment of its target, if that is a device.
    pub segment: Option<SegmentId>,
    /// How long it is to hold, in seconds; without an end where absent.
    pub ttl_s: Option<u64>,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// When it was first in force.
    pub done_at: Option<Timestamp>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// When it has to be looked at next.
    pub due_at: Option<Timestamp>,
    /// When it was over: undone, rejected, failed, or done where it holds nothing.
    pub ended_at: Option<Timestamp>,
    /// How often the step under way was tried.
    pub attempts: u32,
    /// What the effector remembers, to undo it.
    pub memory: Option<serde_json::Value>,
}

impl ActionRecord {
    /// Whether no person had a part in it.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.ordered_by.is_none() && self.decided_by.is_none()
    }

    /// Whether it takes something from its target now: it is under way, or holds what can be undone.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        match self.state {
            ActionState::Running | ActionState::Undoing => true,
            ActionState::Done => self.memory.is_some(),
            _ => false,
        }
    }

    /// Whether it took something from its target, or may have, with no person having a part in it. What a person took
    /// back counts no longer, what ended by itself does.
    fn is_hit(&self) -> bool {
        let may_have = matches!(
            self.state,
            ActionState::Running
                | ActionState::Done
                | ActionState::Failed
                | ActionState::Undoing
                | ActionState::Undone
        );
        self.is_automatic() && !self.lifted && may_have
    }

    /// Those that share a lane share a pace: one that hangs holds up nobody in another lane.
    #[must_use]
    pub fn lane(&self) -> String {
        match self.order.parameters.get("to").and_then(|to| to.as_str()) {
            Some(to) => format!("{}/{to}", self.order.action),
            None => self.order.action.clone(),
        }
    }
}

/// Which actions to read.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// In these states; in any where there are none.
    pub states: Vec<ActionState>,
    /// For this case.
    pub case: Option<CaseId>,
    /// On this target (`device/<id>`).
    pub target: Option<String>,
    /// Of this name.
    pub action: Option<String>,
}

/// Whose share is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// All.
    Fleet,
    /// Devices of a product.
    Product(&'a ProductId),
    /// Devices of a segment.
    Segment(&'a SegmentId),
}

/// What is not counted.
#[derive(Debug, Clone, Copy)]
pub struct Besides<'a> {
    /// This target.
    pub target: &'a str,
    /// The devices of these segments.
    pub segments: &'a [SegmentId],
}

/// A playbook that a person switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaybookSwitch {
    /// Which.
    pub playbook: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Who switched it.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
}

/// The repository of actions.
#[derive(Debug)]
pub struct Actions<'a> {
    store: &'a Store,
}

impl Store {
    /// Actions.
    #[must_use]
    pub fn actions(&self) -> Actions<'_> {
        Actions { store: self }
    }
}

impl Actions<'_> {
    /// Writes an action down where it is still in the state `expected`; `false` where somebody was faster.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace(
        &self,
        expected: ActionState,
        record: &ActionRecord,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE actions SET state = $3, told = $4, automatic = $5, due_at = $6, body = $7, \
             in_force = $8, hits = $9 WHERE id = $1 AND state = $2",
        )
        .bind(record.order.id.to_string())
        .bind(state_name(expected))
        .bind(state_name(record.state))
        .bind(record.told.map(state_name))
        .bind(i64::from(record.is_automatic()))
        .bind(record.due_at.map(row::nanos))
        .bind(row::to_json(record, "action")?)
        .bind(i64::from(record.is_in_force()))
        .bind(i64::from(record.is_hit()))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Notes that the journal knows of the states that these are in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn told(&self, records: &[ActionRecord]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Cases).await?;
        for record in records {
            sqlx::query("UPDATE actions SET told = $2 WHERE id = $1")
                .bind(record.order.id.to_string())
                .bind(state_name(record.state))
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Finds an action.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, id: ActionId) -> Result<Option<ActionRecord>, StoreError> {
        sqlx::query("SELECT * FROM actions WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read(&found))
            .transpose()
    }

    /// Actions, newest first, ordered before `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        before: Option<ActionId>,
        limit: u32,
        filter: &ActionFilter,
    ) -> Result<Vec<ActionRecord>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM actions WHERE 1 = 1");
        if let Some(before) = before {
            query.push(" AND id < ").push_bind(before.to_string());
        }
        if let Some(case) = filter.case {
            query.push(" AND case_id = ").push_bind(case.to_string());
        }
        if let Some(target) = &filter.target {
            query.push(" AND target = ").push_bind(target.clone());
        }
        if let Some(action) = &filter.action {
            query.push(" AND action = ").push_bind(action.clone());
        }
        push_states(&mut query, &filter.states);
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// The lanes in which something is due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_lanes(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let rows =
            sqlx::query("SELECT DISTINCT lane FROM actions WHERE due_at <= $1 ORDER BY lane")
                .bind(row::nanos(now))
                .fetch_all(self.store.readers())
                .await?;
        rows.iter().map(|found| row::text(found, "lane")).collect()
    }

    /// What is due in a lane, that for longest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due(
        &self,
        lane: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ActionRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM actions WHERE due_at <= $1 AND lane = $2 ORDER BY due_at, id LIMIT $3",
        )
        .bind(row::nanos(now))
        .bind(lane)
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Those of whose state the journal does not know.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn untold(&self, limit: u32) -> Result<Vec<ActionRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM actions WHERE told IS NULL OR told <> state ORDER BY id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read).collect()
    }

    /// How many targets an impact hit automatically in a part of the fleet, besides `besides`: those on
    /// which it is in force, and those on which it was in force since a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hit(
        &self,
        impact: Impact,
        part: &Part<'_>,
        besides: &Besides<'_>,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut query = QueryBuilder::new("SELECT COUNT(*) AS n FROM (");
        query.push("SELECT target FROM actions WHERE in_force = 1 AND automatic = 1");
        push_hit(&mut query, impact, part, besides);
        query.push(" UNION SELECT target FROM actions WHERE hits = 1 AND ordered_at >= ");
        query.push_bind(row::nanos(since));
        push_hit(&mut query, impact, part, besides);
        query.push(") AS hit");
        let found = query.build().fetch_one(self.store.readers()).await?;
        row::unsigned(&found, "n")
    }

    /// How many devices a part of the fleet has, besides those of some segments.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn size(&self, part: &Part<'_>, besides: &[SegmentId]) -> Result<u64, StoreError> {
        let mut query =
            QueryBuilder::new("SELECT COUNT(*) AS n FROM devices WHERE lifecycle <> 'retired'");
        push_part(&mut query, part);
        push_besides(&mut query, besides);
        let found = query.build().fetch_one(self.store.readers()).await?;
        row::unsigned(&found, "n")
    }

    /// How often an action was in force on a target since a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn times(
        &self,
        action: &str,
        target: &str,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let found = sqlx::query(
            "SELECT COUNT(*) AS n FROM actions WHERE target = $1 AND action = $2 AND ordered_at >= $3 \
             AND state IN ('done', 'undoing', 'undone')",
        )
        .bind(target)
        .bind(action)
        .bind(row::nanos(since))
        .fetch_one(self.store.readers())
        .await?;
        row::unsigned(&found, "n")
    }

    /// How many actions are in a state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(&self, state: ActionState) -> Result<u64, StoreError> {
        let found = sqlx::query("SELECT COUNT(*) AS n FROM actions WHERE state = $1")
            .bind(state_name(state))
            .fetch_one(self.store.readers())
            .await?;
        row::unsigned(&found, "n")
    }

    /// Switches a playbook.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn switch_playbook(&self, switch: &PlaybookSwitch) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO playbook_switches VALUES ($1, $2, $3, $4) ON CONFLICT (playbook) DO UPDATE \
             SET enabled = excluded.enabled, changed_by = excluded.changed_by, \
             changed_at = excluded.changed_at",
        )
        .bind(switch.playbook.as_str())
        .bind(i64::from(switch.enabled))
        .bind(switch.changed_by.as_str())
        .bind(row::nanos(switch.changed_at))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// All playbooks that were ever switched.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn switched_playbooks(&self) -> Result<Vec<PlaybookSwitch>, StoreError> {
        let rows = sqlx::query("SELECT * FROM playbook_switches ORDER BY playbook")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| {
                Ok(PlaybookSwitch {
                    playbook: row::text(found, "playbook")?,
                    enabled: row::flag(found, "enabled")?,
                    changed_by: row::text(found, "changed_by")?,
                    changed_at: row::time(found, "changed_at")?,
                })
            })
            .collect()
    }
}

/// Writes an action down as it is.
pub(crate) async fn put(
    connection: &mut AnyConnection,
    record: &ActionRecord,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO actions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
         $16, $17, $18) ON CONFLICT (id) DO UPDATE SET state = excluded.state, told = excluded.told, \
         automatic = excluded.automatic, in_force = excluded.in_force, hits = excluded.hits, \
         due_at = excluded.due_at, body = excluded.body",
    )
    .bind(record.order.id.to_string())
    .bind(record.order.case.to_string())
    .bind(record.playbook.as_deref())
    .bind(record.order.action.as_str())
    .bind(record.order.target.to_string())
    .bind(impact_name(record.impact))
    .bind(mode_name(record.mode))
    .bind(state_name(record.state))
    .bind(record.told.map(state_name))
    .bind(i64::from(record.is_automatic()))
    .bind(i64::from(record.is_in_force()))
    .bind(i64::from(record.is_hit()))
    .bind(record.product.as_ref().map(ProductId::as_str))
    .bind(record.segment.as_ref().map(SegmentId::as_str))
    .bind(record.lane())
    .bind(row::nanos(record.ordered_at))
    .bind(record.due_at.map(row::nanos))
    .bind(row::to_json(record, "action")?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the actions of one case to another.
pub(crate) async fn move_to(
    connection: &mut AnyConnection,
    from: CaseId,
    to: CaseId,
) -> Result<(), StoreError> {
    // The order inside names its case too; what is read takes the column's word for it.
    sqlx::query("UPDATE actions SET case_id = $2 WHERE case_id = $1")
        .bind(from.to_string())
        .bind(to.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

fn push_hit(query: &mut QueryBuilder, impact: Impact, part: &Part<'_>, besides: &Besides<'_>) {
    query.push(" AND impact = ").push_bind(impact_name(impact));
    query
        .push(" AND target <> ")
        .push_bind(besides.target.to_owned());
    push_part(query, part);
    push_besides(query, besides.segments);
}

fn push_part(query: &mut QueryBuilder, part: &Part<'_>) {
    let (column, id) = match part {
        Part::Fleet => return,
        Part::Product(id) => (" AND product = ", id.as_str()),
        Part::Segment(id) => (" AND segment = ", id.as_str()),
    };
    query.push(column).push_bind(id.to_owned());
}

fn push_besides(query: &mut QueryBuilder, segments: &[SegmentId]) {
    if segments.is_empty() {
        return;
    }
    query.push(" AND (segment IS NULL OR segment NOT IN (");
    let mut names = query.separated(", ");
    for segment in segments {
        names.push_bind(segment.as_str().to_owned());
    }
    query.push("))");
}

fn push_states(query: &mut QueryBuilder, states: &[ActionState]) {
    if states.is_empty() {
        return;
    }
    query.push(" AND state IN (");
    let mut names = query.separated(", ");
    for state in states {
        names.push_bind(state_name(*state));
    }
    query.push(")");
}

fn state_name(state: ActionState) -> &'static str {
    match state {
        ActionState::Observed => "observed",
        ActionState::DryRun => "dry_run",
        ActionState::Waiting => "waiting",
        ActionState::Rejected => "rejected",
        ActionState::Running => "running",
        ActionState::Done => "done",
        ActionState::Failed => "failed",
        ActionState::Undoing => "undoing",
        ActionState::Undone => "undone",
    }
}

fn impact_name(impact: Impact) -> &'static str {
    match impact {
        Impact::None => "none",
        Impact::Partial => "partial",
        Impact::Full => "full",
        Impact::Permanent => "permanent",
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::DryRun => "dry-run",
        Mode::Approve => "approve",
        Mode::Auto => "auto",
    }
}

fn read(found: &AnyRow) -> Result<ActionRecord, StoreError> {
    let mut record: ActionRecord = row::json(found, "body")?;
    record.order.case = row::parse(found, "case_id", CaseId::parse)?;
    let told = row::optional_text(found, "told")?;
    record.told = told
        .map(|text| serde_json::from_value(text.into()))
        .transpose()
        .map_err(|error| StoreError::corrupt("told", error))?;
    Ok(record)
}
