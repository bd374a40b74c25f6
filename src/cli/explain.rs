//! `explain`: moves one picture towards another class, and writes the steps on the way as pictures and, in `confidences.json`, as
//! class probabilities.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use pollster::block_on;
use serde_json::json;

use super::args;
use super::reach;
use super::sample::number;
use super::session::Session;
use crate::Result;
use crate::data::photograph;
use crate::eval::{Counterfactual, Counterfactuals};
use crate::model::checkpoint::write_atomically;
use crate::model::{BatchSize, DeviceWeights};
use crate::report::pictures::{Images, Sheet};
use crate::train::Loaded;

/// Steps that the path shows.
const COLUMNS: usize = 12;

/// Runs the command `explain`, which changes a picture towards another class.
pub fn run(session: &Session, args: &args::Explain) -> anyhow::Result<()> {
    let loaded = Loaded::new(args.checkpoint.as_deref(), args.side)?.fitting(args.fit);
    let Loaded { model, checkpoint, side, config, .. } = &loaded;
    let names = loaded.class_names();
    let target = number(&args.to, &names, "--to")?;
    let size = (model.channels(), *side);
    let image = photograph(&args.image, size.0, size.1, loaded.fit()?)?;
    let gpu = session.gpu()?;
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let steps = args.steps.unwrap_or(config.sample.steps.max(1));
    let step_size = args.step_size.unwrap_or(config.sample.step_size);
    let eps = args.eps as f32;
    if let Some(note) = reach::note(args.eps, (steps, step_size), "--") {
        session.progress().line(&note);
    }
    let one = BatchSize { images: 1, side: *side };
    let mut explainer =
        block_on(Counterfactuals::new(model, &weights, one, eps, (steps, step_size as f32)))?;
    let ways = block_on(explainer.paths(&image, &[target]))?;
    let Some(way) = ways.first() else { return Ok(()) };

    std::fs::create_dir_all(&args.out).map_err(|error| crate::Error::bad_file(&args.out, error))?;
    let end = way.path.last().map_or(&image[..], Vec::as_slice);
    for (name, values) in [
        ("image.png", image.clone()),
        ("counterfactual.png", end.to_vec()),
        ("difference.png", difference(&image, end)),
    ] {
        write(&args.out.join(name), &Sheet::grid(Images::new(&values, size.0, size.1)?, 1))?;
    }
    let path: Vec<_> =
        way.path.iter().map(|step| Images::new(step, size.0, size.1)).collect::<Result<_>>()?;
    write(&args.out.join("path.png"), &Sheet::trajectory(&path, 1, COLUMNS))?;
    let names = distinct(names);
    let confidences = confidences(way, &names, &image);
    let likeliest = way.probabilities.last().and_then(|last| {
        let all = last.iter().zip(&names).enumerate();
        all.max_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b))
            .map(|(class, (_, name))| (class, name))
    });
    let instead = likeliest.filter(|(class, _)| *class != target as usize).map(|(_, name)| name);
    let text = serde_json::to_string_pretty(&json!({
        "image": args.image.to_string_lossy(),
        "to": names.get(target as usize),
        "eps": args.eps.is_finite().then_some(args.eps),
        "step_size": step_size,
        "reached": instead.is_none(),
        "steps": confidences,
    }))?;
    write_atomically(args.out.join("confidences.json"), text.as_bytes())?;

    let mut text = String::new();
    let of = |at: usize, class: usize| way.probabilities.get(at).and_then(|all| all.get(class));
    let last = way.probabilities.len().saturating_sub(1);
    let mut classes: Vec<usize> = (0..names.len()).collect();
    classes.sort_by(|&a, &b| of(0, b).unwrap_or(&0.0).total_cmp(of(0, a).unwrap_or(&0.0)));
    classes.retain(|&class| class != target as usize);
    classes.truncate(3);
    for class in std::iter::once(target as usize).chain(classes) {
        let (Some(before), Some(after), Some(name)) =
            (of(0, class), of(last, class), names.get(class))
        else {
            continue;
        };
        writeln!(text, "{name:<16} {:>6.2} % -> {:>6.2} %", 100.0 * before, 100.0 * after)?;
    }
    let length = distance(&image, end);
    writeln!(text, "moved by {length:.3} (L2), within {}: {}", args.eps, args.out.display())?;
    if let (Some(instead), Some(wanted)) = (instead, names.get(target as usize)) {
        writeln!(
            text,
            "not reached: {instead} is likelier than {wanted}, which was asked for; more --steps or a larger --eps may lead there"
        )?;
    }
    super::print(&text)
}

/// Returns the change from one image to another as a picture: grey for no change, lighter and darker for more and less, the
/// largest change as black or white.
pub fn difference(from: &[f32], to: &[f32]) -> Vec<f32> {
    let most = from.iter().zip(to).map(|(a, b)| (b - a).abs()).fold(0.0_f32, f32::max).max(1e-6);
    from.iter().zip(to).map(|(a, b)| 0.5 + 0.5 * (b - a) / most).collect()
}

/// Returns class names with numbers appended where several classes share a name, such as ImageNet's "crane".
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut classes_called: HashMap<&str, usize> = HashMap::new();
    names.iter().for_each(|name| *classes_called.entry(name).or_default() += 1);
    let told = |(class, name): (usize, &String)| match classes_called.get(name.as_str()) {
        Some(1) => name.clone(),
        _ => format!("{name} ({class})"),
    };
    names.iter().enumerate().map(told).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(b - a).powi(2)).sum::<f64>().sqrt()
}

/// Returns the way as JSON: after each step the distance, and every class's probability.
fn confidences(way: &Counterfactual, names: &[String], image: &[f32]) -> Vec<serde_json::Value> {
    let step = |(at, (now, chances)): (usize, (&Vec<f32>, &Vec<f64>))| {
        let named: serde_json::Map<String, serde_json::Value> =
            names.iter().cloned().zip(chances.iter().map(|&chance| chance.into())).collect();
        json!({ "step": at, "distance": distance(image, now), "probabilities": named })
    };
    way.path.iter().zip(&way.probabilities).enumerate().map(step).collect()
}

fn write(path: &Path, sheet: &Sheet) -> Result<()> {
    write_atomically(path, &sheet.draw()?.png()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_one_name_are_told_apart() {
        let names = ["crane", "heron", "crane"].map(str::to_owned).to_vec();
        assert_eq!(distinct(names), ["crane (0)", "heron", "crane (2)"]);
    }
}
