//! `classify`: what a network makes of pictures.

use std::fmt::Write;

use pollster::block_on;
use serde_json::json;

use super::args;
use super::model::Loaded;
use super::session::Session;
use super::starts;
use crate::eval::{Classifier, argmax, logsumexp};
use crate::model::DeviceWeights;

/// Prints class, its share and the energy of each picture; with `--json` all logits too.
pub fn run(session: &Session, args: &args::Classify) -> anyhow::Result<()> {
    let loaded = Loaded::new(args.checkpoint.as_deref(), args.side)?;
    let Loaded { model, checkpoint, side, .. } = &loaded;
    let names = loaded.class_names();
    let mut images = Vec::new();
    for file in &args.images {
        let picture = starts::read(std::slice::from_ref(file), model.channels())?;
        images.extend_from_slice(picture.prepared(*side)?.images());
    }
    let gpu = session.gpu()?;
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let batch = args.images.len().min(64) as u32;
    let classifier = block_on(Classifier::new(model, &weights, [batch, *side]))?;
    let logits = block_on(classifier.logits(&images))?;

    let classes = classifier.classes();
    let (named, sums) = (argmax(&logits, classes), logsumexp(&logits, classes));
    let mut rows = Vec::new();
    let mut text = String::new();
    let judged = args.images.iter().zip(logits.chunks(classes)).zip(named.iter().zip(sums));
    for ((file, logits), (&class, sum)) in judged {
        let name = names.get(class as usize).map_or("", String::as_str);
        let largest = logits.get(class as usize).copied().unwrap_or(f32::NAN);
        let (file, share) = (file.display().to_string(), f64::from(largest - sum).exp());
        writeln!(text, "{file}: {name} {:.1} %, energy {:.4}", share * 100.0, -sum)?;
        rows.push(json!({
            "file": file, "class": class, "name": name, "probability": share, "energy": -sum, "logits": logits,
        }));
    }
    if args.json {
        text = format!("{}\n", json!(rows));
    }
    super::print(&text)
}
