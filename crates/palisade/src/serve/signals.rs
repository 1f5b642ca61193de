//! What the operating system tells us.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Context, Failure};

/// What ends a program that cleans up after itself.
const ENDS: [(&str, i32); 3] = [("SIGINT", 2), ("SIGTERM", 15), (HANGUP, 1)];
const HANGUP: &str = "SIGHUP";

/// The exit code of a program that was interrupted while it was ending already.
const INTERRUPTED: i32 = 130;

/// Cancels at the first SIGTERM or SIGINT; at the second the process ends at once. What was acknowledged
/// is on disk by then.
pub(crate) fn watch(stop: CancellationToken) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    // Owned by the runtime: it ends with the process, which is what it is for.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(INTERRUPTED);
            }
            stop.cancel();
        }
    });
    Ok(())
}

/// Cancels at SIGINT, SIGTERM and SIGHUP, however often they come: for what leaves nothing behind. A hangup that is
/// ignored (`nohup`) goes on to be.
pub(crate) fn watch_to_clean_up(stop: &CancellationToken) -> Result<(), Failure> {
    for (name, number) in ENDS {
        if name == HANGUP && is_ignored(number) {
            continue;
        }
        let mut comes = signal(SignalKind::from_raw(number)).context(name)?;
        let stop = stop.clone();
        // Owned by the runtime: it ends with the process, which is what it is for.
        tokio::spawn(async move {
            while comes.recv().await.is_some() {
                stop.cancel();
            }
        });
    }
    Ok(())
}

/// Whether this program was started with a signal ignored.
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (number - 1)) != 0)
}
