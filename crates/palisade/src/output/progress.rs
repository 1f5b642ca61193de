//! Progress, on a terminal only and on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// From how many bytes on a bar is shown.
const WORTH_SEEING: u64 = 1024 * 1024;
const REDRAW: Duration = Duration::from_millis(100);

/// Something that takes its time.
pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(REDRAW);
    bar
}

/// Bytes on their way; of few there is nothing to see.
pub(crate) fn bar(what: &'static str, bytes: u64) -> ProgressBar {
    if bytes < WORTH_SEEING {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// Rows on their way; the message says of what.
pub(crate) fn rows_bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {msg} {elapsed}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar
}
