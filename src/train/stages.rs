//! The loops: stage 1, stage 2 and plain training, an iteration at a time.

use super::learner::{Learner, Optimiser, Report, Sources, Update};
use super::{Attack as AttackKind, Config, Curriculum, Material, Phase, Stage1, Step};
use crate::attack::{Attack, MomentumAttack, MomentumPgd, Objective, Pgd, Statistics};
use crate::data::{Augment, Batch, BatchSource, Loader, Ood};
use crate::eval::{argmax, auroc};
use crate::gpu::{Buffer, Gpu};
use crate::graph::Summary;
use crate::ops::Norm;
use crate::{Error, Result};
use std::f64::consts::PI;
use std::num::NonZero;
use std::time::Instant;

/// Batches that are made ahead of the GPU, and more where more threads make them.
const AHEAD: usize = 8;

/// Of the learning rate, at iteration `it` of `total`: a cosine from 1 to 0.
pub(super) fn cosine(it: u64, total: u64) -> f64 {
    0.5 * (1.0 + (PI * it as f64 / total.max(1) as f64).cos())
}

/// Stage 2's: a linear warm-up, constant, and a cosine over what follows `decay_from` of the iterations.
pub(super) fn stage2_rate(it: u64, total: u64, warm_up: u32, decay_from: f64) -> f64 {
    let warm = ((it + 1) as f64 / f64::from(warm_up.max(1))).min(1.0);
    let first = decay_from * total as f64;
    let late = (it as f64 - first) / (total as f64 - first).max(1.0);
    warm * 0.5 * (1.0 + (PI * late.clamp(0.0, 1.0)).cos())
}

/// Where an iteration's classified images come from.
#[derive(Debug)]
enum Attacker {
    Pgd(Box<Attack>),
    Momentum(Box<MomentumAttack>),
    /// Images as they are.
    None {
        images: Buffer,
        labels: Buffer,
    },
}

impl Attacker {
    async fn pgd(learner: &Learner, batch: [u32; 2], settings: Pgd) -> Result<Self> {
        let attack = Attack::new(&learner.model, &learner.live, batch, settings, true).await?;
        Ok(Self::Pgd(Box::new(attack)))
    }

    async fn stage1(learner: &Learner, batch: [u32; 2], stage: &Stage1) -> Result<Self> {
        let (norm, eps, step_size, steps) =
            (stage.norm, stage.eps as f32, stage.step_size as f32, stage.steps);
        let objective = Objective::CrossEntropy;
        match stage.attack {
            _ if steps == 0 => Self::none(learner, batch).await,
            AttackKind::Pgd => {
                let statistics = Statistics::Frozen;
                let settings = Pgd { norm, eps, step_size, steps, objective, statistics };
                Self::pgd(learner, batch, settings).await
            }
            AttackKind::MomentumBest => {
                let settings =
                    MomentumPgd { norm, eps, step_size, steps, momentum: 0.9, objective };
                let attack =
                    MomentumAttack::new(&learner.model, &learner.live, batch, settings, true);
                Ok(Self::Momentum(Box::new(attack.await?)))
            }
        }
    }

    async fn none(learner: &Learner, [images, side]: [u32; 2]) -> Result<Self> {
        let words = images * learner.model.channels() * side * side;
        let made = learner.live.gpu().allocate(&[words, images]).await?;
        match <[Buffer; 2]>::try_from(made) {
            Ok([images, labels]) => Ok(Self::None { images, labels }),
            Err(_) => Err(Error::mismatch("training", "no buffers", "two")),
        }
    }

    /// What a step costs; nothing where there is none.
    fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Pgd(attack) => Some(attack.summary()),
            Self::Momentum(attack) => Some(attack.summary()),
            Self::None { .. } => None,
        }
    }

    fn buffers(&self) -> (&Buffer, &Buffer) {
        match self {
            Self::Pgd(attack) => (attack.image_buffer(), attack.label_buffer()),
            Self::Momentum(attack) => (attack.image_buffer(), attack.label_buffer()),
            Self::None { images, labels } => (images, labels),
        }
    }

    /// Leaves the attacked images of the batch in the buffer.
    async fn run(&self, gpu: &Gpu, batch: &Batch) -> Result<()> {
        let (images, labels) = (&batch.images[..], &batch.labels[..]);
        match self {
            Self::Pgd(attack) => {
                attack.prepare().await?;
                attack.start(images, labels).await?;
                attack.run(attack.settings().steps, |_| Ok(())).await
            }
            Self::Momentum(attack) => {
                attack.prepare().await?;
                attack.start(images, labels).await?;
                attack.run(attack.settings().steps, |_| Ok(())).await
            }
            Self::None { images: buffer, labels: label_buffer } => {
                gpu.write(buffer, images).await?;
                gpu.write(label_buffer, labels).await
            }
        }
    }
}

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
    Loader::new(sources, first, AHEAD.max(threads), threads)
}

/// Training of a classifier on attacked images, or on images as they are where the attack has no steps.
#[derive(Debug)]
pub(super) struct ClassifierStage {
    attacker: Attacker,
    update: Update,
    loader: Loader,
    phase: Phase,
    rate: f64,
    total: u64,
    began: Instant,
    first: u64,
}

impl ClassifierStage {
    /// From iteration `first` of `total`. `stream` names the images' random numbers.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        (phase, stage, stream): (Phase, &Stage1, &str),
        first: u64,
    ) -> Result<Self> {
        let batch = [stage.batch, config.data.side];
        let attacker = Attacker::stage1(learner, batch, stage).await?;
        let sources = Sources { classified: attacker.buffers(), contrastive: None, batch };
        let optimiser =
            Optimiser { momentum: stage.momentum as f32, weight_decay: stage.weight_decay as f32 };
        let update = Update::classifier(learner, sources, optimiser).await?;
        let source = images(config, material, stream, stage.batch)?;
        let loader = loader(config, vec![source], first)?;
        let (rate, total) = (stage.learning_rate, u64::from(stage.iterations));
        Ok(Self { attacker, update, loader, phase, rate, total, began: Instant::now(), first })
    }

    /// The next iteration.
    pub async fn iterate(&mut self, learner: &mut Learner) -> Result<Step> {
        let it = self.loader.step();
        let batches = self.loader.next_batches()?;
        let batch = one(&batches, 0)?;
        self.attacker.run(learner.live.gpu(), batch).await?;
        let rate = self.rate * cosine(it, self.total);
        let report = self.update.step(learner, rate).await?;
        let mut step = Step::new(self.phase, it + 1, self.total);
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

/// Dual adversarial training (METHOD.md, stage 2).
#[derive(Debug)]
pub(super) struct DualStage {
    contrastive: Attack,
    attacker: Attacker,
    update: Update,
    loader: Loader,
    config: super::Stage2,
    began: Instant,
    first: u64,
}

impl DualStage {
    /// From iteration `first` of the stage.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        first: u64,
    ) -> Result<Self> {
        let stage = &config.stage2;
        let batch = [stage.batch, config.data.side];
        let climb = Pgd {
            norm: Norm::L2,
            eps: f32::INFINITY,
            step_size: stage.alpha as f32,
            steps: 0,
            objective: Objective::Joint,
            statistics: Statistics::Frozen,
        };
        let contrastive = Attack::new(&learner.model, &learner.live, batch, climb, true).await?;
        let attack = Pgd {
            norm: stage.norm,
            eps: stage.eps as f32,
            step_size: stage.step_size as f32,
            steps: stage.steps,
            objective: Objective::CrossEntropy,
            statistics: Statistics::Frozen,
        };
        let attacker = Attacker::pgd(learner, batch, attack).await?;
        let sources = Sources {
            classified: attacker.buffers(),
            contrastive: Some((contrastive.image_buffer(), contrastive.label_buffer())),
            batch,
        };
        let optimiser =
            Optimiser { momentum: stage.momentum as f32, weight_decay: stage.weight_decay as f32 };
        let update = Update::dual(learner, sources, optimiser).await?;
        let (size, seed) = (stage.batch as usize, config.seed);
        let augment = Augment::parse(&config.data.starts)?;
        let shape = [learner.model.channels(), config.data.side];
        let ood = Ood::parse(&config.data.ood)?;
        let streams = vec![
            images(config, material, "generation", stage.batch)?,
            images(config, material, "stage2-classification", stage.batch)?,
            ood.augmented("ood", seed, size, shape, augment, config.data.max_bad)?,
        ];
        let loader = loader(config, streams, first)?;
        let (config, began) = (stage.clone(), Instant::now());
        Ok(Self { contrastive, attacker, update, loader, config, began, first })
    }

    /// The next iteration; the curriculum takes note of its AUC.
    pub async fn iterate(
        &mut self,
        learner: &mut Learner,
        curriculum: &mut Curriculum,
    ) -> Result<Step> {
        let (it, total) = (self.loader.step(), u64::from(self.config.iterations));
        let batches = self.loader.next_batches()?;
        let [real, classified, start] = [one(&batches, 0)?, one(&batches, 1)?, one(&batches, 2)?];
        let t = curriculum.t;
        self.contrastive.prepare().await?;
        self.contrastive.start(&start.images, &real.labels).await?;
        self.contrastive.run(t, |_| Ok(())).await?;
        self.attacker.run(learner.live.gpu(), classified).await?;
        self.update.write_real(&real.images).await?;
        let super::Stage2 { learning_rate, warm_up, decay_from, .. } = self.config;
        let rate = learning_rate * stage2_rate(it, total, warm_up, decay_from);
        let report = self.update.step(learner, rate).await?;
        let (positives, negatives) = report.joint.split_at(report.joint.len() / 2);
        let auc = auroc(positives, negatives);
        let mut step = Step::new(Phase::Stage2, it + 1, total);
        fill(&mut step, &report, &classified.labels, learner, rate);
        (step.auc, step.t) = (Some(auc as f32), Some(t));
        let images = real.labels.len() * 3;
        pace(&mut step, self.began, (it + 1 - self.first) as f64 * images as f64);
        if auc.is_finite() {
            curriculum.note(auc);
        }
        Ok(step)
    }

    /// The share of the time so far in which no batch was ready.
    pub fn wait_share(&self) -> f64 {
        wait_share(&self.loader, self.began)
    }

    /// What an iteration's update and one contrastive step cost.
    pub fn summaries(&self) -> [&Summary; 2] {
        [self.update.summary(), self.contrastive.summary()]
    }
}

/// What each part of both stages' iterations costs, by name, as it runs: rewritten for the device.
pub async fn plans(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
) -> Result<Vec<(String, Summary)>> {
    let model = material.model(config)?;
    let learner = Learner::new(gpu, &model, &model.initial(config.seed)).await?;
    let mut plans = Vec::new();
    if config.stage1.iterations > 0 {
        let of = (Phase::Stage1, &config.stage1, "classification");
        let stage = ClassifierStage::new(config, material, &learner, of, 0).await?;
        let (update, attack) = stage.summaries();
        plans.push(("stage 1: update, once an iteration".into(), update.clone()));
        let times = config.stage1.steps;
        let named =
            |step: &Summary| (format!("stage 1: attack step, {times} an iteration"), step.clone());
        plans.extend(attack.map(named));
    }
    if config.stage2.iterations > 0 {
        let stage = DualStage::new(config, material, &learner, 0).await?;
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
    step.loss_ce = Some(report.ce);
    step.loss_bce = report.bce;
    step.accuracy = Some(right as f32 / labels.len().max(1) as f32);
    step.learning_rate = Some(rate as f32);
}

fn pace(step: &mut Step, began: Instant, images: f64) {
    let seconds = began.elapsed().as_secs_f64();
    step.seconds = Some(seconds as f32);
    step.images_per_second = Some((images / seconds.max(1e-9)) as f32);
}
