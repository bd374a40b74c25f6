//! Runs the iterations of stage 1 (adversarial training of the classifier), with the loss of the objective that the configuration
//! chooses, and of training without attacks.

use super::{
    Exchange, PerIteration, Pieces, Told, fill, images, loader, one, pace, pass, passes, wait_share,
};
use crate::attack::{AnyAttack, Attack, Objective, Pgd, PgdAttack, Start};
use crate::data::Loader;
use crate::graph::Summary;
use crate::model::{BatchSize, Network, Role};
use crate::train::attacker::Attacker;
use crate::train::loss::Loss;
use crate::train::synchronise::Joining;
use crate::train::update::{Sources, Update};
use crate::train::{Config, Learner, Material, ObjectiveName, Phase, Ratio, Stage1, Step};
use crate::world::World;
use crate::{Error, Result};
use std::time::Instant;

/// Training of a classifier on attacked images, or on images as they are where the attack has no steps.
#[derive(Debug)]
pub(in crate::train) struct ClassifierStage {
    /// One, which all pieces of a batch go through in turn; or one for each piece, where they go side by side.
    makers: Vec<Maker>,
    /// One for each maker.
    updates: Vec<Update>,
    loader: Loader,
    exchange: Exchange,
    pieces: Pieces,
    images: PerIteration,
    phase: Phase,
    stage: Stage1,
    seed: u64,
    began: Instant,
    first: u64,
}

/// What makes the images of one piece of a batch.
#[derive(Debug)]
struct Maker {
    attacker: Attacker,
    /// RATIO's, of out-of-distribution images.
    others: Option<PgdAttack>,
}

impl Maker {
    async fn new(
        config: &Config,
        learner: &Learner,
        batch: BatchSize,
        (stage, objective): (&Stage1, ObjectiveName),
    ) -> Result<Self> {
        let attacker = Attacker::stage1(learner, batch, stage, objective).await?;
        let mut others = None;
        if objective == ObjectiveName::Ratio {
            let Ratio { eps, steps, step_size, .. } = config.ratio;
            let settings = Pgd {
                step_size: step_size as f32,
                objective: Objective::FromUniform,
                ..Pgd::attack(stage.pgd.norm, eps as f32, steps)
            };
            let Learner { model, live, .. } = learner;
            others = Some(PgdAttack::new(model, live, batch, settings).await?);
        }
        Ok(Self { attacker, others })
    }

    /// Makes the update by the images that this makes.
    async fn update(
        &self,
        config: &Config,
        learner: &Learner,
        (batch, objective): (BatchSize, ObjectiveName),
        (joining, world): (Joining, &World),
    ) -> Result<Update> {
        let others = self.others.as_ref();
        let contrastive = others.map(|attack| (attack.image_buffer(), attack.label_buffer()));
        let sources = Sources { classified: self.attacker.buffers(), contrastive, batch };
        let model = &learner.model;
        let (clean, loss) = match (objective, &self.attacker) {
            (ObjectiveName::Trades, Attacker::Attack(AnyAttack::Divergence(attack))) => {
                let loss = Loss::trades(model, batch, config.trades.beta as f32, joining)?;
                (Some(attack.origin_buffer()), loss)
            }
            (ObjectiveName::Ratio, _) => {
                (None, Loss::ratio(model, batch, config.ratio.weight as f32, joining)?)
            }
            _ => (None, Loss::classifier(model, batch, joining)?),
        };
        Update::synchronised(learner, sources, clean, loss, world).await
    }
}

impl ClassifierStage {
    /// Prepares the training of a classifier (stage 1, or the judge) from iteration `first` on, with `micro` images in a pass.
    /// `stream` names the images' random numbers.
    ///
    /// # Errors
    /// `BadConfig` for pieces of a batch that would each have batch statistics of its own.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        (phase, stage, stream, objective): (Phase, &Stage1, &str, ObjectiveName),
        (first, micro, world): (u64, u32, &World),
    ) -> Result<Self> {
        let pieces = Pieces::new(stage.schedule.batch, micro, world);
        let joined = joins_statistics(stage, &learner.model, (pieces.size, pieces.parts))?;
        let batch = BatchSize { images: pieces.size, side: config.data.side };
        let side_by_side = if joined { pieces.parts } else { 1 };
        let (mut makers, mut updates) = (Vec::new(), Vec::new());
        for piece in 0..side_by_side {
            let maker = Maker::new(config, learner, batch, (stage, objective)).await?;
            let all = if joined { pieces.all } else { 1 };
            let joining = Joining { pieces: all, leads: piece == 0 };
            let of = (batch, objective);
            updates.push(maker.update(config, learner, of, (joining, world)).await?);
            makers.push(maker);
        }
        let mut streams = vec![images(config, material, stream, stage.schedule.batch)?];
        if objective == ObjectiveName::Ratio {
            streams.push(material.ood.batches(
                "ood",
                config.seed,
                stage.schedule.batch as usize,
            )?);
        }
        let loader = loader(config, streams, first, world)?;
        let exchange = Exchange::new(world, has_statistics(&learner.model));
        let images = PerIteration {
            drawn: stage.schedule.batch,
            passed: passes(objective) * stage.schedule.batch,
        };
        let (stage, seed, began) = (stage.clone(), config.seed, Instant::now());
        Ok(Self {
            makers,
            updates,
            loader,
            exchange,
            pieces,
            images,
            phase,
            stage,
            seed,
            began,
            first,
        })
    }

    /// Runs the next iteration of the classifier's training, with the learning rate times `factor`.
    pub async fn iterate(&mut self, learner: &mut Learner, factor: f64) -> Result<Step> {
        let (it, from) = (self.loader.step(), Instant::now());
        let Self { pieces, stage, .. } = self;
        let batches = self.loader.next_batches()?;
        let batch = one(&batches, 0)?;
        let total = u64::from(stage.schedule.iterations);
        let rate = factor * stage.schedule.rate(it);
        let mut told = Vec::new();
        for first in (0..pieces.parts).step_by(self.makers.len().max(1)) {
            // All attacks come first: the update of the first piece writes the running statistics that they read.
            for (part, Maker { attacker, others }) in (first..).zip(&mut self.makers) {
                let draw = (self.seed, it, pieces.place(part));
                attacker.run(learner.live.gpu(), pieces.of(batch, part)?, draw).await?;
                if let Some(attack) = others {
                    let (others, _) = pieces.of(one(&batches, 1)?, part)?;
                    // Any class: the uniform distribution has none.
                    attack.start(&Start::new(others, &vec![0; pieces.size as usize])).await?;
                    attack.run(attack.steps(), |_| Ok(())).await?;
                }
            }
            let (place, exchange) = ((first, *pieces), &mut self.exchange);
            let reports = pass(&mut self.updates, learner, place, exchange, rate).await?;
            for (part, report) in (first..).zip(reports) {
                told.push(Told::new(report, pieces.of(batch, part)?.1, learner));
            }
        }
        let (report, accuracy) = Told::merge(self.exchange.told(told)?);
        let mut step = Step::new(self.phase, it + 1, total);
        fill(&mut step, (&report, accuracy), rate);
        self.exchange.fill(&mut step, from.elapsed().as_secs_f64());
        pace(&mut step, (self.began, &self.loader), it + 1 - self.first, self.images);
        Ok(step)
    }

    /// Returns the number of images that an iteration draws, and the number that go through its update.
    pub fn images(&self) -> PerIteration {
        self.images
    }

    /// Returns the share of the time so far in which no batch of images was ready.
    pub fn wait_share(&self) -> f64 {
        wait_share(&self.loader, self.began)
    }

    /// Returns the costs of the update for one piece of a batch, and of one step of the piece's attack.
    pub fn summaries(&self) -> Option<(&Summary, Option<&Summary>)> {
        let (update, maker) = self.updates.first().zip(self.makers.first())?;
        Some((update.summary(), maker.attacker.summary()))
    }
}

/// Whether the pieces of a batch, which are so large and so many, join their batch norm's statistics.
///
/// # Errors
/// `BadConfig` for pieces that would each have batch statistics of its own.
pub(super) fn joins_statistics(
    stage: &Stage1,
    model: &Network,
    (size, parts): (u32, u32),
) -> Result<bool> {
    let statistics = has_statistics(model);
    if parts > 1 && statistics && !stage.sync_batch_norm {
        return Err(Error::BadConfig {
            key: "stage1.micro_batch".into(),
            value: size.to_string(),
            allowed: format!(
                "0, which is all {} images at once, because batch norm computes its statistics over all of them; stage1.sync_batch_norm = true allows smaller micro-batches",
                size * parts
            ),
        });
    }
    Ok(stage.sync_batch_norm && statistics)
}

/// Whether running statistics follow the batches of stage 1.
pub(in crate::train) fn has_statistics(model: &Network) -> bool {
    model.parameters().iter().any(|parameter| parameter.role == Role::Statistic)
}
