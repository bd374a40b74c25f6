//! Makes the part of the report of `eval all` about certainty: calibration, and how well scores tell test images from
//! out-of-distribution images.

use serde_json::Value;

use super::{boxed, line, number};
use crate::cli::evaluate_state::State;
use crate::report::plot::{Plot, escaped};

pub(super) fn reliability(state: &State) -> Vec<Plot> {
    let bins = state.get("clean").and_then(|part| part.get("bins")).and_then(Value::as_array);
    let bins: Vec<[f64; 3]> = bins
        .into_iter()
        .flatten()
        .filter_map(|bin| {
            let of = |at: usize| bin.get(at).and_then(Value::as_f64);
            Some([of(0)?, of(1)?, of(2)?])
        })
        .collect();
    let total: f64 = bins.iter().map(|bin| bin[0]).sum();
    let filled = bins.iter().filter(|bin| bin[0] > 0.0).map(|bin| (bin[2], bin[1])).collect();
    let width = 1.0 / bins.len().max(1) as f64;
    let mut shares: Vec<_> =
        (0..).zip(&bins).map(|(at, bin)| (f64::from(at) * width, bin[0] / total)).collect();
    shares.extend(shares.last().map(|&(at, share)| (at + width, share)));
    let ece = number(state, "clean", "/ece").unwrap_or(f64::NAN);
    vec![
        Plot {
            title: "Reliability".into(),
            about: format!(
                "Accuracy by confidence in 20 equal bins (lo, hi]; expected calibration error {ece:.4}."
            ),
            x_label: "confidence".into(),
            lines: vec![
                line("network", filled, false),
                line("calibrated", vec![(0.0, 0.0), (1.0, 1.0)], false),
            ],
            y_range: Some((0.0, 1.0)),
            ..Plot::default()
        },
        Plot {
            title: "Confidence".into(),
            about: "Share of test images by the probability of their likeliest class.".into(),
            x_label: "confidence".into(),
            lines: vec![line("test images", shares, true)],
            ..Plot::default()
        },
    ]
}

pub(super) fn detection(state: &State) -> Vec<Plot> {
    let Some(part) = state.get("out of distribution") else { return Vec::new() };
    let plot = |key: &str, title: &str, x_label: &str| {
        let histograms = part.get(key)?.get("histograms")?;
        let of = |key: &str| histograms.get(key).and_then(Value::as_f64);
        let (low, width) = (of("low")?, of("width")?);
        let lines = ["test images", "others", "others, attacked"].iter().enumerate();
        let lines = lines.filter_map(|(set, name)| {
            let shares = histograms.get("shares")?.get(set)?.as_array()?;
            let point =
                |(at, share): (i32, &Value)| Some((low + width * f64::from(at), share.as_f64()?));
            let mut points: Vec<_> = (0..).zip(shares).filter_map(point).collect();
            points.extend(points.last().map(|&(at, share)| (at + width, share)));
            Some(line(name, points, true))
        });
        Some(Plot {
            title: title.into(),
            about: "Share of images by score, in 40 bars.".into(),
            x_label: x_label.into(),
            lines: lines.collect(),
            ..Plot::default()
        })
    };
    [
        plot("logsumexp", "Minus the energy", "logsumexp of the logits"),
        plot("confidence", "Confidence", "largest probability"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn detection_table(state: &State) -> String {
    let Some(part) = state.get("out of distribution") else { return String::new() };
    let of = |path: &str| part.pointer(path).and_then(Value::as_f64);
    let row = |(key, name): (&str, &str)| {
        let cell = |which: &str, what: &str| {
            of(&format!("/{key}/{which}/{what}")).map_or("-".into(), |value| format!("{value:.3}"))
        };
        format!(
            "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            cell("clean", "auroc"),
            cell("clean", "fpr95"),
            cell("attacked", "auroc"),
            cell("attacked", "fpr95")
        )
    };
    let rows: String = [("logsumexp", "logsumexp"), ("confidence", "confidence")].map(row).concat();
    let others = part.get("others").and_then(Value::as_str).unwrap_or("");
    let told = |key: &str| of(&format!("/{key}")).unwrap_or(f64::NAN);
    boxed(
        "<tr><th>Score</th><th>AUROC</th><th>FPR95</th><th>AUROC, hiding</th><th>FPR95, hiding</th></tr>",
        &rows,
        &format!(
            "Against {} images of {}; hiding: PGD that climbs the divergence of their probabilities from the uniform distribution, L2 {}, {} steps of {:.3}.",
            told("images"),
            escaped(others),
            told("eps"),
            told("steps"),
            told("step_size")
        ),
    )
}
