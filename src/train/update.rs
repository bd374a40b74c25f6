//! Computes the gradients of a batch's loss on a device, by the graphs that `loss.rs` builds. [`Learner`] takes the optimiser's step.

use super::Learner;
use super::loss::{Given, Loss};
use super::loss_scale::LossScale;
use super::synchronise::{Joining, Pauses};
use crate::gpu::{Buffer, Timing};
use crate::graph::{Summary, Value};
use crate::lower::Program;
use crate::model::BatchSize;
use crate::ops::Synchronise;
use crate::world::World;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A term of a training loss, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// The mean cross-entropy of the labels.
    CrossEntropy,
    /// The mean binary cross-entropy of real against contrastive images.
    Bce,
    /// The mean KL(clean ‖ attacked) of the objective TRADES.
    Divergence,
    /// The mean cross-entropy of the uniform distribution on out-of-distribution images, of the objective RATIO.
    Uniform,
    /// The mean energy of real images minus that of samples, of the objective JEM.
    EnergyGap,
    /// The R1 gradient penalty, half the mean squared norm of the gradients of real images' scores ([`r1`](crate::ops::r1)),
    /// without its weight.
    R1,
}

/// The loss terms and logits that one training step reports.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The terms of the loss, without their weights.
    pub terms: BTreeMap<Term, f32>,
    /// The logits of the classified images.
    pub logits: Vec<f32>,
    /// The class logits f(x)\[y\] of the real images, then of the contrastive ones, in stage 2 (dual adversarial training).
    pub joint: Vec<f32>,
}

impl Report {
    /// Returns a term of the loss, without its weight; NaN if the loss has no such term.
    pub fn term(&self, term: Term) -> f32 {
        self.terms.get(&term).copied().unwrap_or(f32::NAN)
    }

    /// Joins the reports of equal parts of a batch, in their order, into the batch's.
    #[cfg(feature = "train")]
    pub(super) fn merge(parts: Vec<Self>) -> Self {
        let mut whole = Self::default();
        let count = parts.len() as f32;
        let [mut real, mut moved] = [const { Vec::new() }; 2];
        for part in parts {
            for (term, value) in part.terms {
                *whole.terms.entry(term).or_default() += value / count;
            }
            whole.logits.extend(part.logits);
            let (of_real, of_moved) = part.joint.split_at(part.joint.len() / 2);
            real.extend_from_slice(of_real);
            moved.extend_from_slice(of_moved);
        }
        whole.joint = [real, moved].concat();
        whole
    }
}

/// The score of an image, a number by which real images are told from contrastive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// The logsumexp of the logits, which is minus the energy of the image.
    LogSumExp,
    /// The logit f(x)\[y\] of the class, which is minus the joint energy of image and class.
    ClassLogit,
}

/// The loss by which stage 2 (dual adversarial training) tells real images from contrastive ones, which gradient steps make
/// from out-of-distribution images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contrast {
    /// The binary cross-entropy of the scores.
    Bce,
    /// The difference of the mean scores: maximum likelihood, as in JEM (arXiv 1912.03263).
    EnergyGap,
}

/// The loss of stage 2 (dual adversarial training): `contrast_weight` × a loss that tells real from contrastive images by
/// their scores ([`Contrast`]) + `ce_weight` × cross-entropy + `r1` × the R1 penalty of the real images' scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual {
    /// Which score of an image the loss of real against contrastive images uses.
    pub score: Score,
    /// The loss that tells real images from contrastive ones.
    pub contrast: Contrast,
    /// The weight of the loss that tells real from contrastive images.
    pub contrast_weight: f32,
    /// The weight of the mean cross-entropy of the classified images.
    pub ce_weight: f32,
    /// The weight of the R1 penalty on the gradients of real images' scores (whose own gradient takes second derivatives); 0
    /// for none.
    pub r1: f32,
}

impl Default for Dual {
    /// The loss of dual adversarial training (docs/method.md, "Stage 2").
    fn default() -> Self {
        Self {
            score: Score::LogSumExp,
            contrast: Contrast::Bce,
            contrast_weight: 1.0,
            ce_weight: 1.0,
            r1: 0.0,
        }
    }
}

/// The device buffers that hold the images of one training step, with their number and size.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The images to classify, and their labels.
    pub classified: (&'a Buffer, &'a Buffer),
    /// In stage 2 the contrastive images and the classes they were made for, which are the real images' labels; with RATIO the
    /// out-of-distribution images, whose labels are not read.
    pub contrastive: Option<(&'a Buffer, &'a Buffer)>,
    /// The number and size of images in each of the buffers.
    pub batch: BatchSize,
}

/// A program that computes the gradients of a training loss for a batch into a [`Learner`].
#[derive(Debug)]
pub struct Update {
    program: Program,
    seed: Value,
    control: Value,
    scale: LossScale,
    /// The scale that `seed` holds.
    written: f32,
    terms: Vec<(Term, Value)>,
    logits: Value,
    joint: Option<Value>,
    real: Option<Value>,
    /// The pauses of a pass at which pieces of a batch join their statistics.
    pauses: Pauses,
    world: World,
}

impl Update {
    /// Makes the update of stage 1 and of training without attacks: mean cross-entropy of the classified images. Batch norm uses
    /// the batch's statistics and updates the running ones.
    pub async fn classifier(learner: &Learner, sources: Sources<'_>) -> Result<Self> {
        let loss = Loss::classifier(&learner.model, sources.batch, Joining::NONE)?;
        Self::new(learner, sources, None, loss).await
    }

    /// Makes an update with the mean cross-entropy of the classified images, and frozen running statistics: to go on training a
    /// network on so few images that a batch's own statistics would be mostly chance.
    pub async fn frozen(learner: &Learner, sources: Sources<'_>) -> Result<Self> {
        let loss = Loss::frozen(&learner.model, sources.batch)?;
        Self::new(learner, sources, None, loss).await
    }

    /// Makes the update of TRADES (Zhang and others 2019, arXiv 1901.08573, equation 5): mean cross-entropy of the images in the
    /// buffer `clean` plus `beta` times mean KL(f(clean) ‖ f(classified)), with gradients through both sides. Clean and
    /// attacked images go through the network as one batch, by whose statistics batch norm normalises and updates the running
    /// ones. The report's logits are the attacked images'.
    pub async fn trades(
        learner: &Learner,
        sources: Sources<'_>,
        clean: &Buffer,
        beta: f32,
    ) -> Result<Self> {
        let loss = Loss::trades(&learner.model, sources.batch, beta, Joining::NONE)?;
        Self::new(learner, sources, Some(clean), loss).await
    }

    /// Makes an update for RATIO (Augustin, Meinke and Hein 2020, arXiv 2003.09461, equation 6): mean cross-entropy of the
    /// classified images plus `weight` times that of the uniform distribution on out-of-distribution images, both attacked
    /// before. Both go through the network as one batch, by whose statistics batch norm normalises and updates the running ones.
    pub async fn ratio(learner: &Learner, sources: Sources<'_>, weight: f32) -> Result<Self> {
        let loss = Loss::ratio(&learner.model, sources.batch, weight, Joining::NONE)?;
        Self::new(learner, sources, None, loss).await
    }

    /// Makes the update of stage 2 (docs/method.md, "Stage 2", points 3 to 5) and of JEM: a loss of real against contrastive
    /// images plus the cross-entropy of classified images, with frozen batch norm statistics. All three kinds of images go
    /// through the network as one batch.
    pub async fn dual(learner: &Learner, sources: Sources<'_>, loss: Dual) -> Result<Self> {
        let loss = Loss::dual(&learner.model, sources.batch, loss)?;
        Self::new(learner, sources, None, loss).await
    }

    /// A loss of stage 1 whose statistics are joined with those of other pieces, this process's and those of all ranks.
    #[cfg(feature = "train")]
    pub(super) async fn synchronised(
        learner: &Learner,
        sources: Sources<'_>,
        clean: Option<&Buffer>,
        loss: Loss,
        world: &World,
    ) -> Result<Self> {
        let world = world.clone();
        Ok(Self { world, ..Self::new(learner, sources, clean, loss).await? })
    }

    async fn new(
        learner: &Learner,
        sources: Sources<'_>,
        clean: Option<&Buffer>,
        loss: Loss,
    ) -> Result<Self> {
        let mut given = learner.live.bindings(&loss.weights)?;
        for (value, what) in &loss.given {
            let buffer = match what {
                Given::Classified => Some(sources.classified.0),
                Given::ClassifiedLabels => Some(sources.classified.1),
                Given::Contrastive => sources.contrastive.map(|(images, _)| images),
                Given::ContrastiveLabels => sources.contrastive.map(|(_, labels)| labels),
                Given::Clean => clean,
                Given::Sum(name) => Some(learner.gradients.buffer(name)?),
            };
            let given_to = "a buffer for each input of the loss";
            let missing = match what {
                Given::Clean => "no clean images",
                _ => "no contrastive images with labels",
            };
            let none = || Error::mismatch("update", missing, given_to);
            given.push((*value, buffer.ok_or_else(none)?.clone()));
        }
        let gpu = learner.live.gpu();
        let (wanted, changing) = (loss.wanted(), &loss.changing);
        let mut program = Program::new(gpu, &loss.graph, &wanted, changing, &given).await?;
        for (value, contents) in &loss.constants {
            program.write(*value, contents).await?;
        }
        let pauses = Pauses::of(&loss.graph);
        let Loss { seed, control, terms, logits, joint, real, .. } = loss;
        let (world, scale) = (World::one(), learner.scale.clone());
        Ok(Self {
            program,
            seed,
            control,
            scale,
            written: 1.0,
            terms,
            logits,
            joint,
            real,
            pauses,
            world,
        })
    }

    /// Sets the real images of the next step of stage 2 (dual adversarial training). Their labels are those of the contrastive
    /// ones.
    pub async fn write_real(&mut self, images: &[f32]) -> Result<()> {
        match self.real {
            Some(real) => self.program.write(real, images).await,
            None => Err(Error::mismatch(
                "update",
                "real images",
                "none, because only the losses of stage 2 read real images",
            )),
        }
    }

    /// Computes the gradients of the loss for the images in the buffers, as part `part` (from 0) of a batch in `parts` equal
    /// parts, and adds them, divided by `parts`, to the gradients that the [`Learner`], the network under training, holds; part
    /// 0 replaces what was there. It does not wait for the device.
    pub async fn gradients(&mut self, part: u32, parts: u32) -> Result<()> {
        Self::of_pieces(std::slice::from_mut(self), part == 0, parts).await
    }

    /// Computes the gradients of some of the `parts` pieces of a batch, one piece by each of these updates, and adds them to
    /// the learner's in this order; `first` says that they take the place of those that the learner held. Statistics of the
    /// pieces and of the other ranks' at the same time are joined, where the losses were made for that.
    pub(super) async fn of_pieces(updates: &mut [Self], first: bool, parts: u32) -> Result<()> {
        for (at, Self { program, seed, control, scale, written, .. }) in
            updates.iter_mut().enumerate()
        {
            let keep = if first && at == 0 { 0.0 } else { 1.0 };
            let wanted = scale.state().scale;
            if *written != wanted {
                program.write(*seed, &[wanted]).await?;
                *written = wanted;
            }
            program.write(*control, &[keep, 1.0 / parts as f32 / wanted]).await?;
        }
        let Some(Self { pauses, world, .. }) = updates.first() else { return Ok(()) };
        let (pauses, world) = (pauses.clone(), world.clone());
        if pauses.is_empty() {
            for update in updates {
                update.program.submit().await?;
            }
            return Ok(());
        }
        let mut programs: Vec<_> = updates
            .iter_mut()
            .map(|update| (&mut update.program, update.pauses.values()))
            .collect();
        let joined = |at: usize, own: &[_]| pauses.join(&world, at, own);
        Program::in_lock_step(&mut programs, Synchronise::NAME, joined).await
    }

    /// Reads back the terms of the loss and the logits of the last pass.
    pub async fn report(&self) -> Result<Report> {
        let terms = self.terms.iter().map(|(_, value)| *value);
        let values: Vec<_> = terms.chain([self.logits]).chain(self.joint).collect();
        let mut read = self.program.read_all(&values).await?.into_iter();
        let mut next = || read.next().unwrap_or_default();
        let one = |values: Vec<f32>| values.first().copied().unwrap_or(f32::NAN);
        let terms = self.terms.iter().map(|(term, _)| (*term, one(next()))).collect();
        Ok(Report { terms, logits: next(), joint: next() })
    }

    /// Trains on one whole batch: computes gradients, takes an optimiser step, and returns the loss terms.
    pub async fn step(&mut self, learner: &mut Learner, learning_rate: f64) -> Result<Report> {
        self.gradients(0, 1).await?;
        learner.step(learning_rate).await?;
        self.report().await
    }

    /// Measures the GPU time of each kernel launch in one pass, forward and back. Err on devices without timestamps.
    pub async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
        self.program.profile(repetitions).await
    }

    /// Returns what one pass, forward and back, costs: kernel launches, arithmetic, memory.
    pub fn summary(&self) -> &Summary {
        self.program.summary()
    }
}
