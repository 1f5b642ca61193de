//! What the operating system tells us.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Context, Failure};

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
