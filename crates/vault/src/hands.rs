//! Long work, on threads of its own: what the processors have left for it, as long as it does not fall behind.

use std::{io, thread::JoinHandle};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How work is done beside the work of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// With what the others leave: about a tenth of a processor where they would take all of it.
    Gentle,
    /// As any other work.
    Ordinary,
}

impl Pace {
    /// How work is done that falls behind by so much, where it may by less than `most`.
    pub(crate) fn of(behind: u64, most: u64) -> Self {
        match behind < most {
            true => Self::Gentle,
            false => Self::Ordinary,
        }
    }
}

/// So much nicer than the process is gentle work, as nice(1) counts.
const GENTLE: i32 = 10;
/// No work is nicer.
const NICEST: i32 = 19;

/// The threads that do long work. Dropping this waits for them.
#[derive(Debug, Default)]
pub(crate) struct Hands(Mutex<Vec<JoinHandle<()>>>);

impl Hands {
    /// Has something done, and gives what came of it. A thread is never made less nice again, as that takes a right that
    /// the server has not: each work has its own.
    pub(crate) fn run<T, W>(
        &self,
        pace: Pace,
        work: W,
    ) -> impl Future<Output = io::Result<T>> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (sender, done) = oneshot::channel();
        let work = move || {
            if pace == Pace::Gentle {
                be_gentle();
            }
            // Whoever waited for it may have gone.
            let _ = sender.send(work());
        };
        let begun = std::thread::Builder::new()
            .name("vault-roll".to_owned())
            .spawn(work)
            .map(|thread| self.own(thread));
        async move {
            begun?;
            let ended = |_| io::Error::other("a thread of the vault ended before its work");
            done.await.map_err(ended)
        }
    }

    fn own(&self, thread: JoinHandle<()>) {
        let mut threads = self.0.lock();
        for ended in threads.extract_if(.., |thread| thread.is_finished()) {
            let _ = ended.join();
        }
        threads.push(thread);
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        for thread in self.0.get_mut().drain(..) {
            let _ = thread.join();
        }
    }
}

/// Makes this thread nicer. Where that fails it goes on as it is: the work is the same.
fn be_gentle() {
    // On Linux this is about the thread that calls, whatever POSIX says of processes.
    let nicer = rustix::process::getpriority_process(None)
        .map(|now| now.saturating_add(GENTLE).min(NICEST))
        .and_then(|nice| rustix::process::setpriority_process(None, nice));
    if let Err(error) = nicer {
        tracing::warn!(%error, "a thread of the vault could not be made nicer: it takes from the doors");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).expect("a priority")
    }

    #[tokio::test]
    async fn gentle_work_is_nicer_and_nothing_else_is() {
        let (hands, before) = (Hands::default(), nice());
        let gentle = hands.run(Pace::Gentle, nice).await.expect("is done");
        let ordinary = hands.run(Pace::Ordinary, nice).await.expect("is done");
        assert_eq!(gentle, (before + GENTLE).min(NICEST));
        assert_eq!((ordinary, nice()), (before, before));
    }

    #[test]
    fn work_that_falls_behind_is_done_as_any_other() {
        let paces = [0, 9, 10, 11].map(|behind| Pace::of(behind, 10));
        let (gentle, ordinary) = (Pace::Gentle, Pace::Ordinary);
        assert_eq!(paces, [gentle, gentle, ordinary, ordinary]);
        assert_eq!(Pace::of(0, 0), ordinary);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends_before_its_hands() {
        let hands = Hands::default();
        let (sender, done) = std::sync::mpsc::channel();
        drop(hands.run(Pace::Gentle, move || {
            std::thread::yield_now();
            sender.send(())
        }));
        drop(hands);
        assert_eq!(done.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let hands = Hands::default();
        let panics = hands.run(Pace::Ordinary, || panic!("on purpose"));
        let failed: io::Result<()> = panics.await;
        assert!(failed.is_err());
    }
}
