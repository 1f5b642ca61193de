//! A metric of a device on one line.

use serde_json::Value;

/// From the least to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The metric with what is shown of it besides.
pub(super) fn row(mut metric: Value) -> Value {
    let last: Vec<f64> = metric["last"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|datapoint| datapoint["value"].as_f64())
        .collect();
    let range = metric["usual"].as_object().map(|range| {
        let end = |name: &str| number(range[name].as_f64().unwrap_or_default());
        format!("{} to {}", end("low"), end("high"))
    });
    metric["usual"] = range.into();
    metric["now"] = last.last().map(|value| number(*value)).into();
    metric["threshold_factor"] = number(metric["threshold_factor"].as_f64().unwrap_or(1.0)).into();
    metric["picture"] = bars(&last).into();
    metric
}

/// The datapoints as bars, by their place between the least and the most.
fn bars(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |value: &f64| {
        let part = match most > least {
            true => (value - least) / (most - least),
            false => 0.0,
        };
        BARS[((part * 7.0).round() as usize).min(BARS.len() - 1)]
    };
    values.iter().map(bar).collect()
}

/// A number with no more digits than it deserves.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        _ => {
            let text = format!("{value:.1}");
            text.trim_end_matches(".0").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datapoints_are_drawn_from_the_least_to_the_most() {
        assert_eq!(bars(&[0.0, 3.5, 7.0]), "▁▅█");
        assert_eq!(bars(&[2.0, 2.0]), "▁▁");
        assert_eq!(bars(&[]), "");
    }
}
