//! Drills that are due: the server has itself attacked, by its own program, with a token that ends with the drill.
//! Only one process has the data directory, so that only one rehearses. What a drill came to is kept where those
//! are kept that people run.

use std::{net::IpAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use palisade_api::setup;
use palisade_core::{
    Actor, AdministrativeAct, Clock, Door, Event, EventKind, Outcome, Timestamp, port::Journal,
};
use palisade_store::{DrillSchedule, Store, StoreError};
use tokio::{process::Command, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    client::TOKEN_VARIABLE,
    config::DrillsSection,
    failure::{Context, Failure},
};

/// How often it is looked whether one is due.
const TICK: Duration = Duration::from_secs(1);
/// How long after a start one begins that was missed, in seconds; at most.
const CATCH_UP_S: u64 = 300;
/// The longest that a drill of all scenarios takes, and the life of its token.
const LONGEST: Duration = Duration::from_secs(1_800);
/// Who runs it, in the history of drills.
const NAME: &str = "drill-schedule";
/// What the token may do: what `palisade drill run` needs.
const SCOPES: [&str; 7] = [
    "devices:read",
    "devices:write",
    "tokens:write",
    "policy:read",
    "policy:write",
    "detect:read",
    "detect:write",
];
/// The longest outcome that is kept, in characters.
const MAX_OUTCOME: usize = 300;

/// Where the doors are, as the drill reaches them.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    pub(super) host: String,
    pub(super) people: u16,
    pub(super) devices: u16,
    pub(super) mqtt: u16,
    pub(super) root: PathBuf,
}

/// Has drills run when they are due.
pub(super) struct Drills {
    pub(super) store: Store,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: DrillsSection,
    pub(super) doors: Doors,
}

impl Drills {
    /// Rehearses until `cancel`.
    pub(super) async fn run(self, cancel: CancellationToken) {
        let opened = match self.open().await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "the schedule of drills cannot be read: none runs by itself");
                return;
            }
        };
        let mut schedule = opened;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(tick.tick()).await.is_some() {
            if schedule.due_at.is_none_or(|due| due > self.clock.now()) {
                continue;
            }
            // What is cut off here is seen at the next start: it is written down as running.
            let rehearsed = cancel
                .run_until_cancelled(self.rehearse(&mut schedule))
                .await;
            if let Some(Err(error)) = rehearsed {
                tracing::warn!(%error, "the drill that was due could not be written down");
            }
        }
    }

    async fn open(&self) -> Result<DrillSchedule, StoreError> {
        let drills = self.store.drills();
        let known = drills.schedule().await?.unwrap_or_default();
        let schedule = resumed(known, self.config.every_s, self.clock.now());
        drills.put_schedule(&schedule).await?;
        if let Some(at) = schedule.last_missed_at.filter(|at| *at == self.clock.now()) {
            tracing::warn!(%at, missed = schedule.missed, "a drill was missed while the server was away");
        }
        Ok(schedule)
    }

    async fn rehearse(&self, schedule: &mut DrillSchedule) -> Result<(), StoreError> {
        let drills = self.store.drills();
        begin(schedule, self.clock.now());
        drills.put_schedule(schedule).await?;
        let outcome = match self.attack().await {
            Ok(true) => "passed".to_owned(),
            Ok(false) => "failed".to_owned(),
            Err(failure) => format!("did not run: {}", failure.message()),
        };
        match outcome.as_str() {
            "passed" => tracing::info!("the drill that was due has passed"),
            other => tracing::warn!(outcome = other, "the drill that was due has not passed"),
        }
        end(schedule, outcome, self.clock.now());
        drills.put_schedule(schedule).await
    }

    /// Attacks; says whether all was found and ended as it should be.
    async fn attack(&self) -> Result<bool, Failure> {
        let scopes = SCOPES.map(str::to_owned).to_vec();
        let made = setup::make_passing_token(
            &self.store,
            self.clock.as_ref(),
            (NAME.to_owned(), scopes),
            LONGEST,
        );
        let (token, secret) = made.await?;
        self.record("api_token.create", &token.to_string()).await?;
        let attacked = self.run_program(&secret).await;
        self.store.tokens().revoke_api(token).await?;
        self.record("api_token.revoke", &token.to_string()).await?;
        attacked
    }

    async fn run_program(&self, secret: &str) -> Result<bool, Failure> {
        let program = std::env::current_exe().context("this program")?;
        let doors = &self.doors;
        let mut command = Command::new(program);
        command.args(["drill", "run", "--json", "--server"]);
        command.arg(format!("https://{}:{}", doors.host, doors.people));
        command.arg("--ca").arg(&doors.root);
        command.args([
            "--devices",
            &format!("https://{}:{}", doors.host, doors.devices),
            "--mqtt",
            &format!("{}:{}", doors.host, doors.mqtt),
            "--second-address",
            &self.config.second_address.to_string(),
        ]);
        match self.config.scenarios.as_slice() {
            [] => command.arg("--all"),
            some => command.args(some),
        };
        command
            .env(TOKEN_VARIABLE, secret)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LONGEST, command.output()).await;
        let output = output
            .map_err(|_| Failure::new("it took too long".to_owned()))?
            .context("palisade drill run")?;
        let answer: Option<serde_json::Value> = serde_json::from_slice(&output.stdout).ok();
        match answer.and_then(|answer| answer["passed"].as_bool()) {
            Some(passed) => Ok(passed),
            None => Err(Failure::new(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            )),
        }
    }

    async fn record(&self, act: &str, target: &str) -> Result<(), Failure> {
        let act = AdministrativeAct {
            actor: Actor::System("drills".to_owned()),
            act: act.to_owned(),
            target: format!("{target} ({NAME})"),
            reason: None,
            outcome: Outcome::Done,
        };
        let kind = EventKind::Administrative(act);
        let event = Event::new(self.clock.now(), Door::Internal, kind);
        self.journal.record(vec![event]).await.context("the ledger")
    }
}

/// The schedule as it goes on after a start.
fn resumed(mut known: DrillSchedule, every_s: u64, now: Timestamp) -> DrillSchedule {
    let changed = known.every_s != every_s;
    known.every_s = every_s;
    if known.running_since.take().is_some() {
        known.last_outcome = Some("interrupted: the server stopped".to_owned());
        known.last_ended_at = Some(now);
        known.due_at = Some(now);
    }
    if every_s == 0 {
        known.due_at = None;
        return known;
    }
    known.due_at = match known.due_at {
        Some(due) if due < now => {
            let late = now.duration_since(due).as_secs().unsigned_abs();
            known.missed += 1 + late / every_s;
            known.last_missed_at = Some(now);
            Some(later(now, CATCH_UP_S.min(every_s)))
        }
        Some(due) if due == now => Some(later(now, CATCH_UP_S.min(every_s))),
        Some(due) if !changed => Some(due.min(later(now, every_s))),
        _ => Some(later(now, every_s)),
    };
    known
}

fn begin(schedule: &mut DrillSchedule, now: Timestamp) {
    schedule.running_since = Some(now);
    schedule.last_started_at = Some(now);
    schedule.due_at = Some(later(now, schedule.every_s));
}

fn end(schedule: &mut DrillSchedule, outcome: String, now: Timestamp) {
    schedule.running_since = None;
    schedule.last_ended_at = Some(now);
    schedule.last_outcome = Some(outcome.chars().take(MAX_OUTCOME).collect());
    // One that took longer than its turn is followed by a rest, not by the next one.
    let next = later(now, 1);
    schedule.due_at = schedule.due_at.map(|due| due.max(next));
}

fn later(now: Timestamp, seconds: u64) -> Timestamp {
    let wait = Duration::from_secs(seconds);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The address that a drill uses to reach a door which listens on `port`.
pub(crate) fn host(server_names: &[String]) -> String {
    let is_address = |name: &&String| name.parse::<IpAddr>().is_ok();
    let named = server_names.iter().find(|name| !is_address(name));
    named.map_or_else(|| "localhost".to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, seconds)
    }

    #[test]
    fn the_first_is_due_after_one_period_and_each_after_the_one_before() {
        let mut schedule = resumed(DrillSchedule::default(), DAY, at(0));
        assert_eq!(schedule.due_at, Some(at(DAY)));
        begin(&mut schedule, at(DAY));
        end(&mut schedule, "passed".to_owned(), at(DAY + 60));
        assert_eq!(schedule.due_at, Some(at(2 * DAY)));
        assert_eq!(schedule.last_outcome.as_deref(), Some("passed"));
    }

    #[test]
    fn one_that_was_due_while_the_server_was_away_is_counted_and_run_soon() {
        let schedule = resumed(DrillSchedule::default(), DAY, at(0));
        let schedule = resumed(schedule, DAY, at(3 * DAY + 10));
        assert_eq!(schedule.missed, 3);
        assert_eq!(schedule.last_missed_at, Some(at(3 * DAY + 10)));
        assert_eq!(schedule.due_at, Some(at(3 * DAY + 10 + CATCH_UP_S)));
        let again = resumed(schedule.clone(), DAY, at(3 * DAY + 20));
        assert_eq!(again, schedule, "it is counted once");
    }

    #[test]
    fn one_that_the_server_did_not_survive_is_said_and_run_again() {
        let mut schedule = resumed(DrillSchedule::default(), DAY, at(0));
        begin(&mut schedule, at(DAY));
        let schedule = resumed(schedule, DAY, at(DAY + 5));
        let outcome = schedule.last_outcome.as_deref().unwrap_or_default();
        assert!(outcome.starts_with("interrupted"), "{outcome}");
        assert_eq!((schedule.running_since, schedule.missed), (None, 0));
        assert_eq!(schedule.due_at, Some(at(DAY + 5 + CATCH_UP_S)));
    }

    #[test]
    fn a_clock_that_was_set_back_puts_none_off_for_years_and_zero_is_never() {
        let schedule = resumed(DrillSchedule::default(), DAY, at(1_000 * DAY));
        let schedule = resumed(schedule, DAY, at(10));
        assert_eq!(schedule.due_at, Some(at(DAY + 10)));
        assert_eq!(resumed(schedule, 0, at(20)).due_at, None);
    }
}
