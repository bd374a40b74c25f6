//! Checks that the values of a configuration are in their ranges, and writes the error messages.

use super::config::{Config, Data, WRN, bad};
use super::stage_tables::{AttackTable, Schedule};
use super::{presets, tables};
use crate::attack::check_radius;
use crate::data::{Augment, Ood, Source};
use crate::model::Network;
use crate::ops::Norm;
use crate::{Error, Result};
use std::fmt::Display;
use std::ops::RangeInclusive;

const BATCH: RangeInclusive<u32> = 1..=65_535;
pub(super) const COUNT: RangeInclusive<u32> = 0..=100_000_000;
pub(super) const STEPS: RangeInclusive<u32> = 0..=10_000;
pub(super) const LENGTH: RangeInclusive<f64> = 0.0..=1e6;
pub(super) const SHARE: RangeInclusive<f64> = 0.0..=1.0;

impl Config {
    /// Checks that every value of the configuration is in its range.
    ///
    /// # Errors
    /// `BadConfig` for the first that is not.
    pub fn check(&self) -> Result<()> {
        let Self { preset, seed, data, model, stage1, stage2, .. } = self;
        let Self { sample, judge, evaluate, checkpoint, .. } = self;
        presets::table(preset)?;
        within("seed", *seed, 0..=i64::MAX as u64)?;

        Source::parse(&data.train).map_err(|error| renamed(error, "data.train"))?;
        Ood::parse(&data.ood).map_err(|error| renamed(error, "data.ood"))?;
        within("data.side", data.side, 8..=512)?;
        holds("data.side", data.side, data.side.is_multiple_of(4), "a multiple of 4")?;
        within("data.held_out", data.held_out, 0.0..=1e8)?;
        let whole = data.held_out < 1.0 || data.held_out.fract() == 0.0;
        holds("data.held_out", data.held_out, whole, "a share below 1, or a whole number")?;
        let Data { classify, real, starts, .. } = data;
        data.fit().map_err(|error| renamed(error, "data.fit"))?;
        for (key, value) in [("classify", classify), ("real", real), ("starts", starts)] {
            Augment::parse(value).map_err(|error| renamed(error, &format!("data.{key}")))?;
        }
        within("data.max_bad", data.max_bad, 0.0..=1e9)?;
        within("data.threads", data.threads, 0..=256)?;

        let architecture = &model.architecture;
        let named = architecture == WRN || Network::names().contains(architecture);
        let allowed = format!("one of {WRN}, {}", Network::names().join(", "));
        holds("model.architecture", architecture, named, &allowed)?;
        within("model.depth", model.depth, 10..=1000)?;
        holds(
            "model.depth",
            model.depth,
            model.depth % 6 == 4,
            "6n + 4, such as 10, 16, 22, 28 or 34",
        )?;
        within("model.width", model.width, 1..=64)?;

        stage1.schedule.check("stage1")?;
        stage1.pgd.check("stage1")?;
        stage2.schedule.check("stage2")?;
        stage2.pgd.check("stage2")?;
        within("stage2.bce_weight", stage2.bce_weight, LENGTH)?;
        within("stage2.ce_weight", stage2.ce_weight, LENGTH)?;
        within("stage2.r1", stage2.r1, LENGTH)?;
        within("stage2.alpha", stage2.alpha, LENGTH)?;
        within("stage2.max_T", stage2.max_t, STEPS)?;
        within("stage2.start_T", stage2.start_t, 0..=stage2.max_t)?;
        within("stage2.auc_threshold", stage2.auc_threshold, SHARE)?;
        within("stage2.auc_window", stage2.auc_window, 1..=100_000_000)?;

        let objectives = (&self.trades, &self.ratio, &self.jem);
        tables::check(objectives, (&self.stop, &self.validate))?;

        within("sample.steps", sample.steps, STEPS)?;
        within("sample.step_size", sample.step_size, LENGTH)?;
        within("sample.count", sample.count, 0..=1_000_000)?;
        within("sample.per_class", sample.per_class, 1..=64)?;

        within("judge.iterations", judge.iterations, COUNT)?;
        within("judge.batch", judge.batch, BATCH)?;
        within("judge.learning_rate", judge.learning_rate, 0.0..=100.0)?;

        within("evaluate.eps", evaluate.eps, LENGTH)?;
        within("evaluate.steps", evaluate.steps, 1..=*STEPS.end())?;
        within("evaluate.step_size", evaluate.step_size(), LENGTH)?;
        holds(
            "evaluate.eps",
            evaluate.eps,
            evaluate.eps as f32 > 0.0,
            "a radius above 0 in single precision",
        )?;
        self.check_radii(3)?;
        for (key, steps, length) in [
            ("stage1.eps", stage1.pgd.steps, stage1.pgd.eps),
            ("stage2.eps", stage2.pgd.steps, stage2.pgd.eps),
            ("stage1.step_size", stage1.pgd.steps, stage1.pgd.step_size),
            ("stage2.step_size", stage2.pgd.steps, stage2.pgd.step_size),
            ("stage2.alpha", stage2.max_t, stage2.alpha),
            ("evaluate.step_size", evaluate.steps, evaluate.step_size()),
            ("sample.step_size", sample.steps, sample.step_size),
        ] {
            holds(
                key,
                length,
                steps == 0 || length as f32 > 0.0,
                "above 0 as f32 where steps are taken",
            )?;
        }
        within("evaluate.batch", evaluate.batch, BATCH)?;
        within("evaluate.images", evaluate.images, 1..=100_000_000)?;

        within("checkpoint.every", checkpoint.every, 1..=100_000_000)?;
        within("checkpoint.keep", checkpoint.keep, 1..=10_000)
    }

    /// Whether images of so many channels do not all lie in the balls of attacks.
    pub(super) fn check_radii(&self, channels: u32) -> Result<()> {
        let Self { data, stage1, stage2, evaluate, .. } = self;
        for (key, norm, eps) in [
            ("evaluate.eps", evaluate.norm, evaluate.eps),
            ("stage1.eps", stage1.pgd.norm, stage1.pgd.eps),
            ("stage2.eps", stage2.pgd.norm, stage2.pgd.eps),
        ] {
            ball(key, norm, eps, [channels, data.side])?;
        }
        Ok(())
    }
}

/// Whether images of so many channels and this side do not all lie in a ball of that radius.
fn ball(key: &str, norm: Norm, eps: f64, [channels, side]: [u32; 2]) -> Result<()> {
    let words = channels as usize * side as usize * side as usize;
    let checked = check_radius(norm, eps as f32, words);
    match checked {
        Err(Error::Mismatch { wanted, .. }) => holds(key, eps, false, &wanted),
        other => other,
    }
}

fn renamed(error: Error, key: &str) -> Error {
    match error {
        Error::BadConfig { value, allowed, .. } => {
            Error::BadConfig { key: key.into(), value, allowed }
        }
        other => other,
    }
}

impl Schedule {
    /// Whether every value is within its range; `stage` is the table's name in errors.
    fn check(&self, stage: &str) -> Result<()> {
        let key = |name: &str| format!("{stage}.{name}");
        let Self { batch, micro_batch, .. } = *self;
        within(&key("iterations"), self.iterations, COUNT)?;
        within(&key("batch"), batch, BATCH)?;
        within(&key("learning_rate"), self.learning_rate, 0.0..=100.0)?;
        within(&key("warm_up"), self.warm_up, COUNT)?;
        within(&key("decay_from"), self.decay_from, SHARE)?;
        within(&key("weight_decay"), self.weight_decay, SHARE)?;
        within(&key("momentum"), self.momentum, 0.0..=0.9999)?;
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            within(&key(name), beta.unwrap_or(0.0), 0.0..=0.999_999)?;
        }
        let divides = micro_batch == 0 || batch.is_multiple_of(micro_batch);
        let allowed = format!("0, or a divisor of the batch of {batch}");
        holds(&key("micro_batch"), micro_batch, divides, &allowed)
    }
}

impl AttackTable {
    /// Whether every value is within its range; `stage` is the table's name in errors.
    fn check(&self, stage: &str) -> Result<()> {
        within(&format!("{stage}.eps"), self.eps, LENGTH)?;
        within(&format!("{stage}.steps"), self.steps, STEPS)?;
        within(&format!("{stage}.step_size"), self.step_size, LENGTH)
    }
}

/// NaN is within nothing.
pub(super) fn within<T: PartialOrd + Display>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    let allowed = format!("{} to {}", range.start(), range.end());
    holds(key, &value, range.contains(&value), &allowed)
}

pub(super) fn holds(key: &str, value: impl Display, fits: bool, allowed: &str) -> Result<()> {
    if fits { Ok(()) } else { Err(bad(key, value, allowed)) }
}
