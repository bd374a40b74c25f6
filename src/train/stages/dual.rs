//! Runs the iterations of stage 2: dual adversarial training, or JEM, both of which train a classifier and an energy at once.

use super::{
    Exchange, PerIteration, Pieces, Told, fill, images, loader, one, pace, pass, passed, wait_share,
};
use crate::Result;
use crate::attack::{Attack, Langevin, LangevinChains, Pgd, PgdAttack, Start};
use crate::data::{Batch, Loader};
use crate::eval::auroc;
use crate::gpu::Buffer;
use crate::graph::Summary;
use crate::model::BatchSize;
use crate::ops::LangevinStep;
use crate::train::attacker::Attacker;
use crate::train::update::{Sources, Update};
use crate::train::{
    Config, Curriculum, Jem, Learner, Material, ObjectiveName, Phase, ReplayBuffer, Stage2, Step,
};
use crate::world::World;
use std::time::Instant;

/// The sampler that makes contrastive images.
#[derive(Debug)]
enum Sampler {
    /// Climbs the score from out-of-distribution images.
    Climb(Box<PgdAttack>),
    /// On from the replay buffer.
    Langevin(Box<LangevinChains>, Jem),
}

impl Sampler {
    async fn new(config: &Config, learner: &Learner, batch: BatchSize) -> Result<Self> {
        let (stage, Learner { model, live, .. }) = (&config.stage2, learner);
        if config.objective == ObjectiveName::Jem {
            let jem = config.jem.clone();
            let (step_size, noise_size) = (0.5 * jem.alpha as f32, jem.noise as f32);
            let step = LangevinStep { step_size, noise_size };
            let (objective, steps) = (stage.score.climbed(), jem.steps);
            let settings = Langevin { objective, step, steps };
            let chains = LangevinChains::new(model, live, batch, settings).await?;
            return Ok(Self::Langevin(Box::new(chains), jem));
        }
        // How many steps is the curriculum's to say.
        let climb = Pgd::sample(0, stage.alpha as f32);
        let settings = Pgd { objective: stage.climb.climbed(), ..climb };
        let attack = PgdAttack::new(model, live, batch, settings).await?;
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

/// The state of stage 2 beside the weights.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::train) struct Recall {
    /// The number of gradient steps by which contrastive images are made, as it grows by DAT's curriculum.
    pub curriculum: Curriculum,
    /// The replay buffer of JEM.
    pub replay: Option<ReplayBuffer>,
}

/// Stage 2 of dual adversarial training and of JEM (docs/method.md, "Stage 2" and "Other objectives").
#[derive(Debug)]
pub(in crate::train) struct DualStage {
    sampler: Sampler,
    attacker: Attacker,
    update: Update,
    loader: Loader,
    exchange: Exchange,
    pieces: Pieces,
    config: Stage2,
    seed: u64,
    passed: u32,
    began: Instant,
    first: u64,
}

impl DualStage {
    /// Prepares stage 2 (dual adversarial training, or JEM) from iteration `first` on, with `micro` real, attacked and
    /// contrastive images each at once.
    pub async fn new(
        config: &Config,
        material: &Material,
        learner: &Learner,
        (first, micro, world): (u64, u32, &World),
    ) -> Result<Self> {
        let stage = &config.stage2;
        let pieces = Pieces::new(stage.schedule.batch, micro, world);
        let batch = BatchSize { images: pieces.size, side: config.data.side };
        let jem = config.objective == ObjectiveName::Jem;
        let sampler = Sampler::new(config, learner, batch).await?;
        let attacker = if jem || stage.pgd.steps == 0 {
            Attacker::none(learner, batch).await?
        } else {
            Attacker::new(learner, batch, stage.pgd.settings()).await?
        };
        let sources =
            Sources { classified: attacker.buffers(), contrastive: Some(sampler.buffers()), batch };
        let update = Update::dual(learner, sources, config.dual()).await?;
        let (size, seed) = (stage.schedule.batch as usize, config.seed);
        let mut streams = vec![
            images(config, material, "generation", stage.schedule.batch)?,
            images(config, material, "stage2-classification", stage.schedule.batch)?,
        ];
        if !jem {
            streams.push(material.ood.batches("ood", seed, size)?);
        }
        let loader = loader(config, streams, first, world)?;
        // Statistics are frozen.
        let exchange = Exchange::new(world, false);
        let [_, passed] = passed(config);
        let (config, began) = (stage.clone(), Instant::now());
        Ok(Self {
            sampler,
            attacker,
            update,
            loader,
            exchange,
            pieces,
            config,
            seed,
            passed,
            began,
            first,
        })
    }

    /// Runs the next iteration of stage 2, with the learning rate scaled by a factor; `recall` is updated.
    pub async fn iterate(
        &mut self,
        learner: &mut Learner,
        recall: &mut Recall,
        factor: f64,
    ) -> Result<Step> {
        let it = self.loader.step();
        let from = Instant::now();
        let Self { pieces, seed, .. } = *self;
        let batches = self.loader.next_batches()?;
        let [real, classified] = [one(&batches, 0)?, one(&batches, 1)?];
        let schedule = &self.config.schedule;
        let (batch, total) = (schedule.batch, u64::from(schedule.iterations));
        let rate = factor * schedule.rate(it);
        let (steps, drawn) = match (&self.sampler, &recall.replay) {
            (Sampler::Langevin(_, jem), Some(replay)) => {
                (jem.steps, Some(replay.draw(it, batch as usize)))
            }
            _ => (recall.curriculum.t, None),
        };
        let (places, starts) = drawn.unwrap_or_default();
        let words = starts.len() / places.len().max(1);
        let of_rank = self.exchange.world.share(places.len());
        let starts = starts.get(of_rank.start * words..of_rank.end * words).unwrap_or_default();
        let starts = Batch { images: starts.to_vec(), labels: Vec::new() };
        let mut told = Vec::new();
        for part in 0..pieces.parts {
            let (images, labels) = pieces.of(real, part)?;
            let stream = pieces.draw(it, part);
            match &mut self.sampler {
                Sampler::Climb(attack) => {
                    let (start, _) = pieces.of(one(&batches, 2)?, part)?;
                    attack.start(&Start::new(start, labels)).await?;
                    attack.run(steps, |_| Ok(())).await?;
                }
                Sampler::Langevin(chains, _) => {
                    let (start, _) = pieces.of(&starts, part)?;
                    let start = Start { seed, stream, ..Start::new(start, labels) };
                    chains.start(&start).await?;
                    chains.run(steps, |_| Ok(())).await?;
                }
            }
            let gpu = learner.live.gpu();
            let attacked = pieces.of(classified, part)?;
            self.attacker.run(gpu, attacked, (seed, it, pieces.place(part))).await?;
            self.update.write_real(images).await?;
            let update = std::slice::from_mut(&mut self.update);
            let place = (part, pieces);
            for report in pass(update, learner, place, &mut self.exchange, rate).await? {
                let mut of_piece = Told::new(report, attacked.1, learner);
                if let Sampler::Langevin(chains, _) = &self.sampler {
                    of_piece.samples = chains.images().await?;
                }
                told.push(of_piece);
            }
        }
        let told = self.exchange.told(told)?;
        if let Some(replay) = &mut recall.replay {
            let samples: Vec<f32> = told.iter().flat_map(|told| &told.samples).copied().collect();
            replay.put(&places, &samples);
        }
        let (report, accuracy) = Told::merge(told);
        let (positives, negatives) = report.joint.split_at(report.joint.len() / 2);
        let auc = auroc(positives, negatives);
        let mut step = Step::new(Phase::Stage2, it + 1, total);
        fill(&mut step, (&report, accuracy), rate);
        self.exchange.fill(&mut step, from.elapsed().as_secs_f64());
        (step.auc, step.t) = (Some(auc as f32), Some(steps));
        pace(&mut step, (self.began, &self.loader), it + 1 - self.first, self.images());
        if auc.is_finite() {
            recall.curriculum.note(auc);
        }
        Ok(step)
    }

    /// Returns the contrastive images of the last iteration's last piece, \[N, C, side, side\].
    pub async fn contrastive(&self, learner: &Learner) -> Result<Vec<f32>> {
        learner.live.gpu().read(self.sampler.buffers().0).await
    }

    /// Returns the number of images that an iteration of stage 2 draws, and the number that go through its update: real and
    /// attacked ones are drawn, contrastive ones made.
    pub fn images(&self) -> PerIteration {
        PerIteration { drawn: 2 * self.config.schedule.batch, passed: self.passed }
    }

    /// Returns the share of the time so far in which no batch of images was ready.
    pub fn wait_share(&self) -> f64 {
        wait_share(&self.loader, self.began)
    }

    /// Returns the costs of an iteration's update and of one contrastive step.
    pub fn summaries(&self) -> [&Summary; 2] {
        [self.update.summary(), self.sampler.summary()]
    }
}
