//! Whether a run fits an adapter, with which memory and about how long: its stages are made there, and timed.

use super::stages::{ClassifierStage, DualStage, Recall, has_statistics, smaller};
use super::{Config, Curriculum, Jem, Learner, Material, Objective, Phase, ReplayBuffer};
use crate::gpu::Gpu;
use crate::{Error, Result};
use std::time::Instant;

/// What one stage takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Which.
    pub phase: Phase,
    /// Its iterations.
    pub iterations: u32,
    /// Images in its batch.
    pub batch: u32,
    /// Images that go through at once.
    pub micro_batch: u32,
    /// Of device memory, in bytes.
    pub device_bytes: u64,
    /// Of an iteration, at the fewest and at the most contrastive steps.
    pub seconds: [f64; 2],
}

impl Fit {
    /// Of all iterations, likewise.
    pub fn total_seconds(&self) -> [f64; 2] {
        self.seconds.map(|seconds| seconds * f64::from(self.iterations))
    }
}

/// Contrastive steps of the second timed iteration; the first has none.
const TIMED_STEPS: u32 = 2;

/// Each stage of a run. It trains three iterations of each and throws them away.
///
/// # Errors
/// `OutOfMemory` where a stage does not fit, whatever its micro-batch.
pub async fn fit(gpu: &Gpu, config: &Config, material: &Material) -> Result<Vec<Fit>> {
    let mut fits = Vec::new();
    if config.stage1.iterations > 0 {
        fits.push(stage1(gpu, config, material).await?);
    }
    if config.stage2_iterations() > 0 {
        fits.push(stage2(gpu, config, material).await?);
    }
    Ok(fits)
}

async fn stage1(gpu: &Gpu, config: &Config, material: &Material) -> Result<Fit> {
    let (model, stage) = (material.model(config)?, &config.stage1);
    let weights = material.weights(&model, config.seed);
    let before = gpu.counts().bytes;
    let mut learner = Learner::new(gpu, &model, &weights, stage.optimiser()).await?;
    let of = (Phase::Stage1, stage, "classification", config.objective);
    let mut micro = stage.micro_batch;
    let mut made = loop {
        match ClassifierStage::new(config, material, &learner, of, (0, micro)).await {
            Err(error @ Error::OutOfMemory(_)) => {
                // Batch norm's statistics are of the whole batch.
                let left_open = stage.micro_batch == 0 && !has_statistics(&learner);
                micro = left_open.then(|| smaller(stage.batch, micro)).flatten().ok_or(error)?;
            }
            made => break made?,
        }
    };
    made.iterate(&mut learner, 0.0).await?;
    let began = Instant::now();
    made.iterate(&mut learner, 0.0).await?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Fit {
        phase: Phase::Stage1,
        iterations: stage.iterations,
        batch: stage.batch,
        micro_batch: if micro == 0 { stage.batch } else { micro },
        device_bytes: gpu.counts().bytes - before,
        seconds: [seconds; 2],
    })
}

async fn stage2(gpu: &Gpu, config: &Config, material: &Material) -> Result<Fit> {
    let (model, stage) = (material.model(config)?, &config.stage2);
    let weights = material.weights(&model, config.seed);
    let before = gpu.counts().bytes;
    let mut learner = Learner::new(gpu, &model, &weights, stage.optimiser()).await?;
    let mut micro = stage.micro_batch;
    let mut made = loop {
        match DualStage::new(config, material, &learner, (0, micro)).await {
            Err(error @ Error::OutOfMemory(_)) => {
                let left_open = stage.micro_batch == 0;
                micro = left_open.then(|| smaller(stage.batch, micro)).flatten().ok_or(error)?;
            }
            made => break made?,
        }
    };
    let jem = config.objective == Objective::Jem;
    // As small as a batch allows: the buffer's size does not matter for the time.
    let small = Jem { buffer: stage.batch, ..config.jem.clone() };
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
    Ok(Fit {
        phase: Phase::Stage2,
        iterations: stage.iterations,
        batch: stage.batch,
        micro_batch: if micro == 0 { stage.batch } else { micro },
        device_bytes: gpu.counts().bytes - before,
        seconds,
    })
}
