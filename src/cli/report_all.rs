//! The report of `eval all`, its summary at the terminal, and RobustBench's model_info, from the finished parts alone.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::evaluate_all::picture as picture_file;
use super::evaluate_state::State;
use crate::Result;
use crate::eval::corruption;
use crate::report::plot::{Line, Plot, escaped};
use crate::report::{Figure, page, picture, tiles};
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
    Ok(page(&title, name, &about, &body, "from state.json and the pictures beside it"))
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
            "of test images are named rightly",
        ),
        ("Under attack", percent(robust.map(|point| point.1)), attack.as_str()),
        (
            "Calibration error",
            percent(number(state, "clean", "/ece")),
            "between confidence and accuracy, 20 bins",
        ),
        ("AUROC", score("/logsumexp/clean/auroc"), "test images against others, by logsumexp"),
        ("AUROC, hiding", score("/logsumexp/attacked/auroc"), "the same, the others attacked"),
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

fn robustness(state: &State) -> Plot {
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
fn corruptions(state: &State) -> Plot {
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
    let mut lines = vec![line("mean of six", points(&mean), false)];
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

fn auto_attack(state: &State) -> String {
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
        "<tr><th>AutoAttack</th><th>points</th><th>broken</th><th>robust accuracy</th></tr>",
        &list("attacks").map(row).collect::<String>(),
        &format!("Version {}, {}, eps {eps}.{warnings}", version(part), norm(state)),
    )
}

/// The version of AutoAttack, which says which attacks it ran.
fn version(part: &Value) -> &str {
    part.get("version").and_then(Value::as_str).unwrap_or("unknown")
}

fn reliability(state: &State) -> Vec<Plot> {
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

fn detection(state: &State) -> Vec<Plot> {
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

fn detection_table(state: &State) -> String {
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

/// A table with a heading row and a note under it.
fn boxed(head: &str, rows: &str, note: &str) -> String {
    format!(
        "<div class=\"box\"><div class=\"wide\" tabindex=\"0\"><table><thead>{head}</thead><tbody>\n{rows}</tbody></table></div><p class=\"about\">{note}</p></div>\n"
    )
}

fn samples(state: &State, folder: &Path) -> Vec<Figure> {
    let (Some(part), Some(png)) = (state.get("samples"), picture_file(folder, "samples.png"))
    else {
        return Vec::new();
    };
    let of = |key: &str| part.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let start = part.get("start").and_then(Value::as_str).unwrap_or("");
    vec![Figure {
        title: "A row a class".into(),
        caption: format!(
            "The first of {} samples: {} gradient steps of L2 length {} up the class's logit, from images of {start}. The network itself names {:.1} % of all as asked.",
            of("count"),
            of("steps"),
            of("step_size"),
            100.0 * of("named_as_asked")
        ),
        alt: "A grid of small sampled images, a row for each class".into(),
        png,
    }]
}

fn generation(state: &State) -> String {
    let Some(part) = state.get("generation") else { return String::new() };
    let of = |key: &str| part.get(key).and_then(Value::as_f64);
    let text = |key: &str| escaped(part.get(key).and_then(Value::as_str).unwrap_or(""));
    let spread = |key: &str, digits: usize| {
        let value = of(key).map_or("-".into(), |value| format!("{value:.digits$}"));
        let std =
            of(&format!("{key}_std")).map_or(String::new(), |std| format!(" ± {std:.digits$}"));
        value + &std
    };
    let row = |name: &str, value: String| {
        format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n")
    };
    let rows = [
        row(&text("distance_name"), spread("distance", 2)),
        row("kernel distance", spread("kernel_distance", 4)),
        row("inception score", spread("inception_score", 3)),
        row("precision", spread("precision", 3)),
        row("recall", spread("recall", 3)),
    ]
    .concat();
    boxed(
        "",
        &rows,
        &format!(
            "{}: {} samples against {}; {}; covariance over n - 1; (a·b/D + 1)³, 100 subsets of at most 1,000; 10 splits; 3 neighbours. Distances of few samples are larger than those of many: compare equal numbers only.",
            text("extractor"),
            of("samples").unwrap_or(f64::NAN),
            text("real"),
            text("protocol")
        ),
    )
}

fn counterfactuals(state: &State, folder: &Path) -> Vec<Figure> {
    let png = picture_file(folder, "counterfactuals.png");
    let (Some(part), Some(png)) = (state.get("counterfactuals"), png) else { return Vec::new() };
    let of = |key: &str| part.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    vec![Figure {
        title: "From class to class".into(),
        caption: format!(
            "The first test image of each class, driven to another: {} steps of {} up that class's logit, within L2 {}. Right: what changed, lighter for more and darker for less.",
            of("steps"),
            of("step_size"),
            of("eps")
        ),
        alt: "Rows of small images that turn from one class into another, and their difference"
            .into(),
        png,
    }]
}

fn counterfactual_table(state: &State, names: &[String]) -> String {
    let Some(part) = state.get("counterfactuals") else { return String::new() };
    let classes = part.get("classes").and_then(Value::as_array);
    let name = part.get("distance_name").and_then(Value::as_str);
    let row = |(class, row): (&String, &Value)| {
        let of = |key: &str| row.get(key).and_then(Value::as_f64);
        let mut cells = format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td>",
            escaped(class),
            of("count").unwrap_or(0.0),
            percent(of("confidence")).unwrap_or_default()
        );
        if name.is_some() {
            for key in ["distance_before", "distance"] {
                let value = of(key).map_or("-".into(), |value| format!("{value:.1}"));
                cells += &format!("<td>{value}</td>");
            }
        }
        cells + "</tr>\n"
    };
    let rows: String = names.iter().zip(classes.into_iter().flatten()).map(row).collect();
    let distances = name.map_or(String::new(), |name| {
        format!("<th>{0} before</th><th>{0} after</th>", escaped(name))
    });
    let head = format!("<tr><th>to class</th><th>images</th><th>confidence</th>{distances}</tr>");
    boxed(
        &head,
        &rows,
        "All test images, each driven to a class that is not its own. Confidence is of that class at the end.",
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

/// The results in a few lines for a terminal.
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
