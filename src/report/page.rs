//! Writes `report.html`, a single file with the curves, tables and pictures of a training run, from the run's own records.

use std::collections::VecDeque;

use serde_json::Value;

use super::clock;
use super::plot::{Line, Plot, escaped};
use crate::train::{Config, Event, Metrics, Phase, Step};

const STYLE: &str = include_str!("report.css");

/// A picture of the report with its heading, caption and description.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The heading above the picture.
    pub title: String,
    /// The caption under the picture.
    pub caption: String,
    /// The description of the picture for people who cannot see it, its `alt` text.
    pub alt: String,
    /// The bytes of the PNG file.
    pub png: Vec<u8>,
}

/// The data from which the report of a training run is made.
#[derive(Clone, Debug)]
pub struct ReportData<'a> {
    /// The run's name.
    pub name: &'a str,
    /// The configuration that the run was trained with.
    pub config: &'a Config,
    /// The run's final measurements.
    pub metrics: &'a Metrics,
    /// The run's log, as [`crate::train::RunFolder::read_log`] returns it.
    pub log: &'a [Event],
    /// The report's pictures, which stand above the curves in this order, samples first.
    pub figures: &'a [Figure],
}

/// Returns the HTML text of the report.
pub fn html(data: &ReportData) -> String {
    let mut body = cards(data.config, data.metrics);
    if !data.figures.is_empty() {
        body += "<section>\n<h2>Samples</h2>\n";
        for figure in data.figures {
            body += &picture(figure);
        }
        body += "</section>\n";
    }
    let plots: String = plots(data).iter().map(Plot::html).collect();
    if !plots.is_empty() {
        body += &format!(
            "<section>\n<h2>Training</h2>\n<div class=\"two\">\n{plots}</div>\n</section>\n"
        );
    }
    body += &format!(
        "<section>\n<h2>Run</h2>\n{}{}{}{}</section>\n",
        times(data.metrics),
        notes(data.log),
        facts(data.metrics),
        config(data.config)
    );
    let title = format!("{}: a lapidary run", data.name);
    let sources = "from this run&#39;s config.toml, log.jsonl and metrics.json";
    page(&title, data.name, &summary(data), &body, sources)
}

/// A whole page: `title` and `heading` as text, the rest as HTML. `sources` is what it was written from.
pub(crate) fn page(title: &str, heading: &str, about: &str, body: &str, sources: &str) -> String {
    let (title, heading) = (escaped(title), escaped(heading));
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{heading}</h1>\n<p class=\"about\">{about}</p>\n</header>\n<main>\n{body}</main>\n<footer>\nWritten by lapidary {version} {sources}.\n</footer>\n</body>\n</html>\n"
    )
}

fn summary(data: &ReportData) -> String {
    let Config { model, data: images, stage1, seed, objective, .. } = data.config;
    let adapter = data.metrics.adapter.as_deref();
    let network = match model.architecture.as_str() {
        "wrn" => format!("WRN-{}-{}", model.depth, model.width),
        other => escaped(other),
    };
    let on = adapter.map_or(String::new(), |adapter| format!(", on {}", escaped(adapter)));
    format!(
        "{network} on {} at {side}×{side}, objective {}, {} iterations of stage 1 and {} of stage 2, seed {seed}{on}",
        escaped(&images.train),
        objective.name(),
        stage1.schedule.iterations,
        data.config.stage2_iterations(),
        side = images.side,
    )
}

/// Writes the headline: the main measurements, and their meaning.
fn cards(config: &Config, metrics: &Metrics) -> String {
    let percent = |value: Option<f64>| value.map(|value| format!("{:.1} %", 100.0 * value));
    let evaluate = &config.evaluate;
    let attack =
        format!("{:?}, eps {}, {} steps of PGD", evaluate.norm, evaluate.eps, evaluate.steps);
    let all = [
        ("Accuracy", percent(metrics.clean_accuracy), "of test images are classified correctly"),
        ("Under attack", percent(metrics.pgd_accuracy), &attack),
        (
            "AUROC",
            metrics.ood_auroc.map(|value| format!("{value:.3}")),
            "test images against out-of-distribution ones",
        ),
        (
            "Judge agrees",
            percent(metrics.judge_agreement),
            "of samples are classified as the requested class by a separately trained network",
        ),
        ("T reached", metrics.t_reached.map(|t| t.to_string()), "contrastive steps at the end"),
        ("Time", metrics.seconds_total.map(clock), "from start to report"),
    ];
    tiles(&all)
}

/// Name, value and meaning of numbers side by side.
pub(crate) fn tiles(all: &[(&str, Option<String>, &str)]) -> String {
    let card = |(name, value, about): &(&str, Option<String>, &str)| {
        let value = match value {
            Some(value) => format!("<strong>{value}</strong>"),
            None => "<span class=\"none\">not measured</span>".into(),
        };
        format!("<div><dt>{name}</dt><dd>{value}<small>{}</small></dd></div>\n", escaped(about))
    };
    format!("<dl class=\"cards\">\n{}</dl>\n", all.iter().map(card).collect::<String>())
}

/// A figure with its picture in it.
pub(crate) fn picture(figure: &Figure) -> String {
    let Figure { title, caption, alt, png } = figure;
    format!(
        "<figure>\n<h3>{}</h3>\n<div class=\"wide\" tabindex=\"0\"><img alt=\"{}\" src=\"data:image/png;base64,{}\"></div>\n<figcaption>{}</figcaption>\n</figure>\n",
        escaped(title),
        escaped(alt),
        base64(png),
        escaped(caption)
    )
}

fn plots(data: &ReportData) -> Vec<Plot> {
    let steps: Vec<&Step> = data
        .log
        .iter()
        .filter_map(|event| if let Event::Step(step) = event { Some(step) } else { None })
        .collect();
    let first_stage = f64::from(data.config.stage1.schedule.iterations);
    // Both stages over one axis, stage 2 after stage 1.
    let place = |step: &Step| match step.phase {
        Phase::Stage1 => Some(step.iteration as f64),
        Phase::Stage2 => Some(first_stage + step.iteration as f64),
        _ => None,
    };
    let line = |name: &str, pick: &dyn Fn(&Step) -> Option<f32>| Line {
        name: name.into(),
        points: steps
            .iter()
            .filter_map(|step| Some((place(step)?, f64::from(pick(step)?))))
            .collect(),
        stairs: false,
    };
    let has = |phase| steps.iter().any(|step| step.phase == phase);
    let marks = if has(Phase::Stage1) && has(Phase::Stage2) {
        vec![(first_stage, "stage 2".to_owned())]
    } else {
        Vec::new()
    };
    let plot = |title: &str, about: &str, lines| Plot {
        title: title.into(),
        about: about.into(),
        x_label: "iteration".into(),
        lines,
        marks: marks.clone(),
        ..Plot::default()
    };
    let threshold = data.config.stage2.auc_threshold;
    let windows = Line {
        name: "mean over the window".into(),
        points: window_means(data, first_stage),
        stairs: false,
    };
    vec![
        plot(
            "Losses",
            "Losses on training batches; the classifier's are under attack.",
            vec![
                line("classifier: cross-entropy", &|step| step.loss_ce),
                line("energies: binary cross-entropy", &|step| step.loss_bce),
                line("divergence from clean images", &|step| step.loss_kl),
                line("out-of-distribution: cross-entropy", &|step| step.loss_uniform),
                line("energy gap", &|step| step.energy_gap),
                line("gradient penalty", &|step| step.r1),
            ],
        ),
        Plot {
            y_range: Some((0.0, 1.0)),
            ..plot(
                "Accuracy",
                "Training batches as attacked; averaged weights on images not trained on.",
                vec![
                    line("training, attacked", &|step| step.accuracy),
                    line("clean", &|step| step.clean_accuracy),
                    line("attacked", &|step| step.pgd_accuracy),
                ],
            )
        },
        Plot {
            levels: vec![threshold],
            marks: Vec::new(),
            ..plot(
                "AUC",
                &format!(
                    "The AUC by which the logits of the requested class tell real from contrastive images; T grows where the mean reaches {threshold}."
                ),
                vec![line("of a batch", &|step| step.auc), windows],
            )
        },
        Plot {
            marks: Vec::new(),
            ..plot(
                "T",
                "The number T of contrastive steps from an out-of-distribution image in an iteration.",
                vec![Line { stairs: true, ..line("T", &|step| step.t.map(|t| t as f32)) }],
            )
        },
    ]
}

/// The mean over the curriculum's window, which begins anew where T grows.
fn window_means(data: &ReportData, first_stage: f64) -> Vec<(f64, f64)> {
    let stage2 = &data.config.stage2;
    let most = stage2.auc_window.div_ceil(stage2.schedule.batch) as usize;
    let mut window = VecDeque::new();
    let mut before = None;
    let mut means = Vec::new();
    for event in data.log {
        let Event::Step(Step { phase: Phase::Stage2, iteration, auc: Some(auc), t, .. }) = event
        else {
            continue;
        };
        if *t != before {
            window.clear();
            before = *t;
        }
        window.push_back(f64::from(*auc));
        if window.len() > most {
            window.pop_front();
        }
        if window.len() == most {
            let mean = window.iter().sum::<f64>() / most as f64;
            means.push((first_stage + *iteration as f64, mean));
        }
    }
    means
}

/// Seconds of each phase as bars.
fn times(metrics: &Metrics) -> String {
    let phases = [
        ("Stage 1", metrics.seconds_stage1),
        ("Stage 2", metrics.seconds_stage2),
        ("Judge", metrics.seconds_judge),
        ("Evaluation", metrics.seconds_evaluate),
        ("Samples", metrics.seconds_sample),
    ];
    let longest = phases.iter().filter_map(|phase| phase.1).fold(0.0, f64::max);
    let row = |(name, seconds): &(&str, Option<f64>)| {
        let seconds = (*seconds)?;
        let share = if longest > 0.0 { 100.0 * seconds / longest } else { 0.0 };
        Some(format!(
            "<span>{name}</span><i style=\"width:{share:.1}%\"></i><span>{seconds:.1} s</span>\n"
        ))
    };
    let rows: String = phases.iter().filter_map(row).collect();
    if rows.is_empty() {
        return rows;
    }
    format!("<div class=\"box\"><div class=\"times\">\n{rows}</div></div>\n")
}

fn notes(log: &[Event]) -> String {
    let notes: String = log
        .iter()
        .filter_map(|event| if let Event::Note { text } = event { Some(text) } else { None })
        .map(|text| format!("<li>{}</li>\n", escaped(text)))
        .collect();
    if notes.is_empty() {
        return notes;
    }
    format!("<details><summary>Notes</summary><ul>\n{notes}</ul></details>\n")
}

/// Writes all values of metrics.json.
fn facts(metrics: &Metrics) -> String {
    let Ok(Value::Object(all)) = serde_json::to_value(metrics) else { return String::new() };
    let row = |(key, value): (&String, &Value)| {
        let shown = match value {
            Value::Null => "not measured".to_owned(),
            Value::String(text) => escaped(text),
            other => escaped(&other.to_string()),
        };
        format!("<tr><th scope=\"row\">{}</th><td>{shown}</td></tr>\n", escaped(key))
    };
    let rows: String = all.iter().map(row).collect();
    format!(
        "<details><summary>All metrics</summary><div class=\"wide\" tabindex=\"0\"><table class=\"run\"><caption>metrics.json</caption><tbody>\n{rows}</tbody></table></div></details>\n"
    )
}

fn config(config: &Config) -> String {
    let text = config.to_toml().unwrap_or_default();
    format!(
        "<details><summary>Configuration</summary><div class=\"box\"><pre>{}</pre></div></details>\n",
        escaped(&text)
    )
}

/// RFC 4648's standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = bits >> (18 - 6 * place) & 63;
            let letter = ALPHABET.get(index as usize).filter(|_| place <= chunk.len());
            out.push(letter.map_or('=', |&letter| letter.into()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let config = Config::preset("fashion-tiny").unwrap();
        let mut log = vec![Event::note("a <b> & \"c\"")];
        for iteration in 1..=6 {
            let mut step = Step::new(Phase::Stage1, iteration, 6);
            step.loss_ce = Some(1.0 / iteration as f32);
            log.push(Event::Step(step));
            let mut step = Step::new(Phase::Stage2, iteration, 6);
            (step.loss_bce, step.auc, step.t) =
                (Some(f32::NAN), Some(0.5), Some(iteration as u32 / 3));
            log.push(Event::Step(step));
        }
        let figure = Figure {
            title: "Samples".into(),
            caption: "A <caption>".into(),
            alt: "\"quoted\"".into(),
            png: vec![1, 2, 3, 4],
        };
        let metrics = Metrics { seconds_stage1: Some(0.0), ..Metrics::default() };
        html(&ReportData {
            name: "<run>",
            config: &config,
            metrics: &metrics,
            log: &log,
            figures: &[figure],
        })
    }

    #[test]
    fn tags_are_balanced_and_text_is_escaped() {
        let page = page();
        let mut open = Vec::new();
        for part in page.split('<').skip(1) {
            let (tag, rest) = part.split_once('>').unwrap();
            assert!(!rest.contains('>') || open.contains(&"style"), "{part}");
            let name = tag.split_whitespace().next().unwrap();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{part}"),
                None if tag.ends_with('/') || ["!DOCTYPE", "meta", "img"].contains(&name) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(page.contains("&lt;run&gt;") && page.contains("&quot;quoted&quot;"));
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn nothing_is_fetched() {
        let page = page();
        for needle in ["http:", "https:", "//", "@import", "url(", "<script", "<link"] {
            assert!(!page.contains(needle), "{needle}");
        }
        assert!(page.contains("src=\"data:image/png;base64,AQIDBA==\""));
    }

    #[test]
    fn base64_as_in_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[255, 239, 191]), "/++/");
    }
}
