//! Reads and writes the state that a run resumes from, as the two files of a checkpoint: `model.safetensors`, the averaged
//! weights, which all commands load that use the trained network, and `state.safetensors` with everything else.

use super::loss_scale::State;
use super::stages::Recall;
use super::{Learner, ReplayBuffer};
use crate::gpu::Precision;
use crate::model::{Checkpoint, DeviceWeights, Metadata, StateDict, Tensor};
use crate::{Error, Result};
use std::path::Path;

/// The name of the file with the averaged weights in a checkpoint or run folder, which is to be loaded as the trained network.
pub const MODEL_FILE: &str = "model.safetensors";
/// The name of a checkpoint's second file, from which training resumes: live weights, moments, averages, counters, the replay
/// buffer.
pub const STATE_FILE: &str = "state.safetensors";

const REPLAY: &str = "replay";

/// The state of a run beside its weights.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Memory {
    /// The state of stage 2 beside the weights: the curriculum, and JEM's replay buffer.
    pub recall: Recall,
    /// The number of training images that were drawn, as `stop.images` counts them.
    pub images: u64,
    /// The number of times that the run went back after it diverged.
    pub roll_backs: u32,
    /// The iteration to which the run last went back after it diverged.
    pub returned: Option<u64>,
    /// The best accuracy under attack on the validation images so far.
    pub best: Option<f64>,
    /// The number of validations since the best accuracy under attack.
    pub stale: u32,
    /// The number of images that go through the network at once in stage 1 and in stage 2; 0 before that is known.
    pub micro: [u32; 2],
}

/// The weights that a learner has, by the prefix of their names.
fn parts(learner: &Learner) -> impl Iterator<Item = (&'static str, &DeviceWeights)> {
    let Learner { live, momentum, average, squares, .. } = learner;
    let always = [("live.", live), ("momentum.", momentum), ("average.", average)];
    always.into_iter().chain(squares.iter().map(|squares| ("squares.", squares)))
}

/// Takes a checkpoint after `step` iterations: the weights for `model.safetensors`, and the rest. None if a number in them
/// is not finite: the loss of an iteration does not show yet whether its update was.
pub async fn take(
    learner: &Learner,
    memory: &Memory,
    step: u64,
    published: Metadata,
) -> Result<Option<[Checkpoint; 2]>> {
    let mut weights = StateDict::default();
    let mut finite = true;
    for (prefix, part) in parts(learner) {
        for (name, tensor) in part.download().await?.iter() {
            finite &= tensor.data.iter().all(|value| value.is_finite());
            weights.insert(format!("{prefix}{name}"), tensor.clone());
        }
    }
    if !finite {
        return Ok(None);
    }
    let average = part_of(&weights, "average.");
    let Memory { recall, images, roll_backs, returned, best, stale, micro } = memory;
    if let Some(replay) = &recall.replay {
        weights.insert(REPLAY, replay.tensor()?);
    }
    // As bits: a decimal would have to be read back to the last one.
    let window = recall.curriculum.window.iter().map(|auc| auc.to_bits().to_string());
    let [micro1, micro2] = micro;
    let mut metadata = Metadata { step: Some(step), ..Metadata::default() };
    let best = best.map_or(String::new(), |best| best.to_bits().to_string());
    let scale = learner.scale.state();
    let returned = returned.map_or(String::new(), |step| step.to_string());
    let noted = [
        ("optimiser_steps", learner.steps.to_string()),
        ("t", recall.curriculum.t.to_string()),
        ("auc_window", window.collect::<Vec<_>>().join(" ")),
        ("images", images.to_string()),
        ("roll_backs", roll_backs.to_string()),
        ("returned", returned),
        ("best", best),
        ("stale", stale.to_string()),
        ("micro_batches", format!("{micro1} {micro2}")),
        ("choices", learner.live.gpu().choices_in_use()),
        ("loss_scale", format!("{} {} {}", scale.scale.to_bits(), scale.good, scale.left_out)),
    ];
    metadata.other.extend(noted.map(|(key, value)| (key.to_owned(), value)));
    let source = STATE_FILE.into();
    let state = Checkpoint { metadata, weights, source, ..Checkpoint::default() };
    let model = Checkpoint {
        metadata: Metadata { step: Some(step), ..published },
        weights: average,
        source: MODEL_FILE.into(),
        ..Checkpoint::default()
    };
    Ok(Some([model, state]))
}

/// Returns the bytes of a checkpoint's two files ([`take`]) under their names.
pub fn encode([model, state]: &[Checkpoint; 2]) -> Result<Vec<(&'static str, Vec<u8>)>> {
    Ok(vec![(MODEL_FILE, model.to_bytes()?), (STATE_FILE, state.to_bytes()?)])
}

/// Restores a checkpoint's state, and its choices of kernels in preference to those of the device. Returns the number of
/// iterations it was saved after, and the reason if these choices could not be taken. `bytes` are those of [`STATE_FILE`]
/// in `folder`.
pub async fn restore(
    learner: &mut Learner,
    memory: &mut Memory,
    folder: &Path,
    bytes: &[u8],
) -> Result<(u64, Option<Error>)> {
    let path = folder.join(STATE_FILE);
    let Checkpoint { metadata, weights, .. } = Checkpoint::from_bytes(&path, bytes)?;
    let text = |key: &str| {
        let missing = || Error::bad_file(&path, format_args!("the metadata lacks {key}"));
        metadata.other.get(key).map(String::as_str).ok_or_else(missing)
    };
    // What checkpoints of version 0.1 do not have.
    let later = |key: &str| metadata.other.get(key).map_or("", String::as_str);
    let number = |key: &str, text: &str| -> Result<u64> {
        let wrong = |_| {
            Error::bad_file(
                &path,
                format_args!("the metadata's {key} is {text:?}, but has to be a number"),
            )
        };
        text.parse().map_err(wrong)
    };
    let numbers = |key: &str, text: &str| -> Result<Vec<u64>> {
        text.split_whitespace().map(|each| number(key, each)).collect()
    };
    let one = |key: &str| Ok(numbers(key, later(key))?.first().copied());
    let small = |number: u64| number.try_into().unwrap_or(u32::MAX);
    let steps = number("optimiser_steps", text("optimiser_steps")?)?;
    let t = number("t", text("t")?)?;
    let window = numbers("auc_window", text("auc_window")?)?;
    let restored = Memory {
        images: one("images")?.unwrap_or(0),
        roll_backs: small(one("roll_backs")?.unwrap_or(0)),
        returned: one("returned")?,
        best: one("best")?.map(f64::from_bits),
        stale: small(one("stale")?.unwrap_or(0)),
        micro: match numbers("micro_batches", later("micro_batches"))?[..] {
            [first, second] => [first, second].map(small),
            _ => [0; 2],
        },
        recall: memory.recall.clone(),
    };
    let infinite = |(_, tensor): &(&str, &Tensor)| tensor.data.iter().any(|x| !x.is_finite());
    if let Some((name, _)) = weights.iter().find(infinite) {
        return Err(Error::bad_file(&path, format_args!("{name} has values that are not finite")));
    }
    for (prefix, part) in parts(learner) {
        part.write(&part_of(&weights, prefix)).await?;
    }
    *memory = restored;
    if let Some(replay) = &mut memory.recall.replay {
        let missing = |_| Error::bad_file(&path, "the file has no replay buffer");
        ReplayBuffer::restore(replay, weights.get(REPLAY).map_err(missing)?)?;
    }
    learner.steps = steps;
    // Single precision has one scale only, and a run that goes on in another precision begins with that one's first.
    let scale = numbers("loss_scale", later("loss_scale"))?;
    if let ([scale, good, left_out], Precision::Mixed) =
        (&scale[..], learner.live.gpu().preferences().precision)
    {
        let scale = f32::from_bits(small(*scale));
        learner.scale.restore(State { scale, good: small(*good), left_out: *left_out });
    }
    memory.recall.curriculum.t = small(t);
    memory.recall.curriculum.window = window.into_iter().map(f64::from_bits).collect();
    let missing = || {
        Error::bad_file(
            &path,
            "the metadata lacks step, the number of training iterations that were done",
        )
    };
    let step = metadata.step.ok_or_else(missing)?;
    let gpu = learner.live.gpu();
    let refused = match later("choices") {
        "" => None,
        choices => gpu.pin_choices(choices.as_bytes()).err(),
    };
    Ok((step, refused))
}

fn part_of(weights: &StateDict, prefix: &str) -> StateDict {
    let named = |(name, tensor): (&str, &Tensor)| {
        Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
    };
    weights.iter().filter_map(named).collect()
}
