//! Tasks with an owner: who awaits them, hears when one ends before its time, and stops them.

use std::{collections::HashMap, fmt::Display, future::Future, time::Duration};

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How a task ended that was to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) part: &'static str,
    pub(crate) why: String,
}

/// Tasks that live and end together.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    cancel: CancellationToken,
    running: JoinSet<Result<(), String>>,
    parts: HashMap<Id, &'static str>,
}

impl Tasks {
    /// What tells the tasks to end.
    pub(crate) fn cancel(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Runs a part.
    pub(crate) fn spawn<E: Display>(
        &mut self,
        part: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let task = async move { run.await.map_err(|error| error.to_string()) };
        let id = self.running.spawn(task).id();
        self.parts.insert(id, part);
    }

    /// Waits until a task ends that was to run on.
    pub(crate) async fn first(&mut self) -> Ended {
        match self.running.join_next_with_id().await {
            Some(joined) => self.ended(joined).unwrap_or_else(|part| Ended {
                part,
                why: "it ended by itself".to_owned(),
            }),
            None => std::future::pending().await,
        }
    }

    /// Tells all to end and waits for them, at most for so long; returns those that did not end well.
    pub(crate) async fn stop(mut self, patience: Duration) -> Vec<Ended> {
        self.cancel.cancel();
        let deadline = tokio::time::Instant::now() + patience;
        let mut bad = Vec::new();
        while let Ok(Some(joined)) =
            tokio::time::timeout_at(deadline, self.running.join_next_with_id()).await
        {
            bad.extend(self.ended(joined).ok());
        }
        bad.extend(self.parts.drain().map(|(_, part)| Ended {
            part,
            why: format!("it did not end within {} s", patience.as_secs()),
        }));
        self.running.shutdown().await;
        bad
    }

    /// How a task ended badly, or the part that ended well.
    fn ended(
        &mut self,
        joined: Result<(Id, Result<(), String>), JoinError>,
    ) -> Result<Ended, &'static str> {
        let (id, result) = match joined {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(error.to_string())),
        };
        let part = self.parts.remove(&id).unwrap_or("task");
        match result {
            Ok(()) => Err(part),
            Err(why) => Ok(Ended { part, why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_before_its_time_is_named() {
        let mut tasks = Tasks::default();
        let cancel = tasks.cancel();
        tasks.spawn("good", async move {
            cancel.cancelled().await;
            Ok::<_, String>(())
        });
        tasks.spawn("bad", async { Err("it broke") });
        let ended = tasks.first().await;
        assert_eq!((ended.part, ended.why.as_str()), ("bad", "it broke"));
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, []);
    }

    #[tokio::test]
    async fn a_part_that_panics_or_hangs_is_named() {
        let mut tasks = Tasks::default();
        async fn panics() -> Result<(), String> {
            panic!("it broke")
        }
        tasks.spawn("panics", panics());
        assert_eq!(tasks.first().await.part, "panics");
        tasks.spawn("hangs", std::future::pending::<Result<(), String>>());
        let bad = tasks.stop(Duration::from_millis(20)).await;
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].part, "hangs");
    }
}
