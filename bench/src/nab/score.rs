//! How the benchmark scores. In each window only the earliest detection counts, by a sigmoid of its place;
//! each detection outside costs by a sigmoid of its distance from the window before; each window that was
//! missed costs. One threshold for all series is chosen that scores best. 0 is a detector that says nothing,
//! 100 one that finds each window at its first row and nothing else.

use super::corpus::Recording;

/// What findings are worth.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    found: f64,
    false_alarm: f64,
    missed: f64,
}

impl Profile {
    pub const STANDARD: Self = Self {
        found: 1.0,
        false_alarm: 0.11,
        missed: 1.0,
    };
    pub const LOW_FALSE_POSITIVES: Self = Self {
        false_alarm: 0.22,
        ..Self::STANDARD
    };
    pub const LOW_FALSE_NEGATIVES: Self = Self {
        missed: 2.0,
        ..Self::STANDARD
    };
}

/// A score, and how it came about.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub score: f64,
    pub threshold: f64,
    pub found: usize,
    pub false_alarms: usize,
}

/// A row that is scored.
struct Point {
    score: f64,
    /// The window that it lies in.
    window: Option<usize>,
    /// What a detection here is worth.
    worth: f64,
}

/// Scores the scores of a detector.
pub struct Scorer {
    profile: Profile,
    /// Highest score first.
    points: Vec<Point>,
    windows: usize,
}

/// Near 1 at the first row of a window (-1), 0 at its end, -1 far behind it.
fn sigmoid(position: f64) -> f64 {
    match position > 3.0 {
        true => -1.0,
        false => 2.0 / (1.0 + (5.0 * position).exp()) - 1.0,
    }
}

impl Scorer {
    /// Takes one list of scores a series.
    pub fn new(profile: Profile, corpus: &[Recording], scores: &[Vec<f64>]) -> Self {
        let mut scorer = Self {
            profile,
            points: Vec::new(),
            windows: 0,
        };
        for (recording, scores) in corpus.iter().zip(scores) {
            scorer.take(recording, scores);
        }
        scorer.points.sort_by(|a, b| b.score.total_cmp(&a.score));
        scorer
    }

    fn take(&mut self, recording: &Recording, scores: &[f64]) {
        let before = self.windows;
        let mut last: Option<(usize, f64)> = None;
        for (row, score) in scores.iter().enumerate() {
            let of_row = |(_, window): &(usize, &super::corpus::Window)| {
                (window.first..=window.last).contains(&row)
            };
            let inside = recording.windows.iter().enumerate().find(of_row);
            let worth = match inside {
                Some((_, window)) => {
                    let width = (window.last - window.first + 1) as f64;
                    let left = (window.last - row + 1) as f64;
                    last = Some((window.last, width));
                    self.profile.found * sigmoid(-left / width) / sigmoid(-1.0)
                }
                None => {
                    let behind = |(end, width): (usize, f64)| (row - end) as f64 / (width - 1.0);
                    self.profile.false_alarm * last.map_or(-1.0, |last| sigmoid(behind(last)))
                }
            };
            if row >= recording.probation() {
                self.points.push(Point {
                    score: *score,
                    window: inside.map(|(place, _)| before + place),
                    worth,
                });
            }
        }
        self.windows += recording.windows.len();
    }

    /// The best score of any threshold.
    pub fn best(&self) -> Outcome {
        let mut best = Outcome {
            score: 0.0,
            threshold: 1.1,
            found: 0,
            false_alarms: 0,
        };
        let mut count = Count::new(self);
        for (place, point) in self.points.iter().enumerate() {
            count.take(point);
            // Rows of an equal score are detected together or not at all.
            let is_last = self
                .points
                .get(place + 1)
                .is_none_or(|next| next.score != point.score);
            let score = self.normalised(&count);
            if is_last && score > best.score {
                best = Outcome {
                    score,
                    threshold: point.score,
                    found: count.found,
                    false_alarms: count.false_alarms,
                };
            }
        }
        best
    }

    /// The score of one threshold.
    pub fn at(&self, threshold: f64) -> f64 {
        let mut count = Count::new(self);
        let detected = self.points.iter().take_while(|one| one.score >= threshold);
        detected.for_each(|point| count.take(point));
        self.normalised(&count)
    }

    fn normalised(&self, count: &Count) -> f64 {
        let windows = self.windows as f64;
        let missed = (self.windows - count.found) as f64;
        let raw = count.sum - self.profile.missed * missed;
        let nothing = -self.profile.missed * windows;
        100.0 * (raw - nothing) / (self.profile.found * windows - nothing)
    }
}

/// What detections are worth so far.
struct Count {
    sum: f64,
    worth: Vec<Option<f64>>,
    found: usize,
    false_alarms: usize,
}

impl Count {
    fn new(scorer: &Scorer) -> Self {
        Self {
            sum: 0.0,
            worth: vec![None; scorer.windows],
            found: 0,
            false_alarms: 0,
        }
    }

    fn take(&mut self, point: &Point) {
        let Some(window) = point.window else {
            self.sum += point.worth;
            self.false_alarms += 1;
            return;
        };
        let before = self.worth[window];
        self.found += usize::from(before.is_none());
        // The earliest detection is the one that is worth most.
        let now = before.map_or(point.worth, |before| before.max(point.worth));
        self.sum += now - before.unwrap_or(0.0);
        self.worth[window] = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::Timestamp;

    use super::*;
    use crate::nab::corpus::Window;

    fn recording() -> Recording {
        let at = |n: i64| Timestamp::from_second(n * 300).expect("a time");
        Recording {
            values: (0..1_000).map(|n| (at(n), 0.0)).collect(),
            windows: vec![
                Window {
                    first: 400,
                    last: 449,
                },
                Window {
                    first: 800,
                    last: 849,
                },
            ],
        }
    }

    fn best(detections: &[usize]) -> Outcome {
        let mut scores = vec![0.0; 1_000];
        for row in detections {
            scores[*row] = 1.0;
        }
        Scorer::new(Profile::STANDARD, &[recording()], &[scores]).best()
    }

    #[test]
    fn nothing_is_0_and_perfection_is_100() {
        assert_eq!(best(&[]).score, 0.0);
        assert!((best(&[400, 800]).score - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_late_detection_is_worth_less_and_a_second_one_nothing() {
        let early = best(&[400, 800]).score;
        let late = best(&[400, 840]).score;
        assert!(late < early && late > 75.0, "{late}");
        assert_eq!(best(&[400, 410, 800]).score, early);
    }

    #[test]
    fn a_false_alarm_costs_by_its_distance_and_in_the_probation_nothing() {
        let early = best(&[400, 800]).score;
        let cost = |row| early - best(&[400, row, 800]).score;
        assert!((cost(200) - 100.0 * 0.11 / 4.0).abs() < 1e-9);
        assert!(cost(455) < cost(600));
        assert!(cost(100).abs() < 1e-9);
    }
}
