//! Makes the report of `eval all`, its summary at the terminal, and the model_info file that RobustBench asks for, from the
//! finished parts of the evaluation alone.

mod certainty;
mod images;
mod robustness;

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use self::certainty::{detection, detection_table, reliability};
use self::images::{counterfactual_table, counterfactuals, generation, samples};
use self::robustness::{auto_attack, corruptions, robustness, version};
use crate::Result;
use crate::cli::evaluate_state::State;
use crate::report::plot::{Line, Plot, escaped};
use crate::report::{page, picture, tiles};
use crate::train::Loaded;

/// Reads a number of a part's result, by a path of keys.
fn number(state: &State, part: &str, path: &str) -> Option<f64> {
    state.get(part)?.pointer(path)?.as_f64()
}

/// Radius and accuracy by rising radius, clean images first.
fn curve(state: &State) -> Vec<(f64, f64)> {
    let point = |(_, part): (&str, &Value)| {
        Some((part.get("eps")?.as_f64()?, part.get("accuracy")?.as_f64()?))
    };
    let clean = number(state, "clean", "/accuracy").map(|accuracy| (0.0, accuracy));
    let mut points: Vec<_> = state.starting("robust ").filter_map(point).chain(clean).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// The radius that stands for all: 0.5 where it was measured, else the smallest.
fn headline(state: &State) -> Option<(f64, f64)> {
    let points: Vec<_> = curve(state).into_iter().filter(|point| point.0 > 0.0).collect();
    points.iter().find(|point| point.0 == 0.5).or(points.first()).copied()
}

fn norm(state: &State) -> String {
    state.identity().get("--norm").and_then(Value::as_str).unwrap_or("L2").to_owned()
}

fn percent(value: Option<f64>) -> Option<String> {
    value.map(|value| format!("{:.1} %", 100.0 * value))
}

/// Returns the HTML text of the report.
pub fn html(name: &str, loaded: &Loaded, state: &State, folder: &Path) -> Result<String> {
    let names = loaded.class_names();
    let mut body = cards(state);
    let mut section = |title: &str, parts: &[String]| {
        let parts = parts.concat();
        if !parts.is_empty() {
            body += &format!("<section>\n<h2>{title}</h2>\n{parts}</section>\n");
        }
    };
    section(
        "Robustness",
        &[two(vec![robustness(state), corruptions(state)]).concat(), auto_attack(state)],
    );
    section("Calibration", &two(reliability(state)));
    section("Out of distribution", &[two(detection(state)).concat(), detection_table(state)]);
    section("Samples", &[samples(state, folder).iter().map(picture).collect(), generation(state)]);
    section(
        "Counterfactuals",
        &[
            counterfactuals(state, folder).iter().map(picture).collect(),
            counterfactual_table(state, &names),
        ],
    );
    section("Run", &[facts(state)]);
    let adapter = state.identity().get("adapter").and_then(Value::as_str).unwrap_or("");
    let images = state.identity().get("--images").and_then(Value::as_str).unwrap_or("");
    let data = state.identity().get("data").and_then(Value::as_str).unwrap_or("");
    let about = format!(
        "{} with {} classes at {side}×{side}, on test images of {} ({images}), on {}",
        escaped(&loaded.model.to_string()),
        loaded.model.classes(),
        escaped(data),
        escaped(adapter),
        side = loaded.side,
    );
    let title = format!("{name}: evaluated by lapidary");
    Ok(page(&title, name, &about, &body, "made from state.json and the pictures in this folder"))
}

/// Plots side by side; nothing for none.
fn two(plots: Vec<Plot>) -> Vec<String> {
    let plots: String = plots.iter().map(Plot::html).collect();
    if plots.is_empty() {
        Vec::new()
    } else {
        vec![format!("<div class=\"two\">\n{plots}</div>\n")]
    }
}

fn cards(state: &State) -> String {
    let robust = headline(state);
    let attack = robust
        .map_or(String::new(), |(eps, _)| format!("{}, eps {eps}, 20 steps of PGD", norm(state)));
    let score =
        |path: &str| number(state, "out of distribution", path).map(|value| format!("{value:.3}"));
    let distance_name = state.get("generation").and_then(|part| part.get("distance_name"));
    let distance_name = distance_name.and_then(Value::as_str).unwrap_or("");
    let mut all = vec![
        (
            "Accuracy",
            percent(number(state, "clean", "/accuracy")),
            "of test images are classified correctly",
        ),
        ("Under attack", percent(robust.map(|point| point.1)), attack.as_str()),
        (
            "Calibration error",
            percent(number(state, "clean", "/ece")),
            "between confidence and accuracy, 20 bins",
        ),
        ("AUROC", score("/logsumexp/clean/auroc"), "test images against others, by logsumexp"),
        (
            "AUROC, hiding",
            score("/logsumexp/attacked/auroc"),
            "test images against attacked others, by logsumexp",
        ),
        (
            "Counterfactuals",
            percent(number(state, "counterfactuals", "/confidence")),
            "mean confidence in the class they were driven to",
        ),
    ];
    if let Some(distance) = number(state, "generation", "/distance") {
        all.push((distance_name, Some(format!("{distance:.2}")), "of samples to training images"));
    }
    tiles(&all)
}

fn line(name: &str, points: Vec<(f64, f64)>, stairs: bool) -> Line {
    Line { name: name.into(), points, stairs }
}

/// A table with a heading row and a note under it.
fn boxed(head: &str, rows: &str, note: &str) -> String {
    format!(
        "<div class=\"box\"><div class=\"wide\" tabindex=\"0\"><table><thead>{head}</thead><tbody>\n{rows}</tbody></table></div><p class=\"about\">{note}</p></div>\n"
    )
}

/// Writes all values of state.json.
fn facts(state: &State) -> String {
    let times: f64 = state.parts().values().filter_map(|part| part.get("seconds")?.as_f64()).sum();
    let table = |title: &str, fields: Vec<(String, String)>| {
        let rows: String = fields
            .iter()
            .map(|(key, value)| {
                format!(
                    "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                    escaped(key),
                    escaped(value)
                )
            })
            .collect();
        format!(
            "<details><summary>{title}</summary><div class=\"wide\" tabindex=\"0\"><table class=\"run\"><tbody>\n{rows}</tbody></table></div></details>\n"
        )
    };
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        other => other.to_string(),
    };
    let of = state.identity().as_object().into_iter().flatten();
    let of = of.map(|(key, value)| (key.clone(), shown(value))).collect();
    let seconds = state.parts().iter().filter_map(|(name, part)| {
        Some((name.clone(), format!("{:.1} s", part.get("seconds")?.as_f64()?)))
    });
    format!(
        "<p class=\"about\">{times:.0} s in all.</p>\n{}{}",
        table("What was evaluated", of),
        table("Time of each part", seconds.collect())
    )
}

/// Returns the results of `eval all` in a few lines for a terminal.
pub fn summary(state: &State, report: &Path) -> String {
    let mut text = String::new();
    let mut put = |name: &str, value: Option<String>, about: &str| {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<18} {value:>8}  {about}");
        }
    };
    let three = |value: Option<f64>| value.map(|value| format!("{value:.3}"));
    let ood = |path: &str| three(number(state, "out of distribution", path));
    put("clean accuracy", percent(number(state, "clean", "/accuracy")), "");
    for (eps, accuracy) in curve(state).into_iter().filter(|point| point.0 > 0.0) {
        let about = format!("{}, eps {eps}, 20 steps of PGD", norm(state));
        put("under attack", percent(Some(accuracy)), &about);
    }
    let attack = state.get("autoattack").and_then(|part| part.get("eps")?.as_f64());
    let version = state.get("autoattack").map_or("", version);
    let about =
        attack.map_or(String::new(), |eps| format!("{}, eps {eps}, {version}", norm(state)));
    put("AutoAttack", percent(number(state, "autoattack", "/accuracy")), &about);
    put("calibration error", percent(number(state, "clean", "/ece")), "20 bins");
    put("AUROC", ood("/logsumexp/clean/auroc"), "logsumexp");
    put("AUROC, hiding", ood("/logsumexp/attacked/auroc"), "logsumexp");
    put("AUROC", ood("/confidence/clean/auroc"), "confidence");
    put("AUROC, hiding", ood("/confidence/attacked/auroc"), "confidence");
    let name = state.get("generation").and_then(|part| part.get("distance_name"));
    let name = name.and_then(Value::as_str).unwrap_or_default();
    put(name, three(number(state, "generation", "/distance")), "samples to training images");
    let confidence = percent(number(state, "counterfactuals", "/confidence"));
    put("counterfactuals", confidence, "mean confidence in their class");
    text + &format!("report {}\n", report.display())
}

/// Returns the fields of RobustBench's model_info files; those that are not known here are empty.
pub fn model_info(name: &str, loaded: &Loaded, state: &State) -> Value {
    let percent = |value: Option<f64>| value.map(|value| format!("{:.2}", 100.0 * value));
    json!({
        "link": "",
        "name": name,
        "authors": "",
        "additional_data": false,
        "number_forward_passes": 1,
        "dataset": state.identity().get("data"),
        "venue": "",
        "architecture": loaded.model.to_string(),
        "eps": number(state, "autoattack", "/eps")
            .or(headline(state).map(|point| point.0))
            .map(|eps| eps.to_string()),
        "clean_acc": percent(number(state, "clean", "/accuracy")),
        "reported": percent(headline(state).map(|point| point.1)),
        "autoattack_acc": percent(number(state, "autoattack", "/accuracy")),
    })
}
