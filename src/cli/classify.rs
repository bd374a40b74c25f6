//! `classify`: prints the likeliest classes of pictures.

use std::fmt::Write;

use pollster::block_on;
use serde_json::json;

use super::args;
use super::session::Session;
use super::terminal::printable;
use crate::Error;
use crate::data::photograph;
use crate::eval::{Classifier, logsumexp};
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;

/// The number of pixels from which on a line is printed while pictures are read, as this may take a while.
const LARGE: u64 = 4 << 20;

/// The number of images in a batch.
const BATCH: usize = 8;

/// Prints the likeliest classes of each image.
pub fn run(session: &Session, args: &args::Classify) -> anyhow::Result<()> {
    let loaded = Loaded::new(args.checkpoint.as_deref(), args.side)?.fitting(args.fit);
    let Loaded { model, checkpoint, side, .. } = &loaded;
    let fit = loaded.fit()?;
    // One damaged file does not keep the others from being classified. It is an error all the same, at the end.
    let (mut paths, mut images, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for path in &args.images {
        match photograph(path, model.channels(), *side, fit) {
            Ok(values) => {
                paths.push(path);
                images.extend(values);
            }
            Err(error) => failed.push((path, error)),
        }
    }
    if paths.is_empty() && !failed.is_empty() {
        return Err(failed.swap_remove(0).1.into());
    }
    let gpu = session.gpu()?;
    if paths.len() as u64 * u64::from(*side).pow(2) > LARGE {
        let words =
            format!("classifying {} pictures at {side}×{side} on {}", paths.len(), gpu.adapter());
        session.progress().line(&words);
    }
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let mut batch = paths.len().clamp(1, BATCH) as u32;
    let mut classifier = loop {
        let size = BatchSize { images: batch, side: *side };
        match block_on(Classifier::new(model, &weights, size)) {
            // Large pictures go through fewer at once.
            Err(Error::OutOfMemory { .. }) if batch > 1 => batch /= 2,
            made => break made?,
        }
    };
    if args.show_plan {
        return super::print(&format!("{batch} images at once\n{}\n", classifier.summary()));
    }
    let logits = block_on(classifier.logits(&images))?;
    let names = loaded.class_names();
    let shown: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let (mut text, mut answers) = (String::new(), Vec::new());
    let width = shown.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (path, row) in paths.iter().zip(logits.chunks(classifier.classes())) {
        let [sum] = logsumexp(row, row.len())[..] else { continue };
        let mut ranked: Vec<_> = row.iter().copied().enumerate().zip(&names).collect();
        ranked.sort_by(|((_, a), _), ((_, b), _)| b.total_cmp(a));
        ranked.truncate(args.top as usize);
        let share = |logit: f32| f64::from(logit - sum).exp();
        writeln!(text, "{}", path.display())?;
        for ((class, logit), _) in &ranked {
            let name = shown.get(*class).map_or("", String::as_str);
            writeln!(text, "  {class:>5}  {name:<width$}  {:>6.2} %", 100.0 * share(*logit))?;
        }
        let top = ranked.iter().map(|((class, logit), name)| {
            json!({ "class": class, "name": name, "probability": share(*logit), "logit": logit })
        });
        let top: Vec<_> = top.collect();
        answers.push(
            json!({ "file": path.to_string_lossy(), "logsumexp": sum, "top": top, "logits": row }),
        );
    }
    for (path, error) in &failed {
        answers.push(json!({ "file": path.to_string_lossy(), "error": error.to_string() }));
    }
    super::print(&if args.json { format!("{}\n", json!(answers)) } else { text })?;
    match failed.len() {
        0 => Ok(()),
        1 => Err(failed.swap_remove(0).1.into()),
        count => {
            for (_, error) in &failed {
                session.progress().line(&error.to_string());
            }
            let all = format!(
                "{count} of {} files cannot be read as pictures, this one first",
                args.images.len()
            );
            Err(Error::bad_file(failed.swap_remove(0).0, all).into())
        }
    }
}
