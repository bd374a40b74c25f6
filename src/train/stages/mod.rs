//! The training loops of stage 1 (adversarial training of the classifier), stage 2 (dual adversarial training or JEM, of classifier
//! and energy at once) and training without attacks, an iteration at a time. This file has what they share: streams of images,
//! batches divided to fit the memory, and the numbers that an iteration reports.

mod classifier;
mod dual;
mod exchange;

use classifier::joins_statistics;
pub(super) use classifier::{ClassifierStage, has_statistics};
pub(super) use dual::{DualStage, Recall};
use exchange::Exchange;

use super::update::{Report, Term, Update};
use super::{Config, Learner, Material, ObjectiveName, Step};
use crate::data::{Augment, Batch, BatchSource, Loader};
use crate::eval::argmax;
use crate::model::Network;
use crate::world::World;
use crate::{Error, Result};
use std::num::NonZero;
use std::time::Instant;

/// Batches that are made ahead of the GPU, and more where more threads make them.
const AHEAD: usize = 8;
/// Bytes of images that lie ready, at most, where two batches are fewer.
const READ_AHEAD: usize = 1 << 30;

/// Opens one shuffled, augmented stream of the run's images.
fn images(config: &Config, material: &Material, name: &str, batch: u32) -> Result<BatchSource> {
    let data = &config.data;
    let augment = if name == "generation" { &data.real } else { &data.classify };
    let augment = Augment::parse(augment)?;
    BatchSource::images(name, config.seed, batch as usize, material.train.clone(), augment)
}

/// Starts to read this rank's share of the batches ahead.
fn loader(config: &Config, sources: Vec<BatchSource>, first: u64, world: &World) -> Result<Loader> {
    let threads = match config.data.threads as usize {
        // Ranks of one machine share its cores.
        0 => {
            let (_, ranks) = world.local();
            (std::thread::available_parallelism().map_or(1, NonZero::get) / ranks).max(1)
        }
        threads => threads,
    };
    let share = |source: BatchSource| {
        let of_batch = world.share(source.batch_size());
        source.of_batch(of_batch)
    };
    let sources = sources.into_iter().map(share).collect::<Result<Vec<_>>>()?;
    let step: usize = sources
        .iter()
        .map(|source| source.batch_size() * source.shape().iter().skip(1).product::<usize>() * 4)
        .sum();
    let depth = AHEAD.max(threads).min(READ_AHEAD / step.max(1)).max(2);
    Loader::new(sources, first, depth, threads)
}

/// The number of images that an iteration takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerIteration {
    /// The number of training images that an iteration draws, which `stop.images` counts.
    pub drawn: u32,
    /// The number of images that go through an iteration's update, by which throughput is measured.
    pub passed: u32,
}

/// Returns how often a batch goes through stage 1's update: TRADES passes clean images with attacked ones, RATIO others
/// with labelled ones.
fn passes(objective: ObjectiveName) -> u32 {
    if matches!(objective, ObjectiveName::Trades | ObjectiveName::Ratio) { 2 } else { 1 }
}

/// Images through an update in an iteration of each stage; in stage 2 real, contrastive and attacked ones.
pub(super) fn passed(config: &Config) -> [u32; 2] {
    [config.stage1.schedule.batch * passes(config.objective), config.stage2.schedule.batch * 3]
}

/// Divides a batch into pieces of `size` images, whose gradients are added up. `parts` of them are this rank's.
#[derive(Clone, Copy, Debug)]
struct Pieces {
    size: u32,
    parts: u32,
    /// The index of this rank's first piece in the batch.
    first: u32,
    /// Pieces of the whole batch.
    all: u32,
}

impl Pieces {
    /// Divides this process's share of a batch into pieces of `size` images; if `size` does not divide it, the whole share is one
    /// piece.
    pub fn new(batch: u32, size: u32, world: &World) -> Self {
        let (rank, ranks) = (world.rank() as u32, world.size() as u32);
        let (size, parts) = divided(batch / ranks, size);
        Self { size, parts, first: rank * parts, all: ranks * parts }
    }

    /// The number of a piece among all that were ever trained, at iteration `it`: what names its random numbers.
    fn draw(&self, it: u64, part: u32) -> u32 {
        (it * u64::from(self.all) + u64::from(self.first + part)) as u32
    }

    /// Returns the index of a piece's first image in the whole batch.
    fn place(&self, part: u32) -> u32 {
        (self.first + part) * self.size
    }

    /// Returns the images of one piece and their labels, which random fields do not have.
    fn of<'a>(&self, batch: &'a Batch, part: u32) -> Result<(&'a [f32], &'a [u32])> {
        fn piece<T>(all: &[T], part: usize, parts: usize) -> Option<&[T]> {
            let each = all.len() / parts.max(1);
            all.get(part * each..(part + 1) * each)
        }
        let (part, parts) = (part as usize, self.parts as usize);
        let pair = piece(&batch.images, part, parts).zip(piece(&batch.labels, part, parts));
        pair.ok_or_else(|| {
            Error::mismatch(
                "micro-batch",
                format_args!("part {part} of a batch"),
                format_args!("a part below {parts}, the number of parts"),
            )
        })
    }
}

/// Divides a rank's share of a batch into pieces of `size` images, if that divides it: the size of a piece, and their number.
fn divided(share: u32, size: u32) -> (u32, u32) {
    match share.checked_div(size) {
        Some(parts @ 1..) if share.is_multiple_of(size) => (size, parts),
        _ => (share, 1),
    }
}

/// The next smaller size of pieces, 0 being the whole share of a batch: a divisor of at most half.
pub(super) fn smaller(share: u32, size: u32) -> Option<u32> {
    let now = if size == 0 { share } else { size };
    (1..=now / 2).rev().find(|&size| share.is_multiple_of(size))
}

/// Checks that so many ranks can have equal shares of a stage's batch, and pieces of these by which the network can be trained. Err
/// otherwise.
pub(super) fn check_shares(config: &Config, model: &Network, ranks: u32) -> Result<()> {
    let Config { stage1, stage2, .. } = config;
    let stages = [
        ("stage1", stage1.schedule.iterations, stage1.schedule.batch, stage1.schedule.micro_batch),
        ("stage2", config.stage2_iterations(), stage2.schedule.batch, stage2.schedule.micro_batch),
    ];
    for (stage, iterations, batch, micro) in stages {
        if iterations > 0 && !batch.is_multiple_of(ranks) {
            return Err(Error::BadConfig {
                key: format!("{stage}.batch"),
                value: batch.to_string(),
                allowed: format!(
                    "a multiple of {ranks}, the number of processes that share each batch"
                ),
            });
        }
        let share = batch / ranks;
        if iterations > 0 && micro > 0 && micro < share && !share.is_multiple_of(micro) {
            return Err(Error::BadConfig {
                key: format!("{stage}.micro_batch"),
                value: micro.to_string(),
                allowed: format!(
                    "a divisor of {share}, the share of each of {ranks} processes in a batch of {batch}"
                ),
            });
        }
    }
    if stage1.schedule.iterations > 0 {
        let share = stage1.schedule.batch / ranks;
        joins_statistics(stage1, model, divided(share, stage1.schedule.micro_batch))?;
    }
    Ok(())
}

/// The results of a piece of a batch.
#[derive(Clone, Debug, Default)]
struct Told {
    report: Report,
    /// The number of classified images that were correct.
    right: u32,
    images: u32,
    /// The results of JEM's chains.
    samples: Vec<f32>,
}

impl Told {
    fn new(report: Report, labels: &[u32], learner: &Learner) -> Self {
        let named = argmax(&report.logits, learner.model.classes() as usize);
        let right = named.iter().zip(labels).filter(|(named, label)| named == label).count();
        let (right, images) = (right as u32, labels.len() as u32);
        Self { report, right, images, samples: Vec::new() }
    }

    /// Joins the parts of a batch into its report, and the share of images that were classified correctly.
    fn merge(all: Vec<Self>) -> (Report, f32) {
        let right: u32 = all.iter().map(|told| told.right).sum();
        let images: u32 = all.iter().map(|told| told.images).sum();
        let report = Report::merge(all.into_iter().map(|told| told.report).collect());
        (report, right as f32 / images.max(1) as f32)
    }
}

/// Gradients of the pieces from `first` on, one by each update, the sum over ranks and the optimiser's step after the last
/// piece, and what the pieces report.
async fn pass(
    updates: &mut [Update],
    learner: &mut Learner,
    (first, pieces): (u32, Pieces),
    exchange: &mut Exchange,
    rate: f64,
) -> Result<Vec<Report>> {
    Update::of_pieces(updates, first == 0, pieces.all).await?;
    if first + updates.len() as u32 == pieces.parts {
        exchange.gradients(learner).await?;
        learner.step(rate).await?;
    }
    let mut reports = Vec::new();
    for update in updates {
        reports.push(update.report().await?);
    }
    Ok(reports)
}

fn wait_share(loader: &Loader, began: Instant) -> f64 {
    loader.waited().as_secs_f64() / began.elapsed().as_secs_f64().max(1e-9)
}

fn one(batches: &[Batch], i: usize) -> Result<&Batch> {
    batches.get(i).ok_or_else(|| Error::bug("loader", "a source gave no batch"))
}

fn fill(step: &mut Step, (report, accuracy): (&Report, f32), rate: f64) {
    let term = |term: Term| report.terms.get(&term).copied();
    step.loss_ce = term(Term::CrossEntropy);
    step.loss_bce = term(Term::Bce);
    step.loss_kl = term(Term::Divergence);
    step.loss_uniform = term(Term::Uniform);
    step.energy_gap = term(Term::EnergyGap);
    step.r1 = term(Term::R1);
    step.accuracy = Some(accuracy);
    step.learning_rate = Some(rate as f32);
}

/// Fills in the time and pace of a stage that began at `began`, with this number of iterations since.
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
