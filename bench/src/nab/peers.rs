//! The peers, as they are published.

use std::{collections::VecDeque, f64::consts::PI};

use palisade_core::Timestamp;

use super::Detector;

/// How unlikely a value this far from the mean is, where the distribution is normal: 0.5 to 1.
fn unlikely(z: f64) -> f64 {
    1.0 - 0.5 * erfc(z.abs() / 2.0_f64.sqrt())
}

/// The complementary error function of what is not negative.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        // The series of erf.
        let (mut sum, mut term, mut n) = (x, x, 0.0);
        loop {
            n += 1.0;
            term *= -x * x / n;
            let next = term / (2.0 * n + 1.0);
            sum += next;
            if next.abs() <= 1e-17 * sum.abs() {
                return 1.0 - sum * 2.0 / PI.sqrt();
            }
        }
    }
    // The continued fraction of erfc.
    let tail = (1..=60)
        .rev()
        .fold(0.0, |tail, k| f64::from(k) / 2.0 / (x + tail));
    (-x * x).exp() / ((x + tail) * PI.sqrt())
}

/// Standard deviations from an exponentially weighted mean.
pub struct EwmaZ {
    rate: f64,
    mean: f64,
    variance: f64,
    is_new: bool,
}

impl EwmaZ {
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            mean: 0.0,
            variance: 0.0,
            is_new: true,
        }
    }
}

impl Detector for EwmaZ {
    fn score(&mut self, _: Timestamp, value: f64) -> f64 {
        let score = match self.variance > 0.0 {
            true => 2.0 * unlikely((value - self.mean) / self.variance.sqrt()) - 1.0,
            false => 0.0,
        };
        if self.is_new {
            (self.mean, self.is_new) = (value, false);
        }
        let from_mean = value - self.mean;
        self.mean += self.rate * from_mean;
        self.variance = (1.0 - self.rate) * (self.variance + self.rate * from_mean * from_mean);
        score
    }
}

/// Standard deviations from the mean of a sliding window that moves by a step.
pub struct WindowedGaussian {
    window: VecDeque<f64>,
    step: Vec<f64>,
    mean: f64,
    deviation: f64,
}

impl WindowedGaussian {
    /// Values in the window.
    pub const WINDOW: usize = 6_400;
    const STEP: usize = 100;

    fn measure(&mut self) {
        let count = self.window.len() as f64;
        self.mean = self.window.iter().sum::<f64>() / count;
        let squares = self
            .window
            .iter()
            .map(|value| (value - self.mean).powi(2))
            .sum::<f64>();
        self.deviation = match (squares / count).sqrt() {
            0.0 => 0.000_001,
            deviation => deviation,
        };
    }
}

impl Default for WindowedGaussian {
    fn default() -> Self {
        Self {
            window: VecDeque::with_capacity(Self::WINDOW),
            step: Vec::with_capacity(Self::STEP),
            mean: 0.0,
            deviation: 1.0,
        }
    }
}

impl Detector for WindowedGaussian {
    fn score(&mut self, _: Timestamp, value: f64) -> f64 {
        let score = match self.window.is_empty() {
            true => 0.0,
            false => unlikely((value - self.mean) / self.deviation),
        };
        if self.window.len() < Self::WINDOW {
            self.window.push_back(value);
            self.measure();
        } else {
            self.step.push(value);
            if self.step.len() == Self::STEP {
                self.window.drain(..Self::STEP);
                self.window.extend(self.step.drain(..));
                self.measure();
            }
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_is_right_to_many_digits() {
        for (x, wanted) in [
            (0.0, 1.0),
            (1.0, 0.157_299_207_050_285_13),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_544e-5),
            (6.0, 2.151_973_671_249_891e-17),
        ] {
            let found = erfc(x);
            assert!(
                (found - wanted).abs() <= 1e-12 * wanted.max(1e-6),
                "{x}: {found}"
            );
        }
    }
}
