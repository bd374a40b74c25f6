//! `eval counterfactuals`: drives each test image to another class, and measures the network's confidence in that class at the
//! end and, with a feature extractor, the Fréchet distance to real images of the class.

use std::fmt::Write;

use pollster::block_on;

use super::args;
use super::evaluate;
use super::eyes::Eyes;
use super::image_set::ImageSet;
use super::reach;
use super::session::Session;
use crate::data::Prepared;
use crate::eval::Counterfactuals;
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;
use crate::train::{Event, Phase, Step};
use crate::{Error, Result};

/// The counterfactuals towards one class, from images of other classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ToClass {
    /// The number of images that were changed towards the class.
    pub count: usize,
    /// The mean probability of the class after the change.
    pub confidence: f64,
    /// The Fréchet distance between the counterfactuals and real images of the class.
    pub distance: Option<f64>,
    /// The Fréchet distance between the same images before their change and real images of the class, for comparison.
    pub distance_before: Option<f64>,
}

/// Returns the class that each image is changed towards: never its own, all others in turn.
pub fn targets(labels: &[u32], classes: u32) -> Vec<u32> {
    let others = classes.saturating_sub(1).max(1);
    (0..).zip(labels).map(|(i, label)| (label + 1 + i % others) % classes.max(1)).collect()
}

/// Measures counterfactuals that were made already, class by class. `eyes` see the counterfactuals beside the real images of the
/// class among `test`.
pub fn by_class(
    test: &Prepared,
    (ends, confidence, targets): (&[f32], &[f64], &[u32]),
    eyes: Option<&Eyes>,
    mut progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<ToClass>> {
    let words = (test.channels() * test.side() * test.side()) as usize;
    let mut rows = Vec::new();
    for class in 0..test.classes() {
        let mine: Vec<usize> =
            (0..targets.len()).filter(|&i| targets.get(i) == Some(&class)).collect();
        let sum: f64 = mine.iter().filter_map(|&i| confidence.get(i)).sum();
        let mut row = ToClass {
            count: mine.len(),
            confidence: sum / mine.len().max(1) as f64,
            distance: None,
            distance_before: None,
        };
        if let Some(eyes) = eyes {
            let real: Vec<usize> =
                (0..test.len()).filter(|&i| test.labels().get(i) == Some(&class)).collect();
            let set = |of: &[f32], places: &[usize]| {
                let chosen = places.iter().filter_map(|&i| of.get(i * words..(i + 1) * words));
                let images = chosen.flatten().copied().collect();
                ImageSet::squares(images, test.channels(), test.side())
            };
            if mine.len() > 1 && real.len() > 1 {
                let see = |set: ImageSet| eyes.see(&set, |_| Ok(()));
                let sets = [set(test.images(), &real), set(ends, &mine), set(test.images(), &mine)];
                let [truth, after, before] = sets.map(see);
                // Other ranks than rank 0 look, and are told nothing.
                if let (Some(truth), Some(after), Some(before)) = (truth?, after?, before?) {
                    let truth = truth.gaussian;
                    row.distance = Some(truth.distance(&after.gaussian)?);
                    row.distance_before = Some(truth.distance(&before.gaussian)?);
                }
            }
        }
        rows.push(row);
        progress(class as usize + 1)?;
    }
    Ok(rows)
}

/// Runs the command `eval counterfactuals`.
pub fn run(session: &Session, args: &args::Counterfactuals) -> anyhow::Result<()> {
    let loaded = args.network.load()?;
    let Loaded { model, checkpoint, side, config, .. } = &loaded;
    let test =
        evaluate::images(session, &loaded, args.labelled.data.as_deref(), &args.labelled.labels)?;
    if model.classes() < 2 {
        let reason = "the network has only one class, so there is no other to change images to";
        return Err(Error::bad_file(&checkpoint.source, reason).into());
    }
    let gpu = session.gpu()?;
    let eyes = args
        .extractor
        .as_deref()
        .map(|file| Eyes::new(&crate::world::World::one(), &gpu, file, None, 16, None))
        .transpose()?;
    let mut progress = session.progress();
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let steps = args.steps.unwrap_or(config.sample.steps.max(1));
    let step_size = args.step_size.unwrap_or(config.sample.step_size);
    let settings = (steps, step_size as f32);
    if let Some(note) = reach::note(args.eps, (steps, step_size), "--") {
        progress.line(&note);
    }
    let size = BatchSize { images: args.labelled.batch, side: *side }.at_most(test.len());
    let mut explainer =
        block_on(Counterfactuals::new(model, &weights, size, args.eps as f32, settings))?;
    let targets = targets(test.labels(), test.classes());
    let total = test.len() as u64;
    let bar = |progress: &mut super::Progress, done: usize, total: u64| {
        progress.event(&Event::Step(Step::new(Phase::Evaluate, done as u64, total)));
        Ok(())
    };
    progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total });
    let (ends, confidence) =
        block_on(explainer.ends(test.images(), &targets, |done| bar(&mut progress, done, total)))?;
    if let Some(eyes) = &eyes {
        progress.line(&format!("computing features of each class with {}", eyes.extractor));
    }
    let classes = u64::from(test.classes());
    progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total: classes });
    let made = (&ends[..], &confidence[..], &targets[..]);
    let rows = by_class(&test, made, eyes.as_ref(), |done| bar(&mut progress, done, classes))?;
    progress.finish();
    let names = loaded.class_names();
    let mut text = String::from("to class          images  confidence");
    if let Some(eyes) = &eyes {
        write!(text, "  {} before  after", eyes.extractor.distance_name())?;
    }
    text += "\n";
    for (row, name) in rows.iter().zip(&names) {
        write!(text, "{name:<16}  {:>6}  {:>8.1} %", row.count, 100.0 * row.confidence)?;
        if let (Some(before), Some(after)) = (row.distance_before, row.distance) {
            write!(text, "  {before:>15.3}  {after:>5.3}")?;
        }
        text += "\n";
    }
    let mean = confidence.iter().sum::<f64>() / confidence.len().max(1) as f64;
    writeln!(
        text,
        "mean target confidence {:.1} %: {total} images, L2 {}, {steps} steps of {step_size}",
        100.0 * mean,
        args.eps
    )?;
    super::print(&text)
}
