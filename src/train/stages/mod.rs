//! The loops: stage 1, stage 2 and plain training, an iteration at a time. Here is what they share: streams of images, pieces
//! of batches, and what an iteration tells.

mod classifier;
mod dual;

pub(super) use classifier::{ClassifierStage, has_statistics};
pub(super) use dual::{DualStage, Recall};

use super::update::{Report, Term, Update};
use super::{Config, Learner, Material, Objective, Step};
use crate::data::{Augment, Batch, BatchSource, Loader};
use crate::eval::argmax;
use crate::{Error, Result};
use std::num::NonZero;
use std::time::Instant;

/// Batches that are made ahead of the GPU, and more where more threads make them.
const AHEAD: usize = 8;
/// Bytes of images that lie ready, at most, where two batches are fewer.
const READ_AHEAD: usize = 1 << 30;

/// Images of one shuffled, augmented stream of the run.
fn images(config: &Config, material: &Material, name: &str, batch: u32) -> Result<BatchSource> {
    let data = &config.data;
    let augment = if name == "generation" { &data.real } else { &data.classify };
    let augment = Augment::parse(augment)?;
    BatchSource::images(name, config.seed, batch as usize, material.train.clone(), augment)
}

/// Starts to read ahead.
fn loader(config: &Config, sources: Vec<BatchSource>, first: u64) -> Result<Loader> {
    let threads = match config.data.threads as usize {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads,
    };
    let step: usize = sources
        .iter()
        .map(|source| source.batch_size() * source.shape().iter().skip(1).product::<usize>() * 4)
        .sum();
    let depth = AHEAD.max(threads).min(READ_AHEAD / step.max(1)).max(2);
    Loader::new(sources, first, depth, threads)
}

/// How many images an iteration takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerIteration {
    /// Of the training images: what `stop.images` counts.
    pub drawn: u32,
    /// Through the update: what throughput is of.
    pub passed: u32,
}

/// How often a batch goes through stage 1's update: TRADES passes clean images with attacked ones, RATIO others with labelled
/// ones.
fn passes(objective: Objective) -> u32 {
    if matches!(objective, Objective::Trades | Objective::Ratio) { 2 } else { 1 }
}

/// Images through an update in an iteration of each stage; in stage 2 real, contrastive and attacked ones.
pub(super) fn passed(config: &Config) -> [u32; 2] {
    [config.stage1.batch * passes(config.objective), config.stage2.batch * 3]
}

/// How a batch goes through: in `parts` pieces of `size` images, the gradients of which are added up.
#[derive(Clone, Copy, Debug)]
struct Pieces {
    size: u32,
    parts: u32,
}

impl Pieces {
    /// `size` divides `batch`, or else the whole batch goes at once.
    pub fn new(batch: u32, size: u32) -> Self {
        match batch.checked_div(size) {
            Some(parts @ 1..) if batch.is_multiple_of(size) => Self { size, parts },
            _ => Self { size: batch, parts: 1 },
        }
    }

    /// The images of one piece and their labels, which random fields have none of.
    fn of<'a>(&self, batch: &'a Batch, part: u32) -> Result<(&'a [f32], &'a [u32])> {
        fn piece<T>(all: &[T], part: usize, parts: usize) -> Option<&[T]> {
            let each = all.len() / parts.max(1);
            all.get(part * each..(part + 1) * each)
        }
        let (part, parts) = (part as usize, self.parts as usize);
        let pair = piece(&batch.images, part, parts).zip(piece(&batch.labels, part, parts));
        pair.ok_or_else(|| Error::mismatch("micro-batch", part, format_args!("below {parts}")))
    }
}

/// The next smaller size of pieces, 0 being the whole batch: a divisor of at most half.
pub(super) fn smaller(batch: u32, size: u32) -> Option<u32> {
    let now = if size == 0 { batch } else { size };
    (1..=now / 2).rev().find(|&size| batch.is_multiple_of(size))
}

/// Gradients of a piece, the optimiser's step after the last one, and what the piece reports.
async fn pass(
    update: &mut Update,
    learner: &mut Learner,
    (part, parts): (u32, u32),
    rate: f64,
) -> Result<Report> {
    update.gradients(part, parts).await?;
    if part + 1 == parts {
        learner.step(rate).await?;
    }
    update.report().await
}

fn wait_share(loader: &Loader, began: Instant) -> f64 {
    loader.waited().as_secs_f64() / began.elapsed().as_secs_f64().max(1e-9)
}

fn one(batches: &[Batch], i: usize) -> Result<&Batch> {
    batches.get(i).ok_or_else(|| Error::mismatch("loader", batches.len(), "a batch of each source"))
}

fn fill(step: &mut Step, report: &Report, labels: &[u32], learner: &Learner, rate: f64) {
    let named = argmax(&report.logits, learner.model.classes() as usize);
    let right = named.iter().zip(labels).filter(|(named, label)| named == label).count();
    let term = |term: Term| report.terms.get(&term).copied();
    step.loss_ce = term(Term::CrossEntropy);
    step.loss_bce = term(Term::Bce);
    step.loss_kl = term(Term::Divergence);
    step.loss_uniform = term(Term::Uniform);
    step.energy_gap = term(Term::EnergyGap);
    step.r1 = term(Term::R1);
    step.accuracy = Some(right as f32 / labels.len().max(1) as f32);
    step.learning_rate = Some(rate as f32);
}

/// Of a stage that began then, with so many iterations of so many images since.
fn pace(
    step: &mut Step,
    (began, loader): (Instant, &Loader),
    iterations: u64,
    images: PerIteration,
) {
    let seconds = began.elapsed().as_secs_f64();
    let images = iterations as f64 * f64::from(images.passed);
    step.seconds = Some(seconds as f32);
    step.wait_share = Some(wait_share(loader, began) as f32);
    step.images_per_second = Some((images / seconds.max(1e-9)) as f32);
}
