//! Handles the end of an iteration: checks that its losses are finite and that the mean energies of real images and samples
//! have not drifted apart, validates, logs, and saves checkpoints.

use super::{BEST_FILE, Run, tell};
use crate::eval::Accuracies;
use crate::model::{Checkpoint, Metadata};
use crate::train::stages::PerIteration;
use crate::train::{Event, Flow, Step, state};
use crate::{Error, Result};

/// Turns the error about logits of averaged weights that are not finite into that of a diverged training.
fn diverged(error: Error, step: u64) -> Error {
    match error {
        Error::NonFinite { image, value } => {
            let what = format!("a logit of validation image {image} (counted from 0) is {value}");
            Error::Diverged { step, what, last_good: None }
        }
        other => other,
    }
}

/// Checks an iteration's numbers. Err with [`Error::Diverged`] for numbers that are not finite, and energies further
/// apart than `max_gap`.
pub(super) fn check(step: &Step, number: u64, max_gap: f64) -> Result<()> {
    let numbers = [
        ("cross-entropy", step.loss_ce),
        ("binary cross-entropy", step.loss_bce),
        ("divergence from clean images", step.loss_kl),
        ("cross-entropy of out-of-distribution images", step.loss_uniform),
        ("gradient penalty", step.r1),
        ("energy gap", step.energy_gap),
        ("AUC of real against contrastive images", step.auc),
    ];
    for (what, value) in numbers {
        let Some(value) = value else { continue };
        let far = what == "energy gap" && f64::from(value.abs()) > max_gap;
        if !value.is_finite() || far {
            let what = if far && value.is_finite() {
                format!("{what} is {value}, further from 0 than jem.max_gap = {max_gap}")
            } else {
                format!("{what} is {value}")
            };
            return Err(Error::Diverged { step: number, what, last_good: None });
        }
    }
    Ok(())
}

impl Run<'_, '_> {
    /// Judges, logs and saves where it is time after an iteration, and returns whether to go on.
    pub(super) async fn after(
        &mut self,
        mut step: Step,
        images: PerIteration,
        total: u64,
    ) -> Result<bool> {
        check(&step, self.step, self.config.jem.max_gap)?;
        self.step += 1;
        self.images += u64::from(images.passed);
        self.memory.images += u64::from(images.drawn);
        if let Some(validator) = &mut self.validator
            && self.step.is_multiple_of(self.config.validate.every.into())
        {
            let Accuracies { clean, robust } =
                validator.measure().await.map_err(|error| diverged(error, self.step))?;
            step.clean_accuracy = Some(clean as f32);
            step.pgd_accuracy = Some(robust as f32);
            self.judge(robust).await?;
        }
        self.world.reached(format!("iteration {} of {}", step.iteration, step.phase));
        let stop = self.told(&Event::Step(step))? == Flow::Stop;
        let every = u64::from(self.config.checkpoint.every.max(1));
        let last = self.step == total || self.ended().is_some() || self.plateau().is_some();
        if self.saver.is_finished() {
            self.settle()?;
        }
        if stop || last || self.step.is_multiple_of(every) {
            self.save().await?;
            self.tell_damaged()?;
        }
        if stop || last {
            self.settle()?;
        }
        Ok(!stop)
    }

    /// Keeps the averages where they are the best so far.
    async fn judge(&mut self, accuracy: f64) -> Result<()> {
        if self.memory.best.is_some_and(|best| best >= accuracy) {
            self.memory.stale += 1;
            return Ok(());
        }
        if self.world.is_first() {
            let weights = self.learner.average.download().await?;
            let metadata = Metadata { step: Some(self.step), ..self.metadata.clone() };
            let best =
                Checkpoint { metadata, weights, source: BEST_FILE.into(), ..Checkpoint::default() };
            self.folder.write(BEST_FILE, &best.to_bytes()?)?;
        }
        // Only now: what a checkpoint calls the best is on disk.
        (self.memory.best, self.memory.stale) = (Some(accuracy), 0);
        Ok(())
    }

    pub(super) async fn stop(&mut self) -> Result<bool> {
        if self.saved != Some(self.step) {
            self.save().await?;
        }
        self.settle()?;
        Ok(false)
    }

    /// Begins to write a checkpoint, as soon as the one before is on disk.
    pub(super) async fn save(&mut self) -> Result<()> {
        let metadata = self.metadata.clone();
        let taken = state::take(&self.learner, &self.memory, self.step, metadata).await?;
        let taken = self.same(taken).await?.ok_or_else(|| Error::Diverged {
            step: self.step,
            what: "weights are not finite".into(),
            last_good: None,
        })?;
        self.settle()?;
        self.saved = Some(self.step);
        let Some(to) = self.folder.checkpoints() else { return Ok(()) };
        self.saver.begin(to, self.step, taken)
    }

    /// Waits for the checkpoint that is on its way.
    pub(super) fn settle(&mut self) -> Result<()> {
        let Some((step, path)) = self.saver.wait()? else { return Ok(()) };
        self.last_good = Some(path.clone());
        tell(self.folder, self.observer, &Event::Saved { step, path }).map(drop)
    }
}
