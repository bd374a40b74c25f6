//! Trains the judge: a second classifier of the same architecture, trained without attacks, which says which class a sample
//! shows.

use super::after::check;
use super::tell;
use crate::Result;
use crate::gpu::Gpu;
use crate::model::{Checkpoint, Metadata};
use crate::train::stages::ClassifierStage;
use crate::train::{
    AttackTable, Config, Event, Flow, Learner, Material, ObjectiveName, Observer, Phase, RunFolder,
    Schedule, Stage1,
};
use crate::world::World;
use std::path::PathBuf;

/// Trains the judge: the same architecture, trained without attacks on the same images, which says which class a sample shows and
/// is used for nothing else.
pub async fn train_judge(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
    folder: &mut RunFolder,
    observer: &mut Observer<'_>,
) -> Result<Option<Checkpoint>> {
    let model = material.model(config)?;
    // Of its own beginning and its own order of images.
    let weights = model.initial(config.seed.wrapping_add(1 << 32));
    let mut learner =
        Learner::new(gpu, &model, &weights, config.stage1.schedule.optimiser()).await?;
    let judge = &config.judge;
    let stage = Stage1 {
        schedule: Schedule {
            iterations: judge.iterations,
            batch: judge.batch,
            learning_rate: judge.learning_rate,
            micro_batch: 0,
            warm_up: 0,
            decay_from: 0.0,
            ..config.stage1.schedule.clone()
        },
        pgd: AttackTable { steps: 0, ..config.stage1.pgd.clone() },
        ..config.stage1.clone()
    };
    let total = u64::from(stage.schedule.iterations);
    let begin = Event::Phase { phase: Phase::Judge, done: 0, total };
    if tell(folder, observer, &begin)? == Flow::Stop {
        return Ok(None);
    }
    let of = (Phase::Judge, &stage, "judge", ObjectiveName::At);
    let from = (0, 0, &World::one());
    let mut training = ClassifierStage::new(config, material, &learner, of, from).await?;
    for _ in 0..total {
        let step = training.iterate(&mut learner, 1.0).await?;
        check(&step, step.iteration, f64::INFINITY)?;
        if tell(folder, observer, &Event::Step(step))? == Flow::Stop {
            return Ok(None);
        }
    }
    // The live weights: a plain classifier has no use for averages.
    let weights = learner.live.download().await?;
    let metadata = Metadata { side: Some(config.data.side), ..model.metadata() };
    Ok(Some(Checkpoint {
        metadata,
        weights,
        source: PathBuf::from("judge"),
        ..Checkpoint::default()
    }))
}
