//! Compares the evaluation metrics that the library computes on the CPU (AUROC, calibration error, Fréchet distance, inception
//! score, precision and recall) with reference values that were computed in 64 bits.

use crate::Handlers;
use crate::case::{Case, Fault, Outcome, Results};
use crate::run::Runner;
use lapidary::eval::{
    Features, Gaussian, auroc, calibration, confidences, coverage, inception_score,
};

pub const HANDLERS: Handlers = &[
    ("auroc", scores),
    ("ece", expected_calibration_error),
    ("fid", frechet),
    ("inception_score", inception),
    ("knn_precision_recall", manifolds),
];

fn results<const N: usize>(named: [(&str, Vec<f64>); N]) -> Outcome {
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    Ok(named
        .map(|(name, values)| (format!("out.{name}"), single(values)))
        .into_iter()
        .collect::<Results>())
}

/// Err beyond 1e-6 of the reference value, which is closer than the file asks for.
fn closely(case: &Case, name: &str, value: f64) -> Outcome<f64> {
    let wanted = case.tensor(name)?.numbers().first().map_or(f64::NAN, |&wanted| f64::from(wanted));
    let apart = (value / wanted - 1.0).abs();
    if apart <= 1e-6 { Ok(value) } else { Err(Fault::Broken(format!("{name}: {apart:e} apart"))) }
}

fn features(case: &Case, name: &str) -> Outcome<Features> {
    let tensor = case.tensor(name)?;
    Ok(Features::new(tensor.numbers().to_vec(), tensor.shape()?.channels() as usize)?)
}

fn scores(case: &Case, _: &Runner) -> Outcome {
    let area = auroc(case.tensor("in.pos")?.numbers(), case.tensor("in.neg")?.numbers());
    results([("auroc", vec![area])])
}

fn expected_calibration_error(case: &Case, _: &Runner) -> Outcome {
    let (logits, labels) = (case.tensor("in.logits")?, case.tensor("in.labels")?);
    let classes = logits.shape()?.channels() as usize;
    let logits = logits.numbers();
    let found = calibration(logits, labels.words(), classes, case.count("bins")? as usize);
    let row = |bin: &lapidary::eval::Bin| [bin.count as f64, bin.accuracy, bin.confidence];
    results([
        ("ece", vec![found.ece]),
        ("bins", found.bins.iter().flat_map(row).collect()),
        ("confidence", confidences(logits, classes)),
    ])
}

fn frechet(case: &Case, _: &Runner) -> Outcome {
    let a = Gaussian::of(&features(case, "in.features_a")?)?;
    let b = Gaussian::of(&features(case, "in.features_b")?)?;
    results([
        ("fid", vec![closely(case, "out.fid", a.distance(&b)?)?]),
        ("mean_a", a.mean().to_vec()),
        ("cov_a", a.covariance().to_vec()),
        ("mean_b", b.mean().to_vec()),
        ("cov_b", b.covariance().to_vec()),
    ])
}

fn inception(case: &Case, _: &Runner) -> Outcome {
    let logits = case.tensor("in.logits")?;
    let classes = logits.shape()?.channels() as usize;
    let found = inception_score(logits.numbers(), classes, case.count("splits")? as usize);
    results([
        ("mean", vec![closely(case, "out.mean", found.mean)?]),
        ("std", found.std.into_iter().collect()),
        ("per_split", found.per_split),
    ])
}

fn manifolds(case: &Case, _: &Runner) -> Outcome {
    let (real, samples) = (features(case, "in.real")?, features(case, "in.fake")?);
    let found = coverage(&real, &samples, case.count("k")? as usize)?;
    results([
        ("precision", vec![found.precision]),
        ("recall", vec![found.recall]),
        ("radii_real", found.real_radii),
        ("radii_fake", found.sample_radii),
    ])
}
