//! Makes the part of the report of `eval all` about images: samples with their distances from real ones, and counterfactuals.

use std::path::Path;

use serde_json::Value;

use super::{boxed, percent};
use crate::cli::evaluate_all::picture as picture_file;
use crate::cli::evaluate_state::State;
use crate::report::Figure;
use crate::report::plot::escaped;

pub(super) fn samples(state: &State, folder: &Path) -> Vec<Figure> {
    let (Some(part), Some(png)) = (state.get("samples"), picture_file(folder, "samples.png"))
    else {
        return Vec::new();
    };
    let of = |key: &str| part.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let start = part.get("start").and_then(Value::as_str).unwrap_or("");
    vec![Figure {
        title: "One row for each class".into(),
        caption: format!(
            "The first of {} samples: {} gradient steps of L2 length {} up the class's logit, from images of {start}. The network itself classifies {:.1} % of all samples as the requested class.",
            of("count"),
            of("steps"),
            of("step_size"),
            100.0 * of("named_as_asked")
        ),
        alt: "A grid of small sampled images, a row for each class".into(),
        png,
    }]
}

pub(super) fn generation(state: &State) -> String {
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

pub(super) fn counterfactuals(state: &State, folder: &Path) -> Vec<Figure> {
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

pub(super) fn counterfactual_table(state: &State, names: &[String]) -> String {
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
