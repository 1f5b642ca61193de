//! Where passwords are judged and hashed: off the threads that serve requests, a few at a time, so that no
//! flood of log-ins can take all memory or all processors.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

/// Who may wait at once. Each of them holds a request, no memory of the hash.
const MAX_WAITING: usize = 256;
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// Why a work on a password was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkshopError {
    /// Too many are waiting.
    #[error("too many passwords are being checked: try again in a few seconds")]
    Busy,
    /// The work broke off.
    #[error("the work on a password broke off")]
    Broken,
}

/// Bounds what is spent on passwords; clones share it.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// Who works or waits.
    places: Arc<Semaphore>,
    /// Who works.
    benches: Arc<Semaphore>,
}

impl Default for Workshop {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self::new(processors.clamp(2, 8))
    }
}

impl Workshop {
    /// One in which `benches` works are done at a time.
    #[must_use]
    pub fn new(benches: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            benches: Arc::new(Semaphore::new(benches)),
        }
    }

    /// Does a work when there is room for it.
    ///
    /// # Errors
    /// When too many are waiting, or it takes too long until there is room.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WorkshopError> {
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| WorkshopError::Busy)?;
        let bench = tokio::time::timeout(MAX_WAIT, self.benches.clone().acquire_owned());
        let bench = bench.await.map_err(|_| WorkshopError::Busy)?;
        let bench = bench.map_err(|_| WorkshopError::Broken)?;
        // Both are held by the work itself: whoever stops waiting for it does not make it stop.
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((bench, place));
            done
        });
        task.await.map_err(|_| WorkshopError::Broken)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_works_at_once_than_there_are_benches() {
        let workshop = Workshop::new(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let (workshop, now, most) = (workshop.clone(), now.clone(), most.clone());
            tasks.spawn(async move {
                let work = move || {
                    let here = now.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(here, Ordering::SeqCst);
                    let _ = crate::PasswordHash::of("a work of some length");
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                workshop.run(work).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.expect("runs"), Ok(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_so_at_once() {
        let workshop = Workshop::new(1);
        let _all = workshop
            .places
            .clone()
            .try_acquire_many_owned(MAX_WAITING as u32)
            .expect("are free");
        assert_eq!(workshop.run(|| ()).await, Err(WorkshopError::Busy));
    }
}
