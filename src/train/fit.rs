//! Finds out whether a training run fits a GPU's memory, how much it takes and about how long the run takes, by building its
//! programs on the device and timing them; and lists the kernels that they launch.

use super::stages::{ClassifierStage, DualStage, Recall, has_statistics, smaller};
use super::{Config, Curriculum, Jem, Learner, Material, ObjectiveName, Phase, ReplayBuffer};
use crate::gpu::Gpu;
use crate::graph::Summary;
use crate::world::World;
use crate::{Error, Result};
use std::time::Instant;

/// The memory and time that one stage of training takes, as measured.
#[derive(Clone, Debug, PartialEq)]
pub struct StageCosts {
    /// The stage of training (1 or 2) that was measured.
    pub phase: Phase,
    /// The number of iterations of the stage.
    pub iterations: u32,
    /// The number of images in a batch of the stage.
    pub batch: u32,
    /// The number of images that go through the network at once.
    pub micro_batch: u32,
    /// The bytes of device memory that training in this stage takes.
    pub device_bytes: u64,
    /// The seconds that an iteration takes, with the fewest and with the most gradient steps of contrastive images.
    pub seconds: [f64; 2],
}

impl StageCosts {
    /// Returns the seconds that all iterations take, with the fewest and with the most gradient steps of contrastive images.
    pub fn total_seconds(&self) -> [f64; 2] {
        self.seconds.map(|seconds| seconds * f64::from(self.iterations))
    }
}

/// Contrastive steps of the second timed iteration; the first has none.
const TIMED_STEPS: u32 = 2;

/// Measures the memory and time of each stage of a run, by training three iterations of each and throwing them away.
///
/// # Errors
/// `OutOfMemory` where a stage does not fit, whatever its micro-batch.
pub async fn fit(gpu: &Gpu, config: &Config, material: &Material) -> Result<Vec<StageCosts>> {
    let gpu = &config.device(gpu);
    let mut fits = Vec::new();
    if config.stage1.schedule.iterations > 0 {
        fits.push(stage1(gpu, config, material).await?);
    }
    if config.stage2_iterations() > 0 {
        fits.push(stage2(gpu, config, material).await?);
    }
    Ok(fits)
}

/// Stage 1 with the largest micro-batch that fits, and that one's images.
async fn classifier_that_fits(
    config: &Config,
    material: &Material,
    learner: &Learner,
) -> Result<(ClassifierStage, u32)> {
    let stage = &config.stage1;
    let of = (Phase::Stage1, stage, "classification", config.objective);
    // Batch norm's statistics are of the whole batch.
    let left_open = stage.schedule.micro_batch == 0 && !has_statistics(&learner.model);
    let (mut micro, world) = (stage.schedule.micro_batch, World::one());
    loop {
        match ClassifierStage::new(config, material, learner, of, (0, micro, &world)).await {
            Err(error @ Error::OutOfMemory(_)) => {
                micro = left_open
                    .then(|| smaller(stage.schedule.batch, micro))
                    .flatten()
                    .ok_or(error)?;
            }
            made => return Ok((made?, if micro == 0 { stage.schedule.batch } else { micro })),
        }
    }
}

/// Makes and times stage 2 in the same way.
async fn dual_that_fits(
    config: &Config,
    material: &Material,
    learner: &Learner,
) -> Result<(DualStage, u32)> {
    let stage = &config.stage2;
    let mut micro = stage.schedule.micro_batch;
    loop {
        match DualStage::new(config, material, learner, (0, micro, &World::one())).await {
            Err(error @ Error::OutOfMemory(_)) => {
                let left_open = stage.schedule.micro_batch == 0;
                micro = left_open
                    .then(|| smaller(stage.schedule.batch, micro))
                    .flatten()
                    .ok_or(error)?;
            }
            made => return Ok((made?, if micro == 0 { stage.schedule.batch } else { micro })),
        }
    }
}

/// Returns the programs that an iteration of each training stage runs on the device, by name, with what one run of each costs.
/// Their micro-batch is the configuration's, or else the largest that fits.
///
/// # Errors
/// The errors of [`fit`].
pub async fn plans(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
) -> Result<Vec<(String, Summary)>> {
    let gpu = &config.device(gpu);
    let model = material.model(config)?;
    let initial = model.initial(config.seed);
    let named = |what: &str, per_part: &str, batch: u32, micro: u32| {
        let parts = batch / micro.max(1);
        let of_parts =
            if parts > 1 { format!(", in {parts} parts of {micro} images") } else { String::new() };
        format!("{what}, {per_part} an iteration{of_parts}")
    };
    let mut plans = Vec::new();
    let Config { stage1, stage2, .. } = config;
    if stage1.schedule.iterations > 0 {
        let learner = Learner::new(gpu, &model, &initial, stage1.schedule.optimiser()).await?;
        let (stage, micro) = classifier_that_fits(config, material, &learner).await?;
        let name = |what, times: &str| named(what, times, stage1.schedule.batch, micro);
        let summaries = stage.summaries();
        let update = summaries.map(|(update, _)| (name("stage 1: update", "once"), update.clone()));
        plans.extend(update);
        let step = summaries.and_then(|(_, attack)| attack.cloned());
        plans.extend(
            step.map(|step| (name("stage 1: attack step", &stage1.pgd.steps.to_string()), step)),
        );
    }
    if config.stage2_iterations() > 0 {
        let learner = Learner::new(gpu, &model, &initial, stage2.schedule.optimiser()).await?;
        let (stage, micro) = dual_that_fits(config, material, &learner).await?;
        let [update, step] = stage.summaries();
        let name = |what, times: &str| named(what, times, stage2.schedule.batch, micro);
        plans.push((name("stage 2: update", "once"), update.clone()));
        let times = format!("up to {}", stage2.max_t);
        plans.push((name("stage 2: contrastive step", &times), step.clone()));
    }
    Ok(plans)
}

async fn stage1(gpu: &Gpu, config: &Config, material: &Material) -> Result<StageCosts> {
    let (model, stage) = (material.model(config)?, &config.stage1);
    let weights = material.weights(&model, config.seed);
    let before = gpu.counts().bytes;
    let mut learner = Learner::new(gpu, &model, &weights, stage.schedule.optimiser()).await?;
    let (mut made, micro_batch) = classifier_that_fits(config, material, &learner).await?;
    made.iterate(&mut learner, 0.0).await?;
    let began = Instant::now();
    made.iterate(&mut learner, 0.0).await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(StageCosts {
        phase: Phase::Stage1,
        iterations: stage.schedule.iterations,
        batch: stage.schedule.batch,
        micro_batch,
        device_bytes: gpu.counts().bytes - before,
        seconds: [seconds; 2],
    })
}

async fn stage2(gpu: &Gpu, config: &Config, material: &Material) -> Result<StageCosts> {
    let (model, stage) = (material.model(config)?, &config.stage2);
    let weights = material.weights(&model, config.seed);
    let before = gpu.counts().bytes;
    let mut learner = Learner::new(gpu, &model, &weights, stage.schedule.optimiser()).await?;
    let (mut made, micro_batch) = dual_that_fits(config, material, &learner).await?;
    let jem = config.objective == ObjectiveName::Jem;
    // As small as a batch allows: the buffer's size does not matter for the time.
    let small = Jem { buffer: stage.schedule.batch, ..config.jem.clone() };
    let replay =
        jem.then(|| ReplayBuffer::new(&small, config.seed, model.channels(), config.data.side));
    let curriculum = |t| Curriculum::new(t, t, 1.0, 1, 1);
    let mut recall = Recall { curriculum: curriculum(0), replay };
    made.iterate(&mut learner, &mut recall, 0.0).await?;
    let mut timed = [0.0; 2];
    for (steps, seconds) in [0, TIMED_STEPS].into_iter().zip(&mut timed) {
        recall.curriculum = curriculum(steps);
        let began = Instant::now();
        made.iterate(&mut learner, &mut recall, 0.0).await?;
        *seconds = began.elapsed().as_secs_f64();
    }
    let [none, some] = timed;
    let step = ((some - none) / f64::from(TIMED_STEPS)).max(0.0);
    let seconds = if jem {
        [none; 2]
    } else {
        [stage.start_t, stage.max_t].map(|t| none + step * f64::from(t))
    };
    Ok(StageCosts {
        phase: Phase::Stage2,
        iterations: stage.schedule.iterations,
        batch: stage.schedule.batch,
        micro_batch,
        device_bytes: gpu.counts().bytes - before,
        seconds,
    })
}
