//! Carries out a training run: stage 1 (adversarial training of the classifier), stage 2 (dual adversarial training or JEM, of
//! classifier and energy at once), and checkpoints from which it resumes with the same bits.

mod after;
mod agreement;
mod judge;
mod record;
mod recovery;

pub use judge::train_judge;

use self::record::record_data;
use super::saver::Saver;
use super::stages::{ClassifierStage, DualStage, Recall, check_shares, has_statistics, smaller};
use super::state::Memory;
use super::validate::Validator;
use super::{
    Config, Curriculum, Event, Flow, Learner, Material, ObjectiveName, Observer, Phase,
    ReplayBuffer, RunFolder, check_stages,
};
use crate::gpu::Gpu;
use crate::model::{Metadata, Network, StateDict};
use crate::world::World;
use crate::{Error, Result};
use std::path::PathBuf;
use std::time::Instant;

/// The name of the file with the averaged weights that did best in validation.
pub const BEST_FILE: &str = "best.safetensors";

/// What training a run results in: the averaged weights, their metadata and the time taken.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The network's architecture.
    pub model: Network,
    /// The moving averages of the weights at the end of training.
    pub average: StateDict,
    /// The metadata that are written beside the weights.
    pub metadata: Metadata,
    /// The number T of gradient steps of contrastive images at the end of stage 2 (dual adversarial training).
    pub t_reached: u32,
    /// The wall time of the stages, time before a resume included.
    pub seconds: Seconds,
    /// The number of images that went through updates in `seconds`.
    pub images: u64,
    /// The part of `seconds` that was spent before this process started.
    pub seconds_before: f64,
    /// Whether training is finished; if not, the observer stopped it, and a checkpoint is on disk.
    pub finished: bool,
}

/// The wall time of each stage of training, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seconds {
    /// The seconds that stage 1, adversarial training, took.
    pub stage1: f64,
    /// The seconds that stage 2, dual adversarial training, took.
    pub stage2: f64,
}

/// Trains a network through both stages (adversarial, then dual adversarial training), from the run folder's latest checkpoint
/// if it has one. Every event goes into the folder's log, then to the observer, who may stop the run: it is then saved first. A
/// run that cannot be trained is refused before its training begins ([`check_stages`](super::check_stages)).
///
/// Where training diverges it goes on from the last checkpoint at half the rate, `checkpoint.roll_backs` times; after that
/// it ends with [`Error::Diverged`]. Images or a folder that cannot be read or written end it with that error, after a
/// checkpoint of what was reached, if one can be written. Where the device is lost, it is opened again and training goes on from
/// the last checkpoint, twice; [`Gpu::current`] is then the one that it ended on. A borrowed device is not opened again.
///
/// In the folder's world of several processes all call this, each with its own device. They share each batch, sum the
/// gradients in the order of ranks, and decide together: what N of them leave behind is bit for bit what one process does with
/// N pieces a batch. Whatever ends one of them, but divergence, is for its caller to end all with ([`World::end`]).
pub async fn train(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
    folder: &mut RunFolder,
    observer: &mut Observer<'_>,
) -> Result<Outcome> {
    let gpu = &config.device(gpu);
    let model = material.model(config)?;
    check_stages(config, &model)?;
    let world = folder.world().clone();
    check_shares(config, &model, world.size() as u32)?;
    let weights = material.weights(&model, config.seed);
    let learner = Learner::new(gpu, &model, &weights, config.stage1.schedule.optimiser()).await?;
    let metadata = Metadata {
        side: Some(config.data.side),
        preset: Some(config.preset.clone()),
        fit: Some(material.fit.to_string()),
        class_names: Some(material.class_names.clone()).filter(|names| !names.is_empty()),
        version: Some(env!("CARGO_PKG_VERSION").into()),
        ..model.metadata()
    };
    let memory = fresh(config, &model);
    let mut run = Run {
        config,
        material,
        folder,
        observer,
        learner,
        memory,
        metadata,
        saver: Saver::default(),
        validator: None,
        last_good: None,
        saved: None,
        before: [(0, 0.0); 2],
        world,
        minutes: 0.0,
        seconds_before: 0.0,
        step: 0,
        images: 0,
        seconds: Seconds::default(),
        began: Instant::now(),
        gpu: gpu.clone(),
        losses: 0,
        damaged: Vec::new(),
    };
    run.agree()?;
    run.tell_damaged()?;
    record_data(run.folder, config, material)?;
    run.resume(u64::MAX).await?;
    run.seconds_before = run.count_before();
    run.settle_minutes()?;
    let finished = loop {
        match run.stages().await {
            Ok(finished) => break finished,
            Err(error) => run.after_error(error).await?,
        }
    };
    run.settle()?;
    let Run { learner, metadata, memory, seconds, seconds_before, images, .. } = run;
    let average = learner.average.download().await?;
    let t_reached = memory.recall.curriculum.t;
    Ok(Outcome { model, average, metadata, t_reached, seconds, images, seconds_before, finished })
}

/// Returns the memory of a run before its first iteration.
fn fresh(config: &Config, model: &Network) -> Memory {
    let stage = &config.stage2;
    let curriculum = Curriculum::new(
        stage.start_t,
        stage.max_t,
        stage.auc_threshold,
        stage.auc_window,
        stage.schedule.batch,
    );
    let replay = (config.objective == ObjectiveName::Jem)
        .then(|| ReplayBuffer::new(&config.jem, config.seed, model.channels(), config.data.side));
    Memory {
        recall: Recall { curriculum, replay },
        images: 0,
        roll_backs: 0,
        returned: None,
        best: None,
        stale: 0,
        micro: [config.stage1.schedule.micro_batch, config.stage2.schedule.micro_batch],
    }
}

pub(super) fn tell(
    folder: &mut RunFolder,
    observer: &mut Observer<'_>,
    event: &Event,
) -> Result<Flow> {
    folder.log(event)?;
    observer(event)
}

struct Run<'a, 'o> {
    config: &'a Config,
    material: &'a Material,
    folder: &'a mut RunFolder,
    observer: &'a mut Observer<'o>,
    learner: Learner,
    memory: Memory,
    metadata: Metadata,
    saver: Saver,
    validator: Option<Validator>,
    last_good: Option<PathBuf>,
    /// The step of the last checkpoint that was begun.
    saved: Option<u64>,
    /// Iterations over both stages that are over.
    step: u64,
    images: u64,
    seconds: Seconds,
    began: Instant,
    /// The iterations of each stage that were done before this process, and their seconds, according to the log.
    before: [(u64, f64); 2],
    /// Seconds of training before this process.
    seconds_before: f64,
    /// The device; after losses, the one that was opened last.
    gpu: Gpu,
    /// The number of times that the device was lost.
    losses: u32,
    /// Files that were told to be left out.
    damaged: Vec<String>,
    /// The processes that train together.
    world: World,
    /// Minutes of training by rank 0's clock, as of the last iteration.
    minutes: f64,
}

impl Run<'_, '_> {
    /// Runs both stages as far as they are not over; false if the observer stopped them.
    async fn stages(&mut self) -> Result<bool> {
        Ok(self.stage1().await? && self.stage2().await?)
    }

    /// Returns why training ends before its iterations are over, if it does.
    fn ended(&self) -> Option<String> {
        let stop = &self.config.stop;
        let images = self.memory.images as f64;
        let epochs = images / self.material.train.len().max(1) as f64;
        let limits = [
            ("images", f64::from(stop.images), images),
            ("epochs", stop.epochs, epochs),
            ("minutes", stop.minutes, self.minutes),
        ];
        let (name, most, _) =
            limits.into_iter().find(|&(_, most, value)| most > 0.0 && value >= most)?;
        Some(format!("stop.{name} = {most} is reached"))
    }

    /// Why the stage that runs ends before its iterations are over, if it does.
    fn plateau(&self) -> Option<String> {
        let (most, stale) = (self.config.stop.plateau, self.memory.stale);
        let reached = most > 0 && stale >= most;
        reached.then(|| format!("{stale} validations in a row were no better (stop.plateau)"))
    }

    /// Reports why a stage ends after `done` of its `total` iterations, if it ends early.
    fn told_why(&mut self, phase: Phase, done: u64, total: u64) -> Result<()> {
        let why = self.ended().map(|why| format!("{why}, training is over"));
        match why.or_else(|| self.plateau()) {
            Some(why) if done < total => {
                let note = format!("{phase} ends after {done} of {total} iterations: {why}");
                tell(self.folder, self.observer, &Event::note(note)).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Half of the learning rate for each time that training diverged.
    fn factor(&self) -> f64 {
        0.5_f64.powf(self.memory.roll_backs.into())
    }

    /// Returns whether to go on.
    async fn stage1(&mut self) -> Result<bool> {
        let config = self.config;
        let total = u64::from(config.stage1.schedule.iterations);
        if self.step >= total || self.ended().is_some() {
            self.told_why(Phase::Stage1, self.step, total)?;
            return Ok(true);
        }
        let begin = Event::Phase { phase: Phase::Stage1, done: self.step, total };
        if self.told(&begin)? == Flow::Stop {
            return self.stop().await;
        }
        let (began, before) = (Instant::now(), self.seconds.stage1);
        self.validator = self.validator().await?;
        let of = (Phase::Stage1, &config.stage1, "classification", config.objective);
        let mut stage = loop {
            let [micro, _] = self.memory.micro;
            let (material, learner) = (self.material, &self.learner);
            let from = (self.step, micro, &self.world);
            let made = ClassifierStage::new(config, material, learner, of, from).await;
            match self.all_fit(made)? {
                Err(Error::OutOfMemory(doing)) if has_statistics(&learner.model) => {
                    let advice = "stage 1 needs its whole batch at once, for batch norm's statistics: a smaller stage1.batch may fit";
                    return Err(Error::OutOfMemory(format!("{doing}; {advice}")));
                }
                Err(error @ Error::OutOfMemory(_)) => self.smaller(0, error)?,
                made => break made?,
            }
        };
        while self.step < total && self.ended().is_none() && self.plateau().is_none() {
            let factor = self.factor();
            let mut step = stage.iterate(&mut self.learner, factor).await?;
            // As the log's row has it, so that a run that is gone on with knows the same.
            let seconds = (before + began.elapsed().as_secs_f64()) as f32;
            self.seconds.stage1 = f64::from(seconds);
            step.seconds = Some(seconds);
            let go_on = self.after(step, stage.images(), total).await?;
            if !go_on {
                return Ok(false);
            }
        }
        self.after_stage(Phase::Stage1, stage.wait_share())?;
        self.told_why(Phase::Stage1, self.step, total)?;
        if self.step < total && self.ended().is_none() {
            // It learns no more: stage 2 begins here as if all iterations were over, and so is the checkpoint numbered.
            self.step = total;
            self.save().await?;
            self.settle()?;
        }
        Ok(true)
    }

    async fn stage2(&mut self) -> Result<bool> {
        let config = self.config;
        let before = u64::from(config.stage1.schedule.iterations);
        let total = before + u64::from(config.stage2_iterations());
        if self.step >= total || self.ended().is_some() {
            self.told_why(Phase::Stage2, self.step.saturating_sub(before), total - before)?;
            return Ok(true);
        }
        if self.step == before {
            // From stage 1's averages, with a fresh average and a fresh optimiser.
            let average = self.learner.average.download().await?;
            let optimiser = config.stage2.schedule.optimiser();
            let learner = Learner::new(&self.gpu, &self.learner.model, &average, optimiser);
            self.learner = learner.await?;
            // The best of this stage is what is asked for, though stage 1's classifier may be more robust.
            (self.memory.best, self.memory.stale) = (None, 0);
        }
        let done = self.step - before;
        let begin = Event::Phase { phase: Phase::Stage2, done, total: total - before };
        if self.told(&begin)? == Flow::Stop {
            return self.stop().await;
        }
        let (began, earlier) = (Instant::now(), self.seconds.stage2);
        self.validator = self.validator().await?;
        let mut stage = loop {
            let [_, micro] = self.memory.micro;
            let from = (done, micro, &self.world);
            let made = DualStage::new(config, self.material, &self.learner, from).await;
            match self.all_fit(made)? {
                Err(error @ Error::OutOfMemory(_)) => self.smaller(1, error)?,
                made => break made?,
            }
        };
        while self.step < total && self.ended().is_none() && self.plateau().is_none() {
            let (factor, recall) = (self.factor(), &mut self.memory.recall);
            let mut step = stage.iterate(&mut self.learner, recall, factor).await?;
            // As the log's row has it, so that a run that is gone on with knows the same.
            let seconds = (earlier + began.elapsed().as_secs_f64()) as f32;
            self.seconds.stage2 = f64::from(seconds);
            step.seconds = Some(seconds);
            let iteration = step.iteration;
            let go_on = self.after(step, stage.images(), total).await?;
            if self.saved == Some(self.step) {
                let images = stage.contrastive(&self.learner).await?;
                let [channels, side] = [self.learner.model.channels(), config.data.side];
                self.folder.picture(iteration, "stage2/contrastive", &images, [channels, side])?;
            }
            if !go_on {
                return Ok(false);
            }
        }
        self.after_stage(Phase::Stage2, stage.wait_share())?;
        self.told_why(Phase::Stage2, self.step - before, total - before)?;
        Ok(true)
    }

    /// Says how well reading ahead went.
    fn after_stage(&mut self, phase: Phase, wait_share: f64) -> Result<()> {
        let percent = 100.0 * wait_share;
        let note = Event::note(format!("{phase} waited for images in {percent:.1} % of its time"));
        tell(self.folder, self.observer, &note)?;
        self.tell_damaged()
    }

    /// Reports images that could not be read since the last report.
    fn tell_damaged(&mut self) -> Result<()> {
        let new = self.of_all(self.material.damaged().concat())?.into_iter();
        let new: Vec<_> = new.filter(|line| !self.damaged.contains(line)).collect();
        for damaged in &new {
            let note = Event::note(format!("left out: {damaged}"));
            tell(self.folder, self.observer, &note)?;
        }
        if !new.is_empty() {
            record_data(self.folder, self.config, self.material)?;
        }
        self.damaged.extend(new);
        Ok(())
    }

    /// Takes the next smaller micro-batch of a stage whose configuration leaves it open, and says so. Err with `error` where
    /// there is none.
    fn smaller(&mut self, stage: usize, error: Error) -> Result<()> {
        let Config { stage1, stage2, .. } = self.config;
        let all = [
            (stage1.schedule.batch, stage1.schedule.micro_batch),
            (stage2.schedule.batch, stage2.schedule.micro_batch),
        ];
        let pair = all.get(stage).zip(self.memory.micro.get_mut(stage));
        let Some((&(batch, 0), micro)) = pair else { return Err(error) };
        let share = batch / self.world.size() as u32;
        let next = smaller(share, *micro);
        let Some(next) = next else { return Err(error) };
        *micro = next;
        let note = format!("{error}: each micro-batch now has {next} of {share} images");
        tell(self.folder, self.observer, &Event::note(note)).map(drop)
    }

    async fn validator(&self) -> Result<Option<Validator>> {
        if self.config.validate.every == 0 {
            return Ok(None);
        }
        Validator::new(self.config, self.material, &self.learner, &self.world).await.map(Some)
    }
}
