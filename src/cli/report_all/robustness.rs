//! Makes the part of the report of `eval all` about robustness: accuracy under attack, AutoAttack's table, and corruptions.

use serde_json::Value;

use super::{boxed, curve, line, norm, number, percent};
use crate::cli::evaluate_state::State;
use crate::eval::corruption;
use crate::report::plot::{Plot, escaped};

pub(super) fn robustness(state: &State) -> Plot {
    Plot {
        title: "Accuracy under attack".into(),
        about: "By the ball's radius; PGD on the cross-entropy, 20 steps of an eighth of the radius, no restarts: an upper bound of the accuracy under stronger attacks.".into(),
        x_label: format!("eps, {}", norm(state)),
        lines: vec![line("accuracy", curve(state), false)],
        y_range: Some((0.0, 1.0)),
        ..Plot::default()
    }
}

/// The mean over kinds, and the kinds at their ends in the table.
pub(super) fn corruptions(state: &State) -> Plot {
    let of = |part: &Value| -> Vec<f64> {
        let all = part.get("accuracy").and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    let clean = number(state, "clean", "/accuracy");
    let mut kinds: Vec<(String, Vec<f64>)> = corruption::ALL
        .iter()
        .filter_map(|kind| {
            let part = state.get(&format!("corruption {kind}"))?;
            Some((kind.to_string(), clean.into_iter().chain(of(part)).collect()))
        })
        .collect();
    let count = kinds.len() as f64;
    let length = kinds.iter().map(|kind| kind.1.len()).min().unwrap_or(0);
    let mean = |at: usize| kinds.iter().filter_map(|kind| kind.1.get(at)).sum::<f64>() / count;
    let mean: Vec<f64> = (0..length).map(mean).collect();
    kinds.sort_by(|a, b| {
        let last = |kind: &(String, Vec<f64>)| kind.1.last().copied().unwrap_or(0.0);
        last(b).total_cmp(&last(a))
    });
    let points = |values: &[f64]| (0..).map(f64::from).zip(values.iter().copied()).collect();
    let mut lines = vec![line("mean of six corruptions", points(&mean), false)];
    // The plot has three colours: the mean, and the two ends.
    for kind in [kinds.first(), kinds.last()].into_iter().flatten() {
        lines.push(line(&kind.0, points(&kind.1), false));
    }
    Plot {
        title: "Accuracy under corruption".into(),
        about: "Noise, blur, contrast, brightness, pixels, JPEG, made here after CIFAR-10-C: their mean, the most and the least harmless.".into(),
        x_label: "severity".into(),
        lines,
        y_range: Some((0.0, 1.0)),
        ..Plot::default()
    }
}

pub(super) fn auto_attack(state: &State) -> String {
    let Some(part) = state.get("autoattack") else { return String::new() };
    let list = |key: &str| part.get(key).and_then(Value::as_array).into_iter().flatten();
    let row = |attack: &Value| {
        let of = |at: usize| attack.get(at).and_then(Value::as_f64);
        let name = attack.get(0).and_then(Value::as_str).unwrap_or("");
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escaped(name),
            of(1).unwrap_or(0.0),
            of(2).unwrap_or(0.0),
            percent(of(3)).unwrap_or_default()
        )
    };
    let warnings: String = list("warnings")
        .filter_map(Value::as_str)
        .map(|warning| format!(" Warning: {}.", escaped(warning)))
        .collect();
    let eps = part.get("eps").and_then(Value::as_f64).unwrap_or(f64::NAN);
    boxed(
        "<tr><th>AutoAttack</th><th>images</th><th>broken</th><th>robust accuracy</th></tr>",
        &list("attacks").map(row).collect::<String>(),
        &format!("Version {}, {}, eps {eps}.{warnings}", version(part), norm(state)),
    )
}

/// The version of AutoAttack, which says which attacks it ran.
pub(super) fn version(part: &Value) -> &str {
    part.get("version").and_then(Value::as_str).unwrap_or("unknown")
}
