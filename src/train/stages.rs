//! The loops: stage 1, stage 2 and plain training, an iteration at a time.

use super::attacker::Attacker;
use super::optimiser::schedule;
use super::update::{Dual, Report, Sources, Term, Update};
use super::{
    Config, Contrast, Curriculum, Jem, Learner, Material, Objective, Phase, ReplayBuffer, Stage1,
    Step,
};
use crate::attack::{Attack, Langevin, LangevinChains, Objective as Climbed, Pgd, Statistics};
use crate::data::{Augment, Batch, BatchSource, Loader};
use crate::eval::{argmax, auroc};
use crate::gpu::{Buffer, Gpu};
use crate::graph::Summary;
use crate::model::Role;
use crate::ops::{LangevinStep, Norm};
use crate::{Error, Result};
use std::num::NonZero;
use std::time::Instant;

/// Batches that are made ahead of the GPU, and more where more threads make them.
const AHEAD: usize = 8;
/// Bytes of images that lie ready, at most, where two batches are fewer.
const READ_AHEAD: usize = 1 << 30;

/// Images of one shuffled, augmented stream of the run.
pub(super) fn images(
    config: &Config,
    material: &Material,
    name: &str,
    batch: u32,
) -> Result<BatchSource> {
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
    Loader::new(sources, first, depth, threads.min(depth))
}

/// How a batch goes through: in `parts` pieces of `size` images, the gradients of which are added up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces {
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

/// Training of a classifier on attacked images, or on images as they are where the attack has no steps.
#[derive(Debug)]
pub(super) struct ClassifierStage {
    attacker: Attacker,
    /// RATIO's, of out-of-distribution images.
    others: Option<Attack>,
    update: Update,
    loader: Loader,
    pieces: Pieces,
    phase: Phase,
    stage: Stage1,
    seed: u64,
    began: Instant,
    first: u64,
}

impl ClassifierStage {
    /// From iteration `first`, `micro` images at once. `stream` names the images' random numbers.
    ///
    /// # Errors
    /// `BadConfig` for pieces of a batch whose statistics are those of the whole.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        (phase, stage, stream, objective): (Phase, &Stage1, &str, Objective),
        (first, micro): (u64, u32),
    ) -> Result<Self> {
        let pieces = Pieces::new(stage.batch, micro);
        if pieces.parts > 1 && has_statistics(learner) {
            return Err(Error::BadConfig {
                key: "stage1.micro_batch".into(),
                value: micro.to_string(),
                allowed: format!(
                    "the whole batch of {}: batch norm is in training mode, its statistics are of all images",
                    stage.batch
                ),
            });
        }
        let batch = [pieces.size, config.data.side];
        let attacker = Attacker::stage1(learner, batch, stage, objective).await?;
        let mut sources = Sources { classified: attacker.buffers(), contrastive: None, batch };
        let mut streams = vec![images(config, material, stream, stage.batch)?];
        let mut others = None;
        let update = match (objective, &attacker) {
            (Objective::Trades, Attacker::Divergence(attack)) => {
                let beta = config.trades.beta as f32;
                Update::trades(learner, sources, attack.origin_buffer(), beta).await?
            }
            (Objective::Ratio, _) => {
                let super::Ratio { weight, eps, steps, step_size } = config.ratio;
                let settings = Pgd {
                    norm: stage.norm,
                    eps: eps as f32,
                    step_size: step_size as f32,
                    steps,
                    objective: Climbed::FromUniform,
                    statistics: Statistics::Frozen,
                };
                let Learner { model, live, .. } = learner;
                let attack = Attack::new(model, live, batch, settings, true).await?;
                sources.contrastive = Some((attack.image_buffer(), attack.label_buffer()));
                let update = Update::ratio(learner, sources, weight as f32).await?;
                others = Some(attack);
                streams.push(material.ood.batches("ood", config.seed, stage.batch as usize)?);
                update
            }
            _ => Update::classifier(learner, sources).await?,
        };
        let loader = loader(config, streams, first)?;
        let (stage, seed, began) = (stage.clone(), config.seed, Instant::now());
        Ok(Self { attacker, others, update, loader, pieces, phase, stage, seed, began, first })
    }

    /// The next iteration, at so much of the learning rate.
    pub async fn iterate(&mut self, learner: &mut Learner, factor: f64) -> Result<Step> {
        let it = self.loader.step();
        let Self { pieces, stage, .. } = self;
        let batches = self.loader.next_batches()?;
        let batch = one(&batches, 0)?;
        let total = u64::from(stage.iterations);
        let rate =
            factor * stage.learning_rate * schedule(it, total, stage.warm_up, stage.decay_from);
        let mut reports = Vec::new();
        for part in 0..pieces.parts {
            let draw = (self.seed, it * u64::from(pieces.parts) + u64::from(part));
            self.attacker.run(learner.live.gpu(), pieces.of(batch, part)?, draw).await?;
            if let Some(attack) = &self.others {
                let (images, _) = pieces.of(one(&batches, 1)?, part)?;
                attack.prepare().await?;
                // Any class: the uniform distribution has none.
                attack.start(images, &vec![0; pieces.size as usize]).await?;
                attack.run(attack.settings().steps, |_| Ok(())).await?;
            }
            reports.push(pass(&self.update, learner, (part, pieces.parts), rate).await?);
        }
        let report = Report::merge(reports);
        let mut step = Step::new(self.phase, it + 1, total);
        fill(&mut step, &report, &batch.labels, learner, rate);
        pace(&mut step, self.began, (it + 1 - self.first) as f64 * batch.labels.len() as f64);
        Ok(step)
    }

    /// The share of the time so far in which no batch was ready.
    pub fn wait_share(&self) -> f64 {
        wait_share(&self.loader, self.began)
    }

    /// What an iteration's update costs, and a step of its attack.
    pub fn summaries(&self) -> (&Summary, Option<&Summary>) {
        (self.update.summary(), self.attacker.summary())
    }
}

/// The next smaller size of pieces, 0 being the whole batch: a divisor of at most half.
pub(super) fn smaller(batch: u32, size: u32) -> Option<u32> {
    let now = if size == 0 { batch } else { size };
    (1..=now / 2).rev().find(|&size| batch.is_multiple_of(size))
}

/// Whether running statistics follow the batches of stage 1.
pub(super) fn has_statistics(learner: &Learner) -> bool {
    learner.model.parameters().iter().any(|parameter| parameter.role == Role::Statistic)
}

/// Where contrastive images come from.
#[derive(Debug)]
enum Sampler {
    /// Up the score from out-of-distribution images.
    Climb(Box<Attack>),
    /// On from the replay buffer.
    Langevin(Box<LangevinChains>, Jem),
}

impl Sampler {
    async fn new(config: &Config, learner: &Learner, batch: [u32; 2]) -> Result<Self> {
        let (stage, Learner { model, live, .. }) = (&config.stage2, learner);
        if config.objective == Objective::Jem {
            let jem = config.jem.clone();
            let (step_size, noise_size) = (0.5 * jem.alpha as f32, jem.noise as f32);
            let step = LangevinStep { step_size, noise_size };
            let settings = Langevin { objective: stage.score.climbed(), step };
            let chains = LangevinChains::new(model, live, batch, settings, true).await?;
            return Ok(Self::Langevin(Box::new(chains), jem));
        }
        let settings = Pgd {
            norm: Norm::L2,
            eps: f32::INFINITY,
            step_size: stage.alpha as f32,
            steps: 0,
            objective: stage.climb.climbed(),
            statistics: Statistics::Frozen,
        };
        let attack = Attack::new(model, live, batch, settings, true).await?;
        Ok(Self::Climb(Box::new(attack)))
    }

    fn buffers(&self) -> (&Buffer, &Buffer) {
        match self {
            Self::Climb(attack) => (attack.image_buffer(), attack.label_buffer()),
            Self::Langevin(chains, _) => (chains.image_buffer(), chains.label_buffer()),
        }
    }

    fn summary(&self) -> &Summary {
        match self {
            Self::Climb(attack) => attack.summary(),
            Self::Langevin(chains, _) => chains.summary(),
        }
    }
}

/// What stage 2 remembers from iteration to iteration, beside weights.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recall {
    /// Of DAT.
    pub curriculum: Curriculum,
    /// Of JEM.
    pub replay: Option<ReplayBuffer>,
}

/// Dual adversarial training (METHOD.md, stage 2), and JEM.
#[derive(Debug)]
pub(super) struct DualStage {
    sampler: Sampler,
    attacker: Attacker,
    update: Update,
    loader: Loader,
    pieces: Pieces,
    config: super::Stage2,
    seed: u64,
    began: Instant,
    first: u64,
}

impl DualStage {
    /// From iteration `first` of the stage, `micro` images of each kind at once.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        (first, micro): (u64, u32),
    ) -> Result<Self> {
        let stage = &config.stage2;
        let pieces = Pieces::new(stage.batch, micro);
        let batch = [pieces.size, config.data.side];
        let jem = config.objective == Objective::Jem;
        let sampler = Sampler::new(config, learner, batch).await?;
        let attacker = if jem || stage.steps == 0 {
            Attacker::none(learner, batch).await?
        } else {
            let settings = Pgd {
                norm: stage.norm,
                eps: stage.eps as f32,
                step_size: stage.step_size as f32,
                steps: stage.steps,
                objective: Climbed::CrossEntropy,
                statistics: Statistics::Frozen,
            };
            Attacker::pgd(learner, batch, settings).await?
        };
        let sources =
            Sources { classified: attacker.buffers(), contrastive: Some(sampler.buffers()), batch };
        let loss = Dual {
            score: stage.score.into(),
            contrast: if jem { Jem::CONTRAST } else { Contrast::Bce },
            contrast_weight: stage.bce_weight as f32,
            ce_weight: stage.ce_weight as f32,
            r1: stage.r1 as f32,
        };
        let update = Update::dual(learner, sources, loss).await?;
        let (size, seed) = (stage.batch as usize, config.seed);
        let mut streams = vec![
            images(config, material, "generation", stage.batch)?,
            images(config, material, "stage2-classification", stage.batch)?,
        ];
        if !jem {
            streams.push(material.ood.batches("ood", seed, size)?);
        }
        let loader = loader(config, streams, first)?;
        let (config, began) = (stage.clone(), Instant::now());
        Ok(Self { sampler, attacker, update, loader, pieces, config, seed, began, first })
    }

    /// The next iteration, at so much of the learning rate; what is recalled follows it.
    pub async fn iterate(
        &mut self,
        learner: &mut Learner,
        recall: &mut Recall,
        factor: f64,
    ) -> Result<Step> {
        let (it, total) = (self.loader.step(), u64::from(self.config.iterations));
        let Self { pieces, seed, .. } = *self;
        let batches = self.loader.next_batches()?;
        let [real, classified] = [one(&batches, 0)?, one(&batches, 1)?];
        let super::Stage2 { learning_rate, warm_up, decay_from, batch, .. } = self.config;
        let rate = factor * learning_rate * schedule(it, total, warm_up, decay_from);
        let (steps, drawn) = match (&self.sampler, &recall.replay) {
            (Sampler::Langevin(_, jem), Some(replay)) => {
                (jem.steps, Some(replay.draw(it, batch as usize)))
            }
            _ => (recall.curriculum.t, None),
        };
        let (places, starts) = drawn.unwrap_or_default();
        let starts = Batch { images: starts, labels: Vec::new() };
        let (mut reports, mut samples) = (Vec::new(), Vec::new());
        for part in 0..pieces.parts {
            let (images, labels) = pieces.of(real, part)?;
            let draw = it * u64::from(pieces.parts) + u64::from(part);
            match &self.sampler {
                Sampler::Climb(attack) => {
                    let (start, _) = pieces.of(one(&batches, 2)?, part)?;
                    attack.prepare().await?;
                    attack.start(start, labels).await?;
                    attack.run(steps, |_| Ok(())).await?;
                }
                Sampler::Langevin(chains, _) => {
                    let (start, _) = pieces.of(&starts, part)?;
                    chains.prepare().await?;
                    chains.start(start, labels, (seed, draw as u32)).await?;
                    chains.run(steps).await?;
                }
            }
            let gpu = learner.live.gpu();
            self.attacker.run(gpu, pieces.of(classified, part)?, (seed, draw)).await?;
            self.update.write_real(images).await?;
            reports.push(pass(&self.update, learner, (part, pieces.parts), rate).await?);
            if let Sampler::Langevin(chains, _) = &self.sampler {
                samples.extend(chains.images().await?);
            }
        }
        if let Some(replay) = &mut recall.replay {
            replay.put(&places, &samples);
        }
        let report = Report::merge(reports);
        let (positives, negatives) = report.joint.split_at(report.joint.len() / 2);
        let auc = auroc(positives, negatives);
        let mut step = Step::new(Phase::Stage2, it + 1, total);
        fill(&mut step, &report, &classified.labels, learner, rate);
        (step.auc, step.t) = (Some(auc as f32), Some(steps));
        let images = real.labels.len() * 3;
        pace(&mut step, self.began, (it + 1 - self.first) as f64 * images as f64);
        if auc.is_finite() {
            recall.curriculum.note(auc);
        }
        Ok(step)
    }

    /// Contrastive images of the last iteration, \[N, C, side, side\] of the last piece.
    pub async fn contrastive(&self, learner: &Learner) -> Result<Vec<f32>> {
        learner.live.gpu().read(self.sampler.buffers().0).await
    }

    /// The share of the time so far in which no batch was ready.
    pub fn wait_share(&self) -> f64 {
        wait_share(&self.loader, self.began)
    }

    /// What an iteration's update and one contrastive step cost.
    pub fn summaries(&self) -> [&Summary; 2] {
        [self.update.summary(), self.sampler.summary()]
    }
}

/// Gradients of a piece, the optimiser's step after the last one, and what the piece reports.
async fn pass(
    update: &Update,
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

/// What each part of both stages' iterations costs, by name, as it runs: rewritten for the device.
pub async fn plans(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
) -> Result<Vec<(String, Summary)>> {
    let model = material.model(config)?;
    let initial = model.initial(config.seed);
    let mut plans = Vec::new();
    if config.stage1.iterations > 0 {
        let learner = Learner::new(gpu, &model, &initial, config.stage1.optimiser()).await?;
        let of = (Phase::Stage1, &config.stage1, "classification", config.objective);
        let stage = ClassifierStage::new(config, material, &learner, of, (0, 0)).await?;
        let (update, attack) = stage.summaries();
        plans.push(("stage 1: update, once an iteration".into(), update.clone()));
        let times = config.stage1.steps;
        let named =
            |step: &Summary| (format!("stage 1: attack step, {times} an iteration"), step.clone());
        plans.extend(attack.map(named));
    }
    if config.stage2_iterations() > 0 {
        let learner = Learner::new(gpu, &model, &initial, config.stage2.optimiser()).await?;
        let stage = DualStage::new(config, material, &learner, (0, 0)).await?;
        let [update, step] = stage.summaries();
        plans.push(("stage 2: update, once an iteration".into(), update.clone()));
        plans.push(("stage 2: contrastive step, T an iteration".into(), step.clone()));
    }
    Ok(plans)
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

fn pace(step: &mut Step, began: Instant, images: f64) {
    let seconds = began.elapsed().as_secs_f64();
    step.seconds = Some(seconds as f32);
    step.images_per_second = Some((images / seconds.max(1e-9)) as f32);
}
