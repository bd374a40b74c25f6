//! Evaluates a trained run as its configuration says: accuracies, AUROC, samples, and how often a second classifier (the judge)
//! agrees with the samples' classes.

use super::run::{tell, train_judge};
use super::{Config, Event, Flow, Material, Metrics, Observer, Outcome, Phase, RunFolder, Step};
use crate::eval::{Classifier, Samples, accuracy, argmax, drawn, measure, sample};
use crate::gpu::Gpu;
use crate::graph::Shape;
use crate::model::{BatchSize, Checkpoint, DeviceWeights};
use crate::{Error, Result};
use std::time::Instant;

/// Images whose path is kept for the picture.
const TRACED: usize = 10;

/// What [`assess`] measured of a trained run, and the samples that it drew.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// All measurements of `metrics.json` except the total of seconds.
    pub metrics: Metrics,
    /// The samples, with the intermediate images of the first few.
    pub samples: Samples,
    /// The images that sampling started from.
    pub starts: Vec<f32>,
    /// The class that each sample was drawn for: sample i for class i mod K.
    pub labels: Vec<u32>,
    /// The judge, a second classifier that says which classes the samples show, if one was trained.
    pub judge: Option<Checkpoint>,
}

/// Evaluates a trained run, draws samples and, if the configuration asks for it, trains the judge that classifies the samples.
/// Returns `None` if the observer stopped it.
pub async fn assess(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
    outcome: &Outcome,
    folder: &mut RunFolder,
    observer: &mut Observer<'_>,
) -> Result<Option<Assessment>> {
    let model = &outcome.model;
    let weights = DeviceWeights::upload(gpu, &model.parameters(), &outcome.average).await?;
    let (side, seed) = (config.data.side, config.seed);
    let mut metrics = Metrics {
        t_reached: Some(outcome.t_reached),
        adapter: Some(gpu.adapter().to_string()),
        seconds_stage1: Some(outcome.seconds.stage1),
        seconds_stage2: Some(outcome.seconds.stage2),
        ..Metrics::default()
    };
    let training = outcome.seconds.stage1 + outcome.seconds.stage2;
    metrics.images_per_second = (training > 0.0).then(|| outcome.images as f64 / training);

    // Samples first: a person would rather look than read.
    let began = Instant::now();
    let count = config.sample.count as usize;
    let labels: Vec<u32> = (0..count as u32).map(|i| i % model.classes()).collect();
    let words = Shape::square(1, model.channels(), side)?.elements() as usize;
    let ood = |name: &str, size: usize| -> Result<Vec<f32>> {
        // As large as evaluation takes them: all at once may be more than a batch can have.
        let each = size.min(config.evaluate.batch as usize).max(1);
        let batches = material.ood.batches(name, seed, each)?;
        let mut images = Vec::new();
        for step in 0..size.div_ceil(each) as u64 {
            images.extend(batches.batch(step)?.images);
        }
        images.truncate(size * words);
        Ok(images)
    };
    let starts = ood("sample-starts", count)?;
    let batch = BatchSize { images: config.evaluate.batch, side };
    if tell(folder, observer, &phase(Phase::Sample, count))? == Flow::Stop {
        return Ok(None);
    }
    let steps = (config.sample.steps, config.sample.step_size as f32);
    let sets = (&starts[..], &labels[..]);
    let progress = |done| go_on(folder, observer, Phase::Sample, done, count);
    let samples = sample(model, &weights, sets, batch, steps, TRACED, progress)
        .await
        .map(Some)
        .or_else(stopped)?;
    let Some(samples) = samples else { return Ok(None) };
    metrics.seconds_sample = Some(began.elapsed().as_secs_f64());

    let began = Instant::now();
    let test = &material.test;
    let places = drawn(test.labels(), config.evaluate.images as usize);
    let count = places.len();
    let images: Vec<f32> =
        places.iter().filter_map(|&at| test.image(at)).flatten().copied().collect();
    let test_labels: Vec<u32> =
        places.iter().filter_map(|&at| test.labels().get(at)).copied().collect();
    let (images, test_labels) = (&images[..], &test_labels[..]);
    if tell(folder, observer, &phase(Phase::Evaluate, count))? == Flow::Stop {
        return Ok(None);
    }
    let others = vec![material.ood.measured(seed, count, config.evaluate.batch as usize)?];
    let settings = config.evaluate.attack();
    let progress = |done| go_on(folder, observer, Phase::Evaluate, done, count);
    let measuring =
        measure(model, &weights, (images, test_labels), others, batch, settings, progress);
    let Some(measured) = measuring.await.map(Some).or_else(stopped)? else { return Ok(None) };
    metrics.clean_accuracy = Some(measured.clean_accuracy);
    metrics.pgd_accuracy = Some(measured.pgd_accuracy);
    metrics.ood_auroc = measured.ood_aurocs.first().copied().flatten();
    metrics.seconds_evaluate = Some(began.elapsed().as_secs_f64());

    let mut judge = None;
    if config.judge.iterations > 0 {
        let began = Instant::now();
        let Some(trained) = train_judge(gpu, config, material, folder, observer).await? else {
            return Ok(None);
        };
        let judging = DeviceWeights::upload(gpu, &model.parameters(), &trained.weights).await?;
        let mut classifier = Classifier::new(model, &judging, batch).await?;
        let named = argmax(&classifier.logits(&samples.images).await?, classifier.classes());
        let agree = named.iter().zip(&labels).filter(|(named, label)| named == label).count();
        // Of no samples there is nothing to say.
        metrics.judge_agreement = (!labels.is_empty()).then(|| agree as f64 / labels.len() as f64);
        let accuracy = accuracy(&mut classifier, images, test_labels).await?;
        metrics.more.insert("judge_accuracy".into(), accuracy.into());
        metrics.seconds_judge = Some(began.elapsed().as_secs_f64());
        judge = Some(trained);
    }
    Ok(Some(Assessment { metrics, samples, starts, labels, judge }))
}

fn phase(phase: Phase, total: usize) -> Event {
    Event::Phase { phase, done: 0, total: total as u64 }
}

fn go_on(
    folder: &mut RunFolder,
    observer: &mut Observer<'_>,
    phase: Phase,
    done: usize,
    total: usize,
) -> Result<()> {
    let step = Step::new(phase, done as u64, total as u64);
    match tell(folder, observer, &Event::Step(step))? {
        Flow::Continue => Ok(()),
        Flow::Stop => Err(Error::Stopped),
    }
}

fn stopped<T>(error: Error) -> Result<Option<T>> {
    match error {
        Error::Stopped => Ok(None),
        other => Err(other),
    }
}
