//! `eval generation` measures how near generated images are to real ones in a network's feature space (Fréchet and kernel
//! distance, inception score, precision and recall), `eval sweep` does so for several numbers of sampling steps, and
//! `eval features` writes the features of images to a file.

use std::fmt::Write;
use std::path::Path;

use pollster::block_on;
use serde_json::json;

use super::args;
use super::exit::Failure;
use super::eyes::{Eyes, SeenSet};
use super::image_set::ImageSet;
use super::nearness::{NEIGHBOURS, Reference, SPLITS, SUBSETS, few};
use super::out;
use super::progress::Progress;
use super::session::Session;
use super::starts;
use super::stop::Stop;
use crate::eval::npz::npz_names;
use crate::eval::{Coverage, Gaussian, Spread, sample};
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;
use crate::train::{Event, Phase, Step};
use crate::world::World;
use crate::{Error, Result};

/// Sees a set under a bar.
fn watched(
    eyes: &Eyes,
    set: &ImageSet,
    what: &str,
    progress: &mut Progress,
    stop: Option<&Stop>,
) -> Result<Option<SeenSet>> {
    let total = set.len() as u64;
    progress.line(&format!("computing features of {total} {what} with {}", eyes.extractor));
    progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total });
    let seen = eyes.see(set, |done| {
        progress.event(&Event::Step(Step::new(Phase::Evaluate, done as u64, total)));
        if stop.is_some_and(Stop::asked) { Err(Error::Stopped) } else { Ok(()) }
    })?;
    progress.finish();
    Ok(seen)
}

/// What samples are compared with, before it is looked at.
enum Real {
    Statistics(Gaussian),
    Images(ImageSet),
}

impl Real {
    /// Reads the reference that `--reference` names; arrays are brought to `side`, if that is given.
    fn read(name: &str, side: Option<u32>) -> Result<Self> {
        let path = Path::new(name);
        let is_archive = path.extension().is_some_and(|extension| extension == "npz");
        if is_archive && npz_names(path)?.iter().any(|name| name == "mu") {
            return Gaussian::read(path).map(Self::Statistics);
        }
        ImageSet::read(name, side).map(Self::Images)
    }

    fn has_side(&self) -> bool {
        matches!(self, Self::Images(set) if set.has_side())
    }

    /// Looks at the images; rank 0 gets what was seen.
    fn seen(
        self,
        eyes: &Eyes,
        progress: &mut Progress,
        stop: Option<&Stop>,
    ) -> Result<Option<Reference>> {
        match self {
            Self::Statistics(found) => Ok(Some(Reference::Statistics(found))),
            Self::Images(set) => {
                let seen = watched(eyes, &set, "real images", progress, stop)?;
                Ok(seen.map(|seen| Reference::Images(Box::new(seen))))
            }
        }
    }
}

/// Refuses a side that nothing would be brought to.
fn check_side(side: Option<u32>, used: bool, images: &str) -> anyhow::Result<()> {
    match side.filter(|_| !used) {
        Some(side) => Err(Failure::Usage(format!(
            "--side {side} resizes arrays and idx images, but {images} are picture files, which are read at their own size: leave --side out"
        ))
        .into()),
        None => Ok(()),
    }
}

/// Runs the command `eval generation`.
pub fn run(session: &Session, args: &args::Generation) -> anyhow::Result<()> {
    let world = session.world()?;
    let set = ImageSet::read(&args.samples, args.side)?;
    let measuring = &args.measuring;
    let real = Real::read(&measuring.reference, args.side.or(set.side()?))?;
    let used = set.has_side() || real.has_side();
    check_side(args.side, used, "the samples and the reference's images")?;
    let gpu = session.gpu()?;
    session.introduce(&gpu)?;
    let stop = Stop::listen(session.speaks())?;
    let eyes = Eyes::new(
        world,
        &gpu,
        &measuring.features.extractor,
        measuring.features.protocol,
        measuring.features.extractor_batch,
        measuring.cache.as_deref(),
    )?;
    let mut progress = session.progress();
    let facts = [
        ("the extractor and its protocol", format!("{:016x}", eyes.checksum.value())),
        ("the number of samples", set.len().to_string()),
    ];
    world.agree(&facts)?;
    let looked = || -> Result<_> {
        let progress = &mut progress;
        let real = real.seen(&eyes, progress, Some(&stop))?;
        Ok((real, watched(&eyes, &set, "samples", progress, Some(&stop))?))
    };
    let (real, seen) = looked().map_err(|error| match error {
        Error::Stopped => {
            let words = "the same command resumes from the cached features, if there is a cache";
            anyhow::Error::from(Failure::Stopped(words.into()))
        }
        other => other.into(),
    })?;
    let (Some(real), Some(seen)) = (real, seen) else { return Ok(()) };
    let near = real.nearness(&seen)?;
    let notes = few(&eyes, &real, &seen);
    if args.json {
        let mut told = near.json(&eyes);
        if let Some(fields) = told.as_object_mut() {
            fields.insert("samples".into(), seen.json(&args.samples));
            let real = match &real {
                Reference::Images(seen) => seen.json(&measuring.reference),
                Reference::Statistics(_) => json!({ "of": measuring.reference }),
            };
            fields.insert("reference".into(), real);
            fields.insert("notes".into(), json!(notes));
        }
        return super::print(&format!("{told}\n"));
    }
    let mut text = String::new();
    writeln!(text, "{:<16} {:>9.4}", eyes.extractor.distance_name(), near.distance)?;
    if let Some(Spread { mean, std }) = near.kernel {
        writeln!(text, "kernel distance  {mean:>9.5} ± {std:.5}")?;
    }
    let spread = near.score.std.map_or(String::new(), |std| format!(" ± {std:.4}"));
    writeln!(text, "inception score  {:>9.4}{spread}", near.score.mean)?;
    if let Some(Coverage { precision, recall, .. }) = &near.coverage {
        writeln!(text, "precision        {precision:>9.4}\nrecall           {recall:>9.4}")?;
    }
    let count = match &real {
        Reference::Images(seen) => format!("{} images ({}) of", seen.features.len(), seen.sizes),
        Reference::Statistics(_) => "mu and sigma of".into(),
    };
    writeln!(
        text,
        "{}, {}: {} samples ({}) of {} against {count} {}; {}; covariance over n - 1, symmetric square root in f64; kernel (a·b/D + 1)³, at most {} subsets of {}; {SPLITS} splits; {NEIGHBOURS} neighbours",
        eyes.extractor,
        eyes.protocol.name(),
        seen.features.len(),
        seen.sizes,
        args.samples,
        measuring.reference,
        eyes.protocol.text(),
        SUBSETS.0,
        SUBSETS.1,
    )?;
    for note in notes {
        writeln!(text, "note: {note}")?;
    }
    super::print(&text)
}

/// Runs the command `eval sweep`.
pub fn sweep(session: &Session, args: &args::Sweep) -> anyhow::Result<()> {
    let loaded = args.network.load()?;
    let Loaded { model, checkpoint, side, config, .. } = &loaded;
    let measuring = &args.measuring;
    let gpu = session.gpu()?;
    let eyes = Eyes::new(
        &World::one(),
        &gpu,
        &measuring.features.extractor,
        measuring.features.protocol,
        measuring.features.extractor_batch,
        measuring.cache.as_deref(),
    )?;
    let mut progress = session.progress();
    let real = Real::read(&measuring.reference, Some(*side))?;
    let Some(real) = real.seen(&eyes, &mut progress, None)? else { return Ok(()) };
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let (count, data) = (args.count as usize, &config.data);
    let from = starts::images(&args.start, args.seed, count, data, model.channels())?;
    let labels: Vec<u32> = (0..args.count).map(|i| i % model.classes()).collect();
    let step_size = args.step_size.unwrap_or(config.sample.step_size);
    let size = BatchSize { images: config.evaluate.batch, side: *side }.at_most(count);
    let name = eyes.extractor.distance_name();
    let mut text = format!("steps  {name:>9}  kernel distance  inception score\n");
    let mut best: Option<(f64, u32)> = None;
    for &steps in &args.steps {
        let total = u64::from(args.count);
        progress.line(&format!("sampling by {steps} steps of length {step_size}"));
        progress.event(&Event::Phase { phase: Phase::Sample, done: 0, total });
        let done = |done| {
            progress.event(&Event::Step(Step::new(Phase::Sample, done as u64, total)));
            Ok(())
        };
        let sets = (&from[..], &labels[..]);
        let made =
            block_on(sample(model, &weights, sets, size, (steps, step_size as f32), 0, done))?;
        let set = ImageSet::squares(made.images, model.channels(), *side);
        let seen = watched(&eyes, &set, "samples", &mut progress, None)?;
        let Some(seen) = seen else { return Ok(()) };
        let near = real.nearness(&seen)?;
        let kernel = near.kernel.map_or("-".into(), |kernel| format!("{:.5}", kernel.mean));
        let (distance, score) = (near.distance, near.score.mean);
        writeln!(text, "{steps:>5}  {distance:>9.4}  {kernel:>15}  {score:>15.4}")?;
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, steps));
        }
    }
    if let Some((distance, steps)) = best {
        writeln!(
            text,
            "best: {steps} steps, {name} {distance:.4} of {} samples against {}; {}",
            args.count,
            measuring.reference,
            eyes.protocol.text()
        )?;
    }
    super::print(&text)
}

/// Runs the command `eval features`.
pub fn features(session: &Session, args: &args::FeaturesOf) -> anyhow::Result<()> {
    out::check(&args.out)?;
    let set = ImageSet::read(&args.images, args.side)?;
    check_side(args.side, set.has_side(), "these images")?;
    let gpu = session.gpu()?;
    let one = World::one();
    let mut eyes = Eyes::new(
        &one,
        &gpu,
        &args.features.extractor,
        args.features.protocol,
        args.features.extractor_batch,
        None,
    )?;
    eyes.cache = None;
    let seen = watched(&eyes, &set, "images", &mut session.progress(), None)?;
    let Some(seen) = seen else { return Ok(()) };
    seen.write(&args.out)?;
    super::print(&format!(
        "{} features of {} images ({}; {}): {}\n",
        seen.features.width(),
        seen.features.len(),
        seen.sizes,
        eyes.protocol.resize(),
        args.out.display()
    ))
}
