//! `classify`: prints the likeliest classes of pictures.

use std::fmt::Write;
use std::path::PathBuf;

use pollster::block_on;
use serde_json::json;

use super::args;
use super::session::Session;
use super::terminal::printable;
use crate::data::photograph;
use crate::eval::{Classifier, logsumexp};
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;
use crate::{Error, Result};

/// The number of pixels from which on a line is printed while pictures are read, as this may take a while.
const LARGE: u64 = 4 << 20;

/// The number of images in a batch.
const BATCH: usize = 8;

/// Prints the likeliest classes of each image.
pub fn run(session: &Session, args: &args::Classify) -> anyhow::Result<()> {
    let loaded = Loaded::new(args.checkpoint.as_deref(), args.side)?.fitting(args.fit);
    let Loaded { model, checkpoint, side, .. } = &loaded;
    let read = |path: &PathBuf| photograph(path, model.channels(), *side, loaded.fit()?);
    let images = args.images.iter().map(read).collect::<Result<Vec<_>>>()?.concat();
    let gpu = session.gpu()?;
    if args.images.len() as u64 * u64::from(*side).pow(2) > LARGE {
        let words = format!(
            "classifying {} pictures at {side}×{side} on {}",
            args.images.len(),
            gpu.adapter()
        );
        session.progress().line(&words);
    }
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let mut batch = args.images.len().clamp(1, BATCH) as u32;
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
    for (path, row) in args.images.iter().zip(logits.chunks(classifier.classes())) {
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
    super::print(&if args.json { format!("{}\n", json!(answers)) } else { text })
}
