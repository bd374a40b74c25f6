//! `sample`: draws images of a class, as one picture with a grid of samples and their intermediate steps, or as single files in
//! any number.

use std::path::{Path, PathBuf};
use std::time::Instant;

use pollster::block_on;

use super::args;
use super::exit::Failure;
use super::kept::{Items, Kept, rows};
use super::out;
use super::rounding;
use super::sample_files::{SampleFiles, Size, pixels};
use super::session::Session;
use super::starts;
use super::stop::Stop;
use crate::Error;
use crate::data::{Augment, Classes, typed};
use crate::eval::{BatchSampler, sample};
use crate::gpu::Preferences;
use crate::model::checkpoint::write_atomically;
use crate::model::{BatchSize, DeviceWeights};
use crate::report::pictures::{Images, Sheet};
use crate::report::trajectory as trajectory_of;
use crate::train::{Config, Data, Event, Loaded, Phase, Step};

/// The number of samples in a row of the picture where all are of one class.
const COLUMNS: usize = 10;
/// Samples whose way is shown.
const TRACED: usize = 10;
/// Samples in a picture.
const MOST_IN_GRID: u32 = 100_000;

/// Runs the command `sample`, which draws samples from a network.
pub fn run(session: &Session, args: &args::Sample) -> anyhow::Result<()> {
    if !SampleFiles::is_known(&args.out) {
        let words = format!(
            "--out {}: it has to be NAME.png, NAME.npz, NAME.tar or a folder",
            args.out.display()
        );
        return Err(Failure::Usage(words).into());
    }
    let world = session.world()?;
    let loaded = args.network.load()?;
    let Loaded { model, checkpoint, side, config, .. } = &loaded;
    let names = loaded.class_names();
    let class = args.class.as_deref().map(|class| number(class, &names, "--class")).transpose()?;
    let count = args.count as usize;
    let classes = model.classes();
    let labels: Vec<u32> = (0..args.count).map(|i| class.unwrap_or(i % classes)).collect();
    let size = (model.channels(), *side);
    if SampleFiles::is_meant(&args.out) {
        return stream(session, &loaded, args, &labels);
    }
    if args.count > MOST_IN_GRID {
        let words = format!(
            "--out {}: a picture holds at most {MOST_IN_GRID} samples; write more to NAME.npz, NAME.tar or a folder",
            args.out.display()
        );
        return Err(Failure::Usage(words).into());
    }
    if !world.is_first() {
        // A grid is of few samples.
        return Ok(());
    }
    out::check(&args.out)?;
    let gpu = session.gpu()?;
    let mut progress = session.progress();
    let steps = args.steps.unwrap_or(config.sample.steps);
    let starts = starts::images(&args.start, args.seed, count, &opened_by(config, steps), size.0)?;
    let step_size = args.step_size.unwrap_or(config.sample.step_size);

    let began = Instant::now();
    let total = u64::from(args.count);
    progress.event(&Event::Phase { phase: Phase::Sample, done: 0, total });
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let batch = BatchSize { images: config.evaluate.batch, side: *side }.at_most(count);
    let done = |done| {
        progress.event(&Event::Step(Step::new(Phase::Sample, done as u64, total)));
        Ok(())
    };
    let sets = (&starts[..], &labels[..]);
    let settings = (steps, step_size as f32);
    let made = block_on(sample(model, &weights, sets, batch, settings, TRACED, done))?;
    progress.finish();

    let images = Images::new(&made.images, size.0, size.1)?;
    let mut sheet = Sheet::grid(images, COLUMNS);
    if class.is_none() {
        // A row a class.
        let rows = args.count.min(classes) as usize;
        let row = |class| (class..count).step_by(classes as usize).map(|i| Some((images, i)));
        sheet.rows = (0..rows).map(|class| row(class).collect()).collect();
        sheet.row_captions = names.iter().take(rows).cloned().collect();
    }
    write_atomically(&args.out, &sheet.draw()?.png()?)?;
    let captions: Vec<_> =
        labels.iter().filter_map(|&label| names.get(label as usize)).take(TRACED).collect();
    let trajectory = beside(&args.out);
    write_atomically(&trajectory, &trajectory_of(&made.trajectory, &captions, size)?)?;
    super::print(&format!(
        "{count} samples of {} after {steps} steps in {:.1} s: {}, {}\n",
        class.and_then(|class| names.get(class as usize)).map_or("each class in turn", |name| name),
        began.elapsed().as_secs_f64(),
        args.out.display(),
        trajectory.display()
    ))
}

/// The table by which the images that sampling starts from are opened. Without a step they are only written, and written as they
/// are, so nothing augments them.
fn opened_by(config: &Config, steps: u32) -> Data {
    let mut data = config.data.clone();
    if steps == 0 {
        data.starts = Augment::None.to_string();
    }
    data
}

/// All that samples depend on, in one line.
fn identity(
    loaded: &Loaded,
    args: &args::Sample,
    labels: &[u32],
    (batch, steps, step_size): (u32, u32, f32),
    preferences: &Preferences,
) -> String {
    let mut hash = crc32fast::Hasher::new();
    for (name, tensor) in loaded.checkpoint.weights.iter() {
        hash.update(name.as_bytes());
        hash.update(bytemuck::cast_slice(&tensor.data));
    }
    hash.update(bytemuck::cast_slice(labels));
    let mut all = serde_json::json!({
        "samples of": format!("{:08x}", hash.finalize()),
        "network": loaded.model.to_string(),
        "count": labels.len(),
        "side": loaded.side,
        "seed": args.seed,
        "start": format!("{:?}", args.start),
        "steps": steps,
        "step_size": step_size,
        "batch": batch,
    });
    if let Some(all) = all.as_object_mut() {
        all.extend(rounding::unusual(preferences));
        if matches!(&args.start, args::Start::Images(name) if !name.starts_with("builtin:")) {
            // In earlier versions pictures of a folder were taken in the order of their names, and changed without a step as well.
            all.insert("starts".into(), "in an order of the seed".into());
        }
    }
    all.to_string()
}

/// Draws batch after batch into files, each rank its part of the batches.
fn stream(
    session: &Session,
    loaded: &Loaded,
    args: &args::Sample,
    labels: &[u32],
) -> anyhow::Result<()> {
    let Loaded { model, checkpoint, side, config, .. } = loaded;
    let world = session.world()?;
    let size = Size { channels: model.channels(), side: *side };
    let stop = Stop::listen(session.speaks())?;
    let gpu = session.gpu()?;
    session.introduce(&gpu)?;
    let mut progress = session.progress();
    let began = Instant::now();
    let total = labels.len() as u64;
    progress.event(&Event::Phase { phase: Phase::Sample, done: 0, total });
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let batch = config.evaluate.batch.min(args.count);
    let steps = args.steps.unwrap_or(config.sample.steps);
    let step_size = args.step_size.unwrap_or(config.sample.step_size) as f32;
    let batch_size = BatchSize { images: batch, side: *side };
    let mut sampling =
        block_on(BatchSampler::new(model, &weights, batch_size, (steps, step_size)))?;
    let data = opened_by(config, steps);
    let mut starts =
        starts::Starts::new(&args.start, args.seed, batch as usize, &data, size.channels)?;
    let settings = (batch, steps, step_size);
    let identity = identity(loaded, args, labels, settings, gpu.preferences());
    world.agree(&[("what is sampled", identity.clone())])?;
    let (mut files, mut kept) = (None, None);
    if world.is_first() {
        files = Some(SampleFiles::create(&args.out, labels, &loaded.class_names(), size)?);
        kept = Some(Kept::open(Kept::beside(&args.out), &identity, size.bytes())?);
    }
    let mut next = 0;
    let make = |number: usize, part: std::ops::Range<usize>| {
        starts.skip(number - next);
        next = number + 1;
        let mut from = starts.batch()?;
        from.truncate(part.len() * size.bytes());
        let labels = labels.get(part).unwrap_or_default();
        Ok(pixels(&block_on(sampling.draw(&from, labels))?, size))
    };
    let take = |first: usize, images: &[u8]| match &mut files {
        Some(files) => files.write(first, images, labels.get(first..).unwrap_or_default(), size),
        None => Ok(()),
    };
    let told = |done: usize| {
        progress.event(&Event::Step(Step::new(Phase::Sample, done as u64, total)));
        stop.asked()
    };
    let items = Items { count: labels.len(), batch: batch as usize };
    match rows(world, items, &mut kept, make, take, told) {
        Err(Error::Stopped) => {
            let words = "the same command resumes after the samples drawn so far".to_owned();
            return Err(Failure::Stopped(words).into());
        }
        other => other?,
    }
    let Some(files) = files else { return Ok(()) };
    files.finish()?;
    kept.map_or(Ok(()), Kept::remove)?;
    progress.finish();
    super::print(&format!(
        "{total} samples after {steps} steps of {step_size} in {:.1} s: {}\n",
        began.elapsed().as_secs_f64(),
        args.out.display()
    ))
}

/// Returns the name that is most like what was typed, if any is like it: a typing error or two away, or longer at an end.
fn likely<'a>(class: &str, names: &'a [String]) -> Option<&'a String> {
    let class = typed(class);
    let nearness = |name: &str| {
        let name = typed(name);
        match class.len() > 2 && (name.contains(&class) || class.contains(&name)) {
            true => 1.0,
            false => strsim::normalized_damerau_levenshtein(&class, &name),
        }
    };
    let best = names.iter().max_by(|a, b| nearness(a).total_cmp(&nearness(b)));
    best.filter(|name| !name.is_empty() && nearness(name) > 0.6)
}

/// Finds a class by its name or number, as [`Classes::find`] does; `argument` is the flag, for the error, which names a class that is
/// likely meant.
pub fn number(class: &str, names: &[String], argument: &str) -> anyhow::Result<u32> {
    let all = Classes { names, count: names.len() as u32 };
    all.find(class).map_err(|error| {
        let Error::Mismatch { given, wanted, .. } = error else { return error.into() };
        let meant = likely(class, names).filter(|name| typed(name) != typed(class));
        let meant = meant.map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"));
        Failure::Usage(format!("{argument}: got {given}{meant}; expected {wanted}")).into()
    })
}

/// Returns NAME-trajectory.png for NAME.png.
fn beside(out: &Path) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{stem}-trajectory.png"))
}
