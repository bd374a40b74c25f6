//! Runs the iterations of stage 1, for every objective, and of plain training.

use super::{
    Exchange, PerIteration, Pieces, Told, fill, images, loader, one, pace, pass, passes, wait_share,
};
use crate::attack::{AnyAttack, Attack, Objective, Pgd, PgdAttack, Start};
use crate::data::Loader;
use crate::graph::Summary;
use crate::model::{BatchSize, Network, Role};
use crate::train::attacker::Attacker;
use crate::train::loss::Loss;
use crate::train::optimiser::schedule;
use crate::train::update::{Sources, Update};
use crate::train::{Config, Learner, Material, ObjectiveName, Phase, Ratio, Stage1, Step};
use crate::world::World;
use crate::{Error, Result};
use std::time::Instant;

/// Training of a classifier on attacked images, or on images as they are where the attack has no steps.
#[derive(Debug)]
pub(in crate::train) struct ClassifierStage {
    attacker: Attacker,
    /// RATIO's, of out-of-distribution images.
    others: Option<PgdAttack>,
    update: Update,
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

impl ClassifierStage {
    /// Prepares the stage from iteration `first` on, with `micro` images in a pass. `stream` names the images' random numbers.
    ///
    /// # Errors
    /// `BadConfig` for pieces of a batch whose statistics are those of the whole.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        (phase, stage, stream, objective): (Phase, &Stage1, &str, ObjectiveName),
        (first, micro, world): (u64, u32, &World),
    ) -> Result<Self> {
        let pieces = Pieces::new(stage.batch, micro, world);
        let statistics = has_statistics(&learner.model);
        if pieces.parts > 1 && statistics {
            return Err(Error::BadConfig {
                key: "stage1.micro_batch".into(),
                value: micro.to_string(),
                allowed: format!(
                    "the whole batch of {}: batch norm is in training mode, its statistics are of all images",
                    stage.batch
                ),
            });
        }
        let batch = BatchSize { images: pieces.size, side: config.data.side };
        let attacker = Attacker::stage1(learner, batch, stage, objective).await?;
        let mut sources = Sources { classified: attacker.buffers(), contrastive: None, batch };
        let mut streams = vec![images(config, material, stream, stage.batch)?];
        let mut others = None;
        if objective == ObjectiveName::Ratio {
            let Ratio { eps, steps, step_size, .. } = config.ratio;
            let settings = Pgd {
                step_size: step_size as f32,
                objective: Objective::FromUniform,
                ..Pgd::attack(stage.norm, eps as f32, steps)
            };
            let Learner { model, live, .. } = learner;
            others = Some(PgdAttack::new(model, live, batch, settings).await?);
            streams.push(material.ood.batches("ood", config.seed, stage.batch as usize)?);
        }
        let moved = others.as_ref().map(|attack| (attack.image_buffer(), attack.label_buffer()));
        sources.contrastive = moved;
        let ranks = if stage.sync_batch_norm && statistics { world.size() as u32 } else { 1 };
        let model = &learner.model;
        let (clean, loss) = match (objective, &attacker) {
            (ObjectiveName::Trades, Attacker::Attack(AnyAttack::Divergence(attack))) => {
                let loss = Loss::trades(model, batch, config.trades.beta as f32, ranks)?;
                (Some(attack.origin_buffer()), loss)
            }
            (ObjectiveName::Ratio, _) => {
                (None, Loss::ratio(model, batch, config.ratio.weight as f32, ranks)?)
            }
            _ => (None, Loss::classifier(model, batch, ranks)?),
        };
        let update = Update::synchronised(learner, sources, clean, loss, world).await?;
        let loader = loader(config, streams, first, world)?;
        let exchange = Exchange::new(world, statistics);
        let images = PerIteration { drawn: stage.batch, passed: passes(objective) * stage.batch };
        let (stage, seed, began) = (stage.clone(), config.seed, Instant::now());
        Ok(Self {
            attacker,
            others,
            update,
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

    /// Runs the next iteration with the learning rate times `factor`.
    pub async fn iterate(&mut self, learner: &mut Learner, factor: f64) -> Result<Step> {
        let (it, from) = (self.loader.step(), Instant::now());
        let Self { pieces, stage, .. } = self;
        let batches = self.loader.next_batches()?;
        let batch = one(&batches, 0)?;
        let total = u64::from(stage.iterations);
        let rate =
            factor * stage.learning_rate * schedule(it, total, stage.warm_up, stage.decay_from);
        let mut told = Vec::new();
        for part in 0..pieces.parts {
            let images = pieces.of(batch, part)?;
            let draw = (self.seed, it, pieces.place(part));
            self.attacker.run(learner.live.gpu(), images, draw).await?;
            if let Some(attack) = &mut self.others {
                let (others, _) = pieces.of(one(&batches, 1)?, part)?;
                // Any class: the uniform distribution has none.
                attack.start(&Start::new(others, &vec![0; pieces.size as usize])).await?;
                attack.run(attack.steps(), |_| Ok(())).await?;
            }
            let place = (part, *pieces);
            let report = pass(&mut self.update, learner, place, &mut self.exchange, rate).await?;
            told.push(Told::new(report, images.1, learner));
        }
        let (report, accuracy) = Told::merge(self.exchange.told(told)?);
        let mut step = Step::new(self.phase, it + 1, total);
        fill(&mut step, (&report, accuracy), rate);
        self.exchange.fill(&mut step, from.elapsed().as_secs_f64());
        pace(&mut step, (self.began, &self.loader), it + 1 - self.first, self.images);
        Ok(step)
    }

    /// Returns the number of images of each kind in an iteration.
    pub fn images(&self) -> PerIteration {
        self.images
    }

    /// The share of the time so far in which no batch was ready.
    pub fn wait_share(&self) -> f64 {
        wait_share(&self.loader, self.began)
    }

    /// Returns the costs of an iteration's update, and of a step of its attack.
    pub fn summaries(&self) -> (&Summary, Option<&Summary>) {
        (self.update.summary(), self.attacker.summary())
    }
}

/// Whether running statistics follow the batches of stage 1.
pub(in crate::train) fn has_statistics(model: &Network) -> bool {
    model.parameters().iter().any(|parameter| parameter.role == Role::Statistic)
}
