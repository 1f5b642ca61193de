//! The Numenta Anomaly Benchmark: the detector of each metric of each device, over 58 labelled series, with
//! two peers in the same run. <https://github.com/numenta/NAB> has the data and the rules (Lavin and Ahmad,
//! 2015); no file of it is part of this repository.

mod corpus;
mod peers;
mod score;

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};
use palisade_detect::baseline::{DEVICE_BYTES, HELD_BYTES, SCALAR_BYTES, Series};

use corpus::Recording;
use peers::{EwmaZ, WindowedGaussian};
use score::{Profile, Scorer};

use crate::report::table;

/// What gives each value of a series a score as it comes.
trait Detector {
    fn score(&mut self, at: palisade_core::Timestamp, value: f64) -> f64;
}

impl Detector for Series {
    fn score(&mut self, at: palisade_core::Timestamp, value: f64) -> f64 {
        Series::score(self, at, value)
    }
}

/// Runs all detectors over the corpus in a directory, and prints what they score.
pub fn measure(directory: Option<&Path>) -> Result<()> {
    println!("## Numenta Anomaly Benchmark\n");
    let Some(directory) = directory else {
        println!("Not measured: --nab says where its data is.\n");
        return Ok(());
    };
    let corpus = corpus::read(directory)?;
    check_scorer(&corpus)?;
    let ours = scores(&corpus, || Box::new(Series::default()));
    let ewma = scores(&corpus, || Box::new(EwmaZ::new(0.01)));
    let gaussian = scores(&corpus, || Box::new(WindowedGaussian::default()));
    let window = WindowedGaussian::WINDOW * size_of::<f64>();
    let rows = [
        row("palisade", &corpus, &ours, Series::BYTES),
        row("EWMA-z, 1/100", &corpus, &ewma, size_of::<EwmaZ>()),
        row("windowed Gaussian", &corpus, &gaussian, window),
    ];
    let header = [
        "detector",
        "standard",
        "few false positives",
        "few false negatives",
        "found",
        "false alarms",
        "ns a value",
        "bytes a series",
    ];
    let values: usize = corpus.iter().map(|one| one.values.len()).sum();
    let windows: usize = corpus.iter().map(|one| one.windows.len()).sum();
    println!(
        "{} series, {values} values, {windows} windows; the threshold is chosen by the labels,",
        corpus.len()
    );
    println!("as the benchmark has it. Published: random cut forest 51.7, HTM about 70.\n");
    println!("{}", table(&header, &rows));
    let [even, odd] = crossed(&corpus, &ours);
    println!("With the threshold of the other half of the series: {even:.1} and {odd:.1}.");
    println!(
        "A device: scalar metrics {SCALAR_BYTES} bytes, all that is learned {DEVICE_BYTES}, \
         held in memory {HELD_BYTES}.\n"
    );
    Ok(())
}

/// The scores of each series, and how long it took.
struct Scores {
    of: Vec<Vec<f64>>,
    ns_a_value: f64,
}

fn scores(corpus: &[Recording], make: impl Fn() -> Box<dyn Detector>) -> Scores {
    let started = Instant::now();
    let of: Vec<Vec<f64>> = corpus
        .iter()
        .map(|recording| {
            // A new one for each: nothing is learned from one series for another.
            let mut detector = make();
            let values = recording.values.iter();
            values
                .map(|(at, value)| detector.score(*at, *value))
                .collect()
        })
        .collect();
    let values: usize = of.iter().map(Vec::len).sum();
    let ns_a_value = started.elapsed().as_nanos() as f64 / values as f64;
    Scores { of, ns_a_value }
}

fn row(name: &str, corpus: &[Recording], scores: &Scores, bytes: usize) -> Vec<String> {
    let best = |profile| Scorer::new(profile, corpus, &scores.of).best();
    let standard = best(Profile::STANDARD);
    vec![
        name.to_owned(),
        format!("{:.2}", standard.score),
        format!("{:.2}", best(Profile::LOW_FALSE_POSITIVES).score),
        format!("{:.2}", best(Profile::LOW_FALSE_NEGATIVES).score),
        standard.found.to_string(),
        standard.false_alarms.to_string(),
        format!("{:.0}", scores.ns_a_value),
        bytes.to_string(),
    ]
}

/// The benchmark chooses one threshold for all series by the labels. This chooses it on every other series
/// and scores on the rest, both ways: what it costs not to know the labels.
fn crossed(corpus: &[Recording], scores: &Scores) -> [f64; 2] {
    let half = |odd: usize| {
        let of = |index: &usize| index % 2 == odd;
        let chosen: Vec<Recording> = (0..corpus.len())
            .filter(of)
            .map(|index| corpus[index].clone())
            .collect();
        let scores: Vec<Vec<f64>> = (0..corpus.len())
            .filter(of)
            .map(|index| scores.of[index].clone())
            .collect();
        (chosen, scores)
    };
    let [even, odd] = [half(0), half(1)];
    let scorer =
        |half: &(Vec<Recording>, Vec<Vec<f64>>)| Scorer::new(Profile::STANDARD, &half.0, &half.1);
    let (even, odd) = (scorer(&even), scorer(&odd));
    [even.at(odd.best().threshold), odd.at(even.best().threshold)]
}

/// A scorer that does not know nothing, everything and a published result is not to be trusted.
fn check_scorer(corpus: &[Recording]) -> Result<()> {
    let constant: Vec<Vec<f64>> = corpus
        .iter()
        .map(|one| vec![0.5; one.values.len()])
        .collect();
    let perfect: Vec<Vec<f64>> = corpus
        .iter()
        .map(|one| {
            let mut scores = vec![0.0; one.values.len()];
            for window in &one.windows {
                scores[window.first.max(one.probation())] = 1.0;
            }
            scores
        })
        .collect();
    let best = |scores: &[Vec<f64>]| Scorer::new(Profile::STANDARD, corpus, scores).best();
    let nothing = best(&constant).score;
    ensure!(nothing.abs() < 1e-9, "a constant scores {nothing}, not 0");
    let all = best(&perfect).score;
    ensure!(
        (all - 100.0).abs() < 1e-9,
        "perfection scores {all}, not 100"
    );
    // The published scores have twelve digits, and so its highest are equal.
    let mut gaussian = scores(corpus, || Box::new(WindowedGaussian::default())).of;
    for score in gaussian.iter_mut().flatten() {
        *score = (*score * 1e12).round() / 1e12;
    }
    let found = best(&gaussian).score;
    let is_known = corpus.len() == corpus::ALL;
    ensure!(
        !is_known || (found - 39.65).abs() < 0.01,
        "the windowed Gaussian scores {found:.2}, published is 39.65"
    );
    Ok(())
}
