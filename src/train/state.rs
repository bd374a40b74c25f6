//! All that a run goes on from, as the two files of a checkpoint: what is published, and everything else.

use super::{Curriculum, Learner};
use crate::model::{Checkpoint, Metadata, StateDict};
use crate::{Error, Result};
use std::path::Path;

/// The published file's name: averaged weights under bare key names.
pub const MODEL_FILE: &str = "model.safetensors";
/// The other file's name: live weights, momentum, averages, counters.
pub const STATE_FILE: &str = "state.safetensors";

const PARTS: [&str; 3] = ["live.", "momentum.", "average."];

/// The files of a checkpoint after `step` iterations.
pub async fn save(
    learner: &Learner,
    curriculum: &Curriculum,
    step: u64,
    published: Metadata,
) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let average = learner.average.download().await?;
    let parts =
        [learner.live.download().await?, learner.momentum.download().await?, average.clone()];
    let mut weights = StateDict::default();
    for (prefix, part) in PARTS.iter().zip(&parts) {
        for (name, tensor) in part.iter() {
            weights.insert(format!("{prefix}{name}"), tensor.clone());
        }
    }
    // As bits: a decimal would have to be read back to the last one.
    let bits: Vec<_> = curriculum.window.iter().map(|auc| auc.to_bits().to_string()).collect();
    let mut metadata = Metadata { step: Some(step), ..Metadata::default() };
    metadata.other.insert("optimiser_steps".into(), learner.steps.to_string());
    metadata.other.insert("t".into(), curriculum.t.to_string());
    metadata.other.insert("auc_window".into(), bits.join(" "));
    let state = Checkpoint { metadata, weights, source: STATE_FILE.into() };
    let model = Checkpoint {
        metadata: Metadata { step: Some(step), ..published },
        weights: average,
        source: MODEL_FILE.into(),
    };
    Ok(vec![(MODEL_FILE, model.to_bytes()?), (STATE_FILE, state.to_bytes()?)])
}

/// Puts a checkpoint's state back; returns the iterations it was saved after. `bytes` are those of
/// [`STATE_FILE`] in `folder`.
pub async fn restore(
    learner: &mut Learner,
    curriculum: &mut Curriculum,
    folder: &Path,
    bytes: &[u8],
) -> Result<u64> {
    let path = folder.join(STATE_FILE);
    let Checkpoint { metadata, weights, .. } = Checkpoint::from_bytes(&path, bytes)?;
    let part = |prefix: &str| -> StateDict {
        let named = |(name, tensor): (&str, &crate::model::Tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        weights.iter().filter_map(named).collect()
    };
    let text = |key: &str| {
        let missing = || Error::bad_file(&path, format_args!("no {key} in the metadata"));
        metadata.other.get(key).ok_or_else(missing)
    };
    let number = |key: &str, text: &str| -> Result<u64> {
        let wrong = |_| Error::bad_file(&path, format_args!("{key} {text:?}, a number wanted"));
        text.parse().map_err(wrong)
    };
    let steps = number("optimiser_steps", text("optimiser_steps")?)?;
    let t = number("t", text("t")?)?;
    let window = text("auc_window")?.split_whitespace();
    let window = window.map(|bits| Ok(f64::from_bits(number("auc_window", bits)?)));
    let window = window.collect::<Result<_>>()?;
    let [live, momentum, average] = PARTS.map(part);
    learner.live.write(&live).await?;
    learner.momentum.write(&momentum).await?;
    learner.average.write(&average).await?;
    learner.steps = steps;
    curriculum.t = t.try_into().unwrap_or(u32::MAX);
    curriculum.window = window;
    let missing = || Error::bad_file(&path, "no step in the metadata");
    metadata.step.ok_or_else(missing)
}
