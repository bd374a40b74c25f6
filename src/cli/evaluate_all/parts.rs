//! Measures each part of `eval all`: accuracy and calibration, accuracy under attack and on corrupted images, out-of-distribution
//! detection, samples and counterfactuals.

use pollster::block_on;
use serde_json::{Value, json};

use super::{Asked, Evaluation};
use crate::attack::Pgd;
use crate::cli::args::Start;
use crate::cli::counterfactuals::{ToClass, by_class, targets};
use crate::cli::explain::difference;
use crate::cli::image_set::ImageSet;
use crate::cli::nearness::Reference;
use crate::cli::progress::Progress;
use crate::cli::starts;
use crate::eval;
use crate::eval::corruption::{self, SEVERITIES};
use crate::eval::{
    Counterfactuals, Detection, Hiding, Scores, accuracy, argmax, calibration, confidences,
    detection, pgd_accuracy, sample,
};
use crate::model::checkpoint::write_atomically;
use crate::report::pictures::{Images, Sheet};
use crate::train::Loaded;
use crate::train::{Event, Phase, Step};
use crate::{Error, Result};

/// Steps of PGD for the robustness curve.
const STEPS: u32 = 20;
/// Bins of the calibration error.
const BINS: usize = 20;
/// Out-of-distribution images, at most.
const OTHERS: usize = 1024;
/// Bars of a histogram.
const BARS: usize = 40;
/// Samples of a class in the picture.
const COLUMNS: usize = 12;
/// Steps of a counterfactual's way in the picture.
const WAY: usize = 6;
/// The seed of corruptions and starts.
const SEED: u64 = 0;

/// The samples as they are, f32, for parts that come after.
const SAMPLES: &str = "samples.f32";

impl Evaluation<'_> {
    pub(super) fn clean(&mut self) -> Result<Value> {
        let classes = self.classifier.classes();
        let images = self.test.images().to_vec();
        let logits = self.logits(&images, self.test.len())?;
        let test = &self.test;
        let named = argmax(&logits, classes);
        let right = named.iter().zip(test.labels()).filter(|(named, label)| named == label).count();
        let found = calibration(&logits, test.labels(), classes, BINS);
        let bins = found.bins.iter().map(|bin| json!([bin.count, bin.accuracy, bin.confidence]));
        Ok(json!({
            "accuracy": right as f64 / test.len() as f64,
            "images": test.len(),
            "ece": found.ece,
            "bins": bins.collect::<Vec<_>>(),
            "mean_confidence":
                confidences(&logits, classes).iter().sum::<f64>() / test.len() as f64,
        }))
    }

    pub(super) fn robust(&mut self, eps: f64) -> Result<Value> {
        let settings = Pgd::attack(self.args.norm.into(), eps as f32, STEPS);
        let (share, _) = self.part_of(&[], self.test.len());
        let total = share.len();
        self.begin(Phase::Evaluate, total);
        let size = self.size(self.test.len());
        let words = self.test.images().len() / self.test.len().max(1);
        let images = self.test.images().get(share.start * words..share.end * words);
        let labels = self.test.labels().get(share).unwrap_or_default();
        let sets = (images.unwrap_or_default(), labels);
        let Self { progress, stop, .. } = self;
        let done = |done| watch(progress, stop, Phase::Evaluate, done, total);
        let model = &self.loaded.model;
        let accuracy = match total {
            0 => 0.0,
            _ => block_on(pgd_accuracy(model, &self.weights, sets, size, settings, done))?,
        };
        let accuracy = self.share_of_all(accuracy, total)?;
        Ok(json!({ "eps": eps, "accuracy": accuracy }))
    }

    /// Runs AutoAttack, with a state of its own beside the report's, so that finished images are not attacked again.
    pub(super) fn auto_attack(&mut self, eps: f64) -> Result<Value> {
        let file = self.args.out.join("autoattack.json");
        let bad = |error: &dyn std::fmt::Display| Error::bad_file(&file, error);
        // Rank 0's, which the others need not see.
        let kept = std::fs::read_to_string(&file).ok().filter(|_| self.world.is_first());
        let kept = self.world.broadcast(kept.unwrap_or_default().into_bytes())?;
        let kept =
            Some(String::from_utf8_lossy(&kept).into_owned()).filter(|text| !text.is_empty());
        let kept = kept.map(|text| eval::State::from_json(&text).map_err(|error| bad(&error)));
        let version = eval::Version::for_classes(self.loaded.model.classes());
        let settings = eval::AutoAttack {
            batch: self.args.labelled.batch,
            ..eval::AutoAttack::new(version, self.args.norm.into(), eps as f32)
        };
        let sets = (self.test.images(), self.test.labels());
        let Self { progress, stop, world, .. } = self;
        let mut running = None;
        let show = |at: &eval::Progress| {
            if running != Some(at.number) {
                running = Some(at.number);
                progress.line(&format!("{} on {} images", at.attack, at.tried));
                let total = at.tried as u64;
                progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total });
            }
            if let Some(state) = at.state.filter(|_| world.is_first()) {
                write_atomically(&file, state.to_json().as_bytes())?;
            }
            let done = (at.done * at.tried as f64).floor() as usize;
            watch(progress, stop, Phase::Evaluate, done, at.tried)?;
            // Here all ranks stop together.
            if stop.stop.asked() { Err(Error::Stopped) } else { Ok(()) }
        };
        let Loaded { model, checkpoint, side, .. } = self.loaded;
        let state = kept.transpose()?;
        let weights = self.session.weights(&self.gpu, model, checkpoint)?;
        let sets = (sets, *side);
        let attacked = settings.run_in(self.world, model, &weights, sets, state, show);
        let result = block_on(attacked)?;
        let attack = |each: &eval::AttackResult| {
            json!([each.attack.name(), each.tried, each.broken, each.robust_accuracy])
        };
        Ok(json!({
            "eps": eps,
            "version": result.version.name(),
            "accuracy": result.robust_accuracy,
            "attacks": result.attacks.iter().map(attack).collect::<Vec<_>>(),
            "warnings": result.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "images_per_second": result.images_per_second(),
        }))
    }

    pub(super) fn out_of_distribution(&mut self) -> Result<Value> {
        let Loaded { model, side, config, .. } = self.loaded;
        let count = self.test.len().min(OTHERS);
        let others = config.data.open_ood(model.channels())?;
        let others = others.measured(config.seed, count, self.args.labelled.batch as usize)?;
        let count = others.left();
        let others = others.all()?;
        let (share, mine) = self.part_of(&others, count);
        self.begin(Phase::Evaluate, share.len());
        let hiding = Hiding::usual(*side);
        let size = self.size(count);
        let Self { progress, stop, .. } = self;
        let done = |done| watch(progress, stop, Phase::Evaluate, done, share.len());
        let hidden = block_on(hiding.run(model, &self.weights, mine, size, done))?;
        let hidden = self.world.joined(hidden)?;
        let classes = self.classifier.classes();
        let images = self.test.images().to_vec();
        let real = Scores::of(&self.logits(&images, self.test.len())?, classes);
        let clean = Scores::of(&self.logits(&others, count)?, classes);
        let attacked = Scores::of(&self.logits(&hidden, count)?, classes);
        Ok(json!({
            "images": count,
            "others": config.data.ood,
            "eps": decimal(hiding.eps),
            "steps": hiding.steps,
            "step_size": decimal(hiding.step_size),
            "confidence": told_apart(&real.confidence, &clean.confidence, &attacked.confidence),
            "logsumexp": told_apart(&real.logsumexp, &clean.logsumexp, &attacked.logsumexp),
        }))
    }

    pub(super) fn corrupted(&mut self, corruption: corruption::Corruption) -> Result<Value> {
        let size = [self.test.channels(), self.test.side()];
        let severities = SEVERITIES.count();
        self.begin(Phase::Evaluate, severities);
        let mut all = Vec::new();
        let (share, part) = self.part_of(self.test.images(), self.test.len());
        let (first, part) = (share.start, part.to_vec());
        let labels = self.test.labels().get(share).unwrap_or_default().to_vec();
        for severity in SEVERITIES {
            let images = corruption.apply_to_part((&part, first), size, severity, SEED)?;
            let right = block_on(accuracy(&mut self.classifier, &images, &labels))?;
            all.push(self.share_of_all(right, labels.len())?);
            let Self { progress, stop, .. } = self;
            watch(progress, stop, Phase::Evaluate, all.len(), severities)?;
        }
        Ok(json!({ "accuracy": all }))
    }

    pub(super) fn samples(&mut self) -> Result<Value> {
        let Loaded { model, side, config, .. } = self.loaded;
        let (count, channels) = (self.args.samples, model.channels());
        let start = Start::Images(config.data.ood.clone());
        let from = starts::images(&start, SEED, count as usize, &config.data, channels)?;
        let labels: Vec<u32> = (0..count).map(|i| i % model.classes()).collect();
        let (share, mine) = self.part_of(&from, count as usize);
        self.begin(Phase::Sample, share.len());
        let size = self.size(count as usize);
        let Self { progress, stop, .. } = self;
        let total = share.len();
        let done = |done| watch(progress, stop, Phase::Sample, done, total);
        let steps = (config.sample.steps, config.sample.step_size as f32);
        let sets = (mine, labels.get(share).unwrap_or_default());
        let made = block_on(sample(model, &self.weights, sets, size, steps, 0, done))?.images;
        let made = self.world.joined(made)?;
        let images = Images::new(&made, channels, *side)?;
        let classes = model.classes() as usize;
        let rows = classes.min(count as usize).min(20);
        let row = |class: usize| {
            (class..count as usize)
                .step_by(classes)
                .take(COLUMNS)
                .map(|i| Some((images, i)))
                .collect()
        };
        let names = self.loaded.class_names();
        let sheet = Sheet {
            rows: (0..rows).map(row).collect(),
            row_captions: names.into_iter().take(rows).collect(),
            ..Sheet::grid(images, COLUMNS)
        };
        self.write("samples.png", &sheet)?;
        let bytes: Vec<u8> = made.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.keep(SAMPLES, &bytes)?;
        let named = argmax(&self.logits(&made, count as usize)?, classes);
        let own = named.iter().zip(&labels).filter(|(named, label)| named == label).count();
        Ok(json!({
            "count": count,
            "steps": steps.0,
            "step_size": config.sample.step_size,
            "start": config.data.ood,
            "named_as_asked": own as f64 / f64::from(count),
        }))
    }

    pub(super) fn generation(&mut self) -> Result<Value> {
        let Loaded { model, side, config, .. } = self.loaded;
        let file = self.args.out.join(SAMPLES);
        let bytes = match self.world.is_first() {
            true => std::fs::read(&file).map_err(|error| Error::bad_file(&file, error))?,
            false => Vec::new(),
        };
        let bytes = self.world.broadcast(bytes)?;
        let images = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let samples = ImageSet::squares(images, model.channels(), *side);
        let named = self.args.labelled.data.as_ref().unwrap_or(&config.data.train);
        let real = ImageSet::of_training(named, [model.channels(), *side], config.data.fit()?)?;
        let mut see = |set: &ImageSet| {
            self.progress.event(&Event::Phase {
                phase: Phase::Evaluate,
                done: 0,
                total: set.len() as u64,
            });
            let Self { eyes: Some(eyes), progress, stop, .. } = &mut *self else {
                return Err(Error::bug(
                    "generation",
                    "features were asked for without an extractor",
                ));
            };
            let done = |done| watch(progress, stop, Phase::Evaluate, done, set.len());
            eyes.see(set, done)
        };
        let (truth, seen) = (see(&real)?, see(&samples)?);
        let (Some(truth), Some(seen)) = (truth, seen) else { return Ok(Value::Null) };
        let near = Reference::Images(Box::new(truth)).nearness(&seen)?;
        let mut result = self.eyes.as_ref().map_or(Value::Null, |eyes| near.json(eyes));
        if let Value::Object(fields) = &mut result {
            fields.insert("samples".into(), samples.len().into());
            fields
                .insert("real".into(), format!("{} training images of {named}", real.len()).into());
        }
        Ok(result)
    }

    pub(super) fn counterfactuals(&mut self) -> Result<Value> {
        let Loaded { model, side, config, .. } = self.loaded;
        let eps = self.args.counterfactual_eps as f32;
        let steps = (config.sample.steps.max(1), config.sample.step_size as f32);
        let size = self.size(self.test.len());
        let mut explainer = block_on(Counterfactuals::new(model, &self.weights, size, eps, steps))?;
        let targets = targets(self.test.labels(), self.test.classes());
        let (share, _) = self.part_of(&[], self.test.len());
        let total = share.len();
        self.begin(Phase::Evaluate, total);
        let words = self.test.images().len() / self.test.len().max(1);
        let mine = self.test.images().get(share.start * words..share.end * words);
        let (mine, towards) = (mine.unwrap_or_default(), targets.get(share).unwrap_or_default());
        let Self { progress, stop, .. } = self;
        let done = |done| watch(progress, stop, Phase::Evaluate, done, total);
        let (ends, confidence) = block_on(explainer.ends(mine, towards, done))?;
        let (ends, confidence) = (self.world.joined(ends)?, self.world.joined(confidence)?);
        let made = (&ends[..], &confidence[..], &targets[..]);
        let classes = self.test.classes() as usize;
        if self.eyes.is_some() {
            self.begin(Phase::Evaluate, classes);
        }
        let Self { progress, stop, test, eyes, .. } = self;
        let with_eyes = eyes.is_some();
        let rows = by_class(test, made, eyes.as_ref(), |done| {
            if with_eyes { watch(progress, stop, Phase::Evaluate, done, classes) } else { Ok(()) }
        })?;

        if !self.world.is_first() {
            return Ok(Value::Null);
        }
        // The first image of each class, on its way.
        let shown: Vec<usize> = (0..self.test.classes().min(self.args.labelled.batch).min(12))
            .filter_map(|class| self.test.labels().iter().position(|&label| label == class))
            .collect();
        let of =
            |of: &[u32]| -> Vec<u32> { shown.iter().filter_map(|&i| of.get(i)).copied().collect() };
        let (from, to) = (of(self.test.labels()), of(&targets));
        let starts: Vec<f32> =
            shown.iter().filter_map(|&i| self.test.image(i)).flatten().copied().collect();
        let ways = block_on(explainer.paths(&starts, &to))?;
        let last = steps.0 as usize;
        let mut columns: Vec<Vec<f32>> = (0..=WAY)
            .map(|column| {
                let step = column * last / WAY;
                ways.iter().filter_map(|way| way.path.get(step)).flatten().copied().collect()
            })
            .collect();
        columns.push(columns.last().map_or_else(Vec::new, |end| {
            let words = starts.len() / shown.len().max(1);
            let pairs = starts.chunks(words.max(1)).zip(end.chunks(words.max(1)));
            pairs.flat_map(|(from, to)| difference(from, to)).collect()
        }));
        let columns: Vec<_> = columns
            .iter()
            .map(|values| Images::new(values, model.channels(), *side))
            .collect::<Result<_>>()?;
        let names = self.loaded.class_names();
        let name = |class: &u32| names.get(*class as usize).map_or("?", String::as_str);
        let caption = |(from, to): (&u32, &u32)| format!("{} > {}", name(from), name(to));
        let sheet = Sheet {
            rows: (0..shown.len())
                .map(|row| columns.iter().map(|images| Some((*images, row))).collect())
                .collect(),
            row_captions: from.iter().zip(&to).map(caption).collect(),
            column_captions: vec![
                (0, "test".into()),
                (1, "on its way".into()),
                (WAY, "end".into()),
                (WAY + 1, "change".into()),
            ],
            scale: 4,
            gap: 2,
        };
        self.write("counterfactuals.png", &sheet)?;
        let row = |row: &ToClass| {
            json!({
                "count": row.count,
                "confidence": row.confidence,
                "distance": row.distance,
                "distance_before": row.distance_before,
            })
        };
        Ok(json!({
            "eps": self.args.counterfactual_eps,
            "steps": steps.0,
            "step_size": config.sample.step_size,
            "confidence": confidence.iter().sum::<f64>() / confidence.len().max(1) as f64,
            "distance_name": self.eyes.as_ref().map(|eyes| eyes.extractor.distance_name()),
            "classes": rows.iter().map(row).collect::<Vec<_>>(),
        }))
    }
}

/// Draws progress and stops where a signal asked for it.
fn watch(
    progress: &mut Progress,
    stop: &Asked,
    phase: Phase,
    done: usize,
    total: usize,
) -> Result<()> {
    progress.event(&Event::Step(Step::new(phase, done as u64, total as u64)));
    if stop.now() { Err(Error::Stopped) } else { Ok(()) }
}

/// Returns the shortest decimal number whose nearest one of 32 bits is `number`, which is how a setting is written: 0.1, and not
/// 0.10000000149011612.
fn decimal(number: f32) -> Option<f64> {
    number.to_string().parse().ok()
}

/// Says how well a score tells real images from clean and from attacked others.
fn told_apart<S: Copy + Into<f64>>(real: &[S], clean: &[S], attacked: &[S]) -> Value {
    let told = |found: Detection| json!({ "auroc": found.auroc, "fpr95": found.fpr95 });
    json!({
        "clean": told(detection(real, clean)),
        "attacked": told(detection(real, attacked)),
        "histograms": histograms(&[real, clean, attacked]),
    })
}

/// Makes histograms of several sets with shared bars, as shares of each set.
fn histograms<S: Copy + Into<f64>>(sets: &[&[S]]) -> Value {
    let all =
        || sets.iter().copied().flatten().map(|&value| value.into()).filter(|v| v.is_finite());
    let (low, high) =
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let width = ((high - low) / BARS as f64).max(f64::MIN_POSITIVE);
    let shares = |set: &&[S]| -> Vec<f64> {
        let mut bars = vec![0.0; BARS];
        for &value in *set {
            let place = (((value.into() - low) / width) as usize).min(BARS - 1);
            if let Some(bar) = bars.get_mut(place) {
                *bar += 1.0 / set.len() as f64;
            }
        }
        bars
    };
    json!({ "low": low, "width": width, "shares": sets.iter().map(shares).collect::<Vec<_>>() })
}
