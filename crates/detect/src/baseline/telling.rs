//! What is said to people: ranges, and sentences with them.

use super::{
    cell::Cell,
    metric::Metric,
    settings::{Operator, Threshold},
};

/// In usual deviations, how wide the range is that is called usual.
const WIDE: f32 = 3.0;

/// The least width, where all values were the same: a tenth of the value.
const NARROW: f32 = 0.1;

/// The range of values that is usual at this hour. What alarms lies well beyond.
pub(super) fn usual(cell: &Cell, hour: u8, metric: Metric) -> (f64, f64) {
    let scale = metric.scale();
    let expected = cell.expected(hour);
    let width = (WIDE * cell.usual()).max(NARROW);
    (
        scale.leave(expected - width).max(0.0),
        scale.leave(expected + width),
    )
}

/// What an alarm of the baseline says.
pub(super) fn sentence(
    metric: Metric,
    value: f64,
    (low, high): (f64, f64),
    names: &[&str],
    interval_ms: i64,
) -> String {
    let (value, unit) = (number(value), metric.unit());
    let within = span(interval_ms);
    let usual = format!("{} to {} are usual", number(low), number(high));
    match names {
        [] => format!("{value} {unit} within {within}; {usual}"),
        names => {
            let shown: Vec<&str> = names.iter().take(5).copied().collect();
            let more = match names.len() - shown.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "{value} {unit} within {within}, never seen of this device before: {}{more}",
                shown.join(", ")
            )
        }
    }
}

/// What an alarm of a threshold says.
pub(super) fn crossed(threshold: &Threshold, value: f64, interval_ms: i64) -> String {
    let side = match threshold.operator {
        Operator::Above => "above",
        Operator::Below => "below",
    };
    let lasting = match threshold.duration_s {
        0 => String::new(),
        seconds => format!(" for at least {seconds} s"),
    };
    format!(
        "{} {} within {}: {side} the threshold of {} that is set for its product{lasting}",
        number(value),
        threshold.metric.unit(),
        span(interval_ms),
        number(threshold.value),
    )
}

/// A number with no more digits than it deserves.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => trimmed(format!("{value:.1}")),
        _ => trimmed(format!("{value:.2}")),
    }
}

fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn span(interval_ms: i64) -> String {
    let seconds = interval_ms / 1_000;
    match seconds {
        60 => "a minute".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        1 => "a second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_what_was_seen_and_what_is_usual() {
        let plain = sentence(Metric::MessagesSent, 5_200.0, (18.25, 64.0), &[], 300_000);
        assert_eq!(
            plain,
            "5200 messages sent within 5 minutes; 18.2 to 64 are usual"
        );
        let named = sentence(Metric::ListeningPorts, 3.0, (2.0, 2.0), &["4444"], 60_000);
        assert_eq!(
            named,
            "3 listening ports within a minute, never seen of this device before: 4444"
        );
    }
}
