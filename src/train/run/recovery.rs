//! Restores a run from a checkpoint: when it begins, after training diverged, and after the device was lost.

use super::{Run, Seconds, fresh, tell};
use crate::train::checkpoints::whole_checkpoints;
use crate::train::stages::passed;
use crate::train::state::{self, STATE_FILE};
use crate::train::{Event, Learner, read_checkpoint};
use crate::{Error, Result};
use std::path::Path;

/// The number of times that a lost device is opened again before the run gives up.
const REOPENED: u32 = 2;

impl Run<'_, '_> {
    /// Resumes from the newest readable checkpoint up to step `most`, or from the beginning where there is none. The log
    /// then tells of the iterations up to there alone.
    pub(super) async fn resume(&mut self, most: u64) -> Result<()> {
        self.load_last(most).await?;
        let stage1 = u64::from(self.config.stage1.schedule.iterations);
        self.before = self.folder.rewind(self.step, stage1)?;
        Ok(())
    }

    /// Takes over what the log tells of the time before this process.
    pub(super) fn count_before(&mut self) -> f64 {
        let [(rows1, seconds1), (rows2, seconds2)] = self.before;
        let [passed1, passed2] = passed(self.config).map(u64::from);
        self.images = rows1 * passed1 + rows2 * passed2;
        self.seconds = Seconds { stage1: seconds1, stage2: seconds2 };
        seconds1 + seconds2
    }

    /// Loads the last checkpoint. In a world of several ranks rank 0 reads it and the others get it from there: they need not see
    /// the folder.
    async fn load_last(&mut self, most: u64) -> Result<()> {
        if !self.world.is_shared() {
            return self.read_last(most).await.map(drop);
        }
        let read = if self.world.is_first() { self.read_last(most).await? } else { None };
        let message =
            read.map_or(Vec::new(), |(step, bytes)| [&step.to_le_bytes(), &bytes[..]].concat());
        let message = self.world.broadcast(message)?;
        match message.split_first_chunk() {
            Some((step, bytes)) if !self.world.is_first() => {
                let path = self.folder.path().to_path_buf();
                self.restore(u64::from_le_bytes(*step), &path, bytes).await
            }
            _ => Ok(()),
        }
    }

    /// The step and the state that were taken over, if there was any.
    async fn read_last(&mut self, most: u64) -> Result<Option<(u64, Vec<u8>)>> {
        let mut refused = None;
        let all = whole_checkpoints(self.folder.path())?;
        for (step, path) in all.into_iter().filter(|(step, _)| *step <= most) {
            match self.load(step, &path).await {
                Ok(bytes) => {
                    if let Some(error) = refused {
                        let note = format!(
                            "resumed from step {step}, as a later checkpoint is unusable: {error}"
                        );
                        tell(self.folder, self.observer, &Event::note(note))?;
                    }
                    return Ok(Some((step, bytes)));
                }
                // The files may be damaged: the one before may do.
                Err(error @ (Error::BadFile { .. } | Error::Mismatch { .. })) => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(None), Err)
    }

    async fn load(&mut self, step: u64, path: &Path) -> Result<Vec<u8>> {
        let files = read_checkpoint(path)?;
        let state = files.into_iter().find(|(name, _)| name == STATE_FILE);
        let missing = || {
            Error::bad_file(
                path,
                format_args!("the checkpoint has no {STATE_FILE}, from which training resumes"),
            )
        };
        let (_, bytes) = state.ok_or_else(missing)?;
        self.restore(step, path, &bytes).await?;
        Ok(bytes)
    }

    async fn restore(&mut self, step: u64, path: &Path, bytes: &[u8]) -> Result<()> {
        let (config, model) = (self.config, self.learner.model.clone());
        let stage2 = step > u64::from(config.stage1.schedule.iterations);
        let optimiser = if stage2 {
            config.stage2.schedule.optimiser()
        } else {
            config.stage1.schedule.optimiser()
        };
        let weights = self.material.weights(&model, config.seed);
        let mut learner = Learner::new(&self.gpu, &model, &weights, optimiser).await?;
        let mut memory = fresh(config, &model);
        let (of, refused) = state::restore(&mut learner, &mut memory, path, bytes).await?;
        if of != step {
            let reason = format!(
                "its state was written at iteration {of}, but its folder is named for iteration {step}"
            );
            return Err(Error::bad_file(path, reason));
        }
        if let Some(error) = refused {
            let note =
                format!("kernels are chosen again, so results may differ in rounding: {error}");
            tell(self.folder, self.observer, &Event::note(note))?;
        }
        // Of another number of ranks the pieces may be none of this one's shares.
        let batches = [config.stage1.schedule.batch, config.stage2.schedule.batch];
        let asked = [config.stage1.schedule.micro_batch, config.stage2.schedule.micro_batch];
        for ((micro, batch), asked) in memory.micro.iter_mut().zip(batches).zip(asked) {
            let share = batch / self.world.size() as u32;
            if *micro > 0 && !share.is_multiple_of(*micro) {
                *micro = asked;
            }
        }
        (self.learner, self.memory, self.step) = (learner, memory, step);
        (self.last_good, self.saved) = (Some(path.into()), Some(step));
        Ok(())
    }

    /// Goes back to a checkpoint after diverged training, and after a loss of the device. Err with what cannot be mended.
    pub(super) async fn after_error(&mut self, error: Error) -> Result<()> {
        // Whether or not the checkpoint before could be written, this error came first.
        let settled = self.settle();
        if self.world.is_shared() && !matches!(error, Error::Diverged { .. }) {
            // The others do not know of it and wait for this rank, whose caller ends them.
            return Err(error);
        }
        // The checkpoint that rank 0 waited for is on disk before any rank ends.
        self.world.barrier()?;
        match error {
            Error::Diverged { step, what, .. } => {
                let roll_backs = self.memory.roll_backs + 1;
                let last_good = self.last_good.clone();
                let diverged = Error::Diverged { step, what, last_good };
                if roll_backs > self.config.checkpoint.roll_backs {
                    return Err(diverged);
                }
                settled?;
                let note = format!("{diverged}: training goes back, at half the learning rate");
                tell(self.folder, self.observer, &Event::note(note))?;
                // From where it went before without reaching another, it goes further back: what diverges was near it then.
                let most = match self.saved {
                    Some(saved) if self.memory.returned == Some(saved) => saved.checked_sub(1),
                    saved => saved,
                };
                self.begin_anew().await?;
                if let Some(most) = most {
                    self.resume(most).await?;
                    if self.saved.is_none() {
                        // Beginning anew would put checkpoints in the place of those that are kept.
                        return Err(diverged);
                    }
                }
                (self.memory.roll_backs, self.memory.returned) = (roll_backs, Some(self.step));
                // At once: a process that is killed now has to go on with this rate, and not from a later checkpoint.
                self.save().await?;
                self.settle()
            }
            Error::DeviceLost(why) if self.losses < REOPENED => {
                self.losses += 1;
                let lost = Error::DeviceLost(why);
                // A borrowed device is its host's to open, and what was lost for good does not open.
                let Ok(gpu) = self.gpu.reopen().await else { return Err(lost) };
                self.gpu = gpu;
                self.validator = None;
                let from = self
                    .last_good
                    .as_ref()
                    .map_or("the beginning".into(), |path| format!("{}", path.display()));
                let note = format!("{lost}: device opened again, training resumes from {from}");
                tell(self.folder, self.observer, &Event::note(note))?;
                self.begin_anew().await?;
                self.resume(u64::MAX).await
            }
            error @ Error::BadFile { .. } => {
                if self.saved != Some(self.step) && self.step > 0 {
                    // As far as that goes: what cannot be written now does not matter beside the error.
                    let saved = self.save().await.and_then(|()| self.settle());
                    drop(saved);
                }
                Err(error)
            }
            other => Err(other),
        }
    }

    /// Puts the run back to its state before the first iteration.
    async fn begin_anew(&mut self) -> Result<()> {
        let (config, model) = (self.config, self.learner.model.clone());
        let weights = self.material.weights(&model, config.seed);
        let learner = Learner::new(&self.gpu, &model, &weights, config.stage1.schedule.optimiser());
        self.learner = learner.await?;
        self.memory = fresh(config, &model);
        (self.step, self.saved, self.last_good) = (0, None, None);
        Ok(())
    }
}
