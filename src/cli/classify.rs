//! `classify`: prints the likeliest classes of pictures.

use std::fmt::Write;
use std::path::PathBuf;

use pollster::block_on;
use serde_json::json;

use super::session::Session;
use super::terminal::printable;
use super::{args, exit};
use crate::Error;
use crate::data::photograph;
use crate::eval::{Classifier, logsumexp, softmax};
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;

/// The number of pixels from which on a line is printed while pictures are read, as this may take a while.
const LARGE: u64 = 4 << 20;

/// The number of images in a batch.
const BATCH: usize = 8;

/// Runs the command `classify`, which prints the likeliest classes of each image.
pub fn run(session: &Session, args: &args::Classify) -> anyhow::Result<()> {
    let loaded = Loaded::new(args.checkpoint.as_deref(), args.side)?.fitting(args.fit);
    let Loaded { model, checkpoint, side, .. } = &loaded;
    let fit = loaded.fit()?;
    // One damaged file does not keep the others from being classified. It is an error all the same, at the end.
    let mut failed = Vec::new();
    let mut unread = args.images.iter();
    // The next pictures, so few at a time that any number of them fits in memory.
    let mut read = |failed: &mut Vec<_>| {
        let (mut paths, mut images) = (Vec::new(), Vec::new());
        while paths.len() < BATCH
            && let Some(path) = unread.next()
        {
            match photograph(path, model.channels(), *side, fit) {
                Ok(values) => {
                    paths.push(path);
                    images.extend(values);
                }
                Err(error) => failed.push((path, error)),
            }
        }
        (paths, images)
    };
    let (mut paths, mut images) = read(&mut failed);
    if paths.is_empty() && !failed.is_empty() {
        return Err(failed.swap_remove(0).1.into());
    }
    let gpu = session.gpu()?;
    let count = args.images.len();
    if count as u64 * u64::from(*side).pow(2) > LARGE {
        let words = format!("classifying {count} pictures at {side}×{side} on {}", gpu.adapter());
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
    let names = loaded.class_names();
    let shown: Vec<String> = names.iter().map(|name| printable(name)).collect();
    let width = shown.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut answers = Vec::new();
    while !paths.is_empty() {
        let logits = block_on(classifier.logits(&images))?;
        let mut text = String::new();
        for (path, row) in paths.iter().zip(logits.chunks(classifier.classes())) {
            let [sum] = logsumexp(row, row.len())[..] else { continue };
            let shares = softmax(row, row.len());
            let mut ranked: Vec<_> = row.iter().zip(shares).enumerate().collect();
            ranked.sort_by(|(_, (a, _)), (_, (b, _))| b.total_cmp(a));
            ranked.truncate(args.top as usize);
            if args.json {
                let top = ranked.iter().map(|&(class, (logit, share))| {
                    let name = names.get(class);
                    json!({ "class": class, "name": name, "probability": share, "logit": logit })
                });
                let (file, top) = (path.to_string_lossy(), top.collect::<Vec<_>>());
                answers.push(json!({ "file": file, "logsumexp": sum, "top": top, "logits": row }));
            } else {
                writeln!(text, "{}", path.display())?;
                for (class, (_, share)) in ranked {
                    let (name, percent) = (shown.get(class), 100.0 * share);
                    let name = name.map_or("", String::as_str);
                    writeln!(text, "  {class:>5}  {name:<width$}  {percent:>6.2} %")?;
                }
            }
        }
        super::print(&text)?;
        (paths, images) = read(&mut failed);
    }
    if args.json {
        let unread = |(path, error): &(&PathBuf, Error)| json!({ "file": path.to_string_lossy(), "error": error.to_string() });
        answers.extend(failed.iter().map(unread));
        super::print(&format!("{}\n", json!(answers)))?;
    }
    match failed.len() {
        0 => Ok(()),
        1 => Err(failed.swap_remove(0).1.into()),
        count => {
            for (_, error) in &failed {
                exit::say(&error.to_string());
            }
            let all = format!(
                "{count} of {} files cannot be read as pictures, this one first",
                args.images.len()
            );
            Err(Error::bad_file(failed.swap_remove(0).0, all).into())
        }
    }
}
