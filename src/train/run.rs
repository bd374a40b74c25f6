//! A run: stage 1, stage 2, checkpoints between, exactly resumable.

use super::stages::{ClassifierStage, DualStage};
use super::state::{self, STATE_FILE};
use super::{
    Config, Curriculum, Event, Flow, Learner, Material, Observer, Phase, RunFolder, Stage1, Step,
    read_checkpoint,
};
use crate::gpu::Gpu;
use crate::model::{Checkpoint, Metadata, Network, StateDict};
use crate::{Error, Result};
use std::path::PathBuf;
use std::time::Instant;

/// What training came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The network.
    pub model: Network,
    /// Its averaged weights.
    pub average: StateDict,
    /// What a published file of them says.
    pub metadata: Metadata,
    /// Contrastive steps at the end.
    pub t_reached: u32,
    /// Wall time of the stages, without what was done before a resume.
    pub seconds: Seconds,
    /// Images that went through updates in that time.
    pub images: u64,
    /// False if the observer stopped it; a checkpoint is then on disk.
    pub finished: bool,
}

/// Wall time by stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seconds {
    /// Stage 1.
    pub stage1: f64,
    /// Stage 2.
    pub stage2: f64,
}

/// Trains both stages, from the folder's latest checkpoint if it has one. Every event goes into the
/// folder's log, then to the observer, who may stop the run: it is then saved first.
///
/// Err with [`Error::Diverged`] as soon as a loss is not finite.
pub async fn train(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
    folder: &mut RunFolder,
    observer: &mut Observer<'_>,
) -> Result<Outcome> {
    let model = material.model(config)?;
    let weights = material.weights(&model, config.seed);
    let learner = Learner::new(gpu, &model, &weights).await?;
    let stage = &config.stage2;
    let curriculum = Curriculum::new(
        stage.start_t,
        stage.max_t,
        stage.auc_threshold,
        stage.auc_window,
        stage.batch,
    );
    let metadata = Metadata {
        side: Some(config.data.side),
        preset: Some(config.preset.clone()),
        class_names: Some(material.class_names.clone()).filter(|names| !names.is_empty()),
        version: Some(env!("CARGO_PKG_VERSION").into()),
        ..model.metadata()
    };
    let seconds = Seconds::default();
    let mut run = Run {
        config,
        material,
        folder,
        observer,
        learner,
        curriculum,
        metadata,
        last_good: None,
        step: 0,
        images: 0,
        seconds,
    };
    for damaged in &material.damaged {
        let note = Event::note(format!("left out: {damaged}"));
        tell(run.folder, run.observer, &note)?;
    }
    record_data(run.folder, config, material)?;
    run.resume().await?;
    let finished = run.stage1().await? && run.stage2().await?;
    let Run { learner, metadata, curriculum, seconds, images, .. } = run;
    let average = learner.average.download().await?;
    let t_reached = curriculum.t;
    Ok(Outcome { model, average, metadata, t_reached, seconds, images, finished })
}

/// Trains the same network plainly on the same images: the judge of samples, never used in training.
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
    let mut learner = Learner::new(gpu, &model, &weights).await?;
    let judge = &config.judge;
    let stage = Stage1 {
        iterations: judge.iterations,
        batch: judge.batch,
        learning_rate: judge.learning_rate,
        steps: 0,
        ..config.stage1.clone()
    };
    let total = u64::from(stage.iterations);
    let begin = Event::Phase { phase: Phase::Judge, done: 0, total };
    if tell(folder, observer, &begin)? == Flow::Stop {
        return Ok(None);
    }
    let of = (Phase::Judge, &stage, "judge");
    let mut training = ClassifierStage::new(config, material, &learner, of, 0).await?;
    for _ in 0..total {
        let step = training.iterate(&mut learner).await?;
        check_finite(&step, step.iteration, None)?;
        if tell(folder, observer, &Event::Step(step))? == Flow::Stop {
            return Ok(None);
        }
    }
    // The live weights: a plain classifier has no use for averages.
    let weights = learner.live.download().await?;
    let metadata = Metadata { side: Some(config.data.side), ..model.metadata() };
    Ok(Some(Checkpoint { metadata, weights, source: PathBuf::from("judge") }))
}

/// What the run is trained on, as `data.json`; a run that goes on has to find the same.
fn record_data(folder: &RunFolder, config: &Config, material: &Material) -> Result<()> {
    const NAME: &str = "data.json";
    let checksum = format!("{:016x}", material.checksum);
    let file = folder.path().join(NAME);
    if let Ok(bytes) = std::fs::read(&file) {
        let known: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| Error::bad_file(&file, error))?;
        let known = known.get("checksum").and_then(|known| known.as_str()).unwrap_or_default();
        if known != checksum {
            let reason = format!(
                "the run began with data of checksum {known:?}, but {} now has {checksum:?}",
                config.data.train
            );
            return Err(Error::bad_file(file, reason));
        }
    }
    let record = serde_json::json!({
        "train": config.data.train,
        "checksum": checksum,
        "training_images": material.train.len(),
        "test_images": material.test.len(),
        "damaged": material.damaged,
    });
    folder.write(NAME, format!("{record:#}\n").as_bytes()).map(drop)
}

pub(super) fn tell(
    folder: &mut RunFolder,
    observer: &mut Observer<'_>,
    event: &Event,
) -> Result<Flow> {
    folder.log(event)?;
    observer(event)
}

fn check_finite(step: &Step, number: u64, last_good: Option<PathBuf>) -> Result<()> {
    let losses = [("cross-entropy", step.loss_ce), ("binary cross-entropy", step.loss_bce)];
    let auc = [("AUC", step.auc)];
    for (what, value) in losses.into_iter().chain(auc) {
        if let Some(value) = value.filter(|value| !value.is_finite()) {
            let what = format!("{what} is {value}");
            return Err(Error::Diverged { step: number, what, last_good });
        }
    }
    Ok(())
}

struct Run<'a, 'o> {
    config: &'a Config,
    material: &'a Material,
    folder: &'a mut RunFolder,
    observer: &'a mut Observer<'o>,
    learner: Learner,
    curriculum: Curriculum,
    metadata: Metadata,
    last_good: Option<PathBuf>,
    /// Iterations over both stages that are over.
    step: u64,
    images: u64,
    seconds: Seconds,
}

impl Run<'_, '_> {
    async fn resume(&mut self) -> Result<()> {
        let Some((step, path)) = self.folder.latest()? else { return Ok(()) };
        let files = read_checkpoint(&path)?;
        let state = files.iter().find(|(name, _)| name == STATE_FILE);
        let missing = || Error::bad_file(&path, format_args!("no {STATE_FILE} in it"));
        let (_, bytes) = state.ok_or_else(missing)?;
        let (learner, curriculum) = (&mut self.learner, &mut self.curriculum);
        self.step = state::restore(learner, curriculum, &path, bytes).await?;
        if self.step != step {
            let reason = format!("the state is of step {}, the folder's name of {step}", self.step);
            return Err(Error::bad_file(path, reason));
        }
        self.last_good = Some(path);
        Ok(())
    }

    /// Returns whether to go on.
    async fn stage1(&mut self) -> Result<bool> {
        let total = u64::from(self.config.stage1.iterations);
        if self.step >= total {
            return Ok(true);
        }
        let begin = Event::Phase { phase: Phase::Stage1, done: self.step, total };
        if tell(self.folder, self.observer, &begin)? == Flow::Stop {
            return self.save().await.map(|()| false);
        }
        let began = Instant::now();
        let of = (Phase::Stage1, &self.config.stage1, "classification");
        let mut stage =
            ClassifierStage::new(self.config, self.material, &self.learner, of, self.step).await?;
        while self.step < total {
            let step = stage.iterate(&mut self.learner).await?;
            self.images += u64::from(self.config.stage1.batch);
            let go_on = self.after(step, self.step + 1 == total).await?;
            self.seconds.stage1 = began.elapsed().as_secs_f64();
            if !go_on {
                return Ok(false);
            }
        }
        self.after_stage(Phase::Stage1, stage.wait_share())?;
        Ok(true)
    }

    async fn stage2(&mut self) -> Result<bool> {
        let before = u64::from(self.config.stage1.iterations);
        let total = u64::from(self.config.stage2.iterations);
        if self.step >= before + total {
            return Ok(true);
        }
        if self.step == before {
            // From stage 1's averages, with a fresh average and a fresh optimiser.
            let average = self.learner.average.download().await?;
            let gpu = self.learner.live.gpu().clone();
            self.learner = Learner::new(&gpu, &self.learner.model, &average).await?;
        }
        let done = self.step - before;
        let begin = Event::Phase { phase: Phase::Stage2, done, total };
        if tell(self.folder, self.observer, &begin)? == Flow::Stop {
            return self.save().await.map(|()| false);
        }
        let began = Instant::now();
        let mut stage = DualStage::new(self.config, self.material, &self.learner, done).await?;
        while self.step < before + total {
            let step = stage.iterate(&mut self.learner, &mut self.curriculum).await?;
            self.images += 3 * u64::from(self.config.stage2.batch);
            let go_on = self.after(step, self.step + 1 == before + total).await?;
            self.seconds.stage2 = began.elapsed().as_secs_f64();
            if !go_on {
                return Ok(false);
            }
        }
        self.after_stage(Phase::Stage2, stage.wait_share())?;
        Ok(true)
    }

    /// Says how well reading ahead went.
    fn after_stage(&mut self, phase: Phase, wait_share: f64) -> Result<()> {
        let percent = 100.0 * wait_share;
        let note = Event::note(format!("{phase} waited for images in {percent:.1} % of its time"));
        tell(self.folder, self.observer, &note)?;
        for damaged in self.material.train.damaged() {
            if !self.material.damaged.contains(&damaged) {
                let note = Event::note(format!("left out: {damaged}"));
                tell(self.folder, self.observer, &note)?;
            }
        }
        Ok(())
    }

    /// Logs an iteration, saves where it is time, and returns whether to go on.
    async fn after(&mut self, step: Step, last: bool) -> Result<bool> {
        check_finite(&step, self.step, self.last_good.clone())?;
        self.step += 1;
        let stop = tell(self.folder, self.observer, &Event::Step(step))? == Flow::Stop;
        let every = u64::from(self.config.checkpoint.every.max(1));
        if stop || last || self.step.is_multiple_of(every) {
            self.save().await?;
        }
        Ok(!stop)
    }

    async fn save(&mut self) -> Result<()> {
        let metadata = self.metadata.clone();
        let state = state::save(&self.learner, &self.curriculum, self.step, metadata);
        let files = state.await?.ok_or_else(|| Error::Diverged {
            step: self.step,
            what: "weights are not finite".into(),
            last_good: self.last_good.clone(),
        })?;
        let path = self.folder.write_checkpoint(self.step, &files)?;
        self.last_good = Some(path.clone());
        tell(self.folder, self.observer, &Event::Saved { step: self.step, path }).map(drop)
    }
}
