//! `eval generation`, `eval sweep`, `eval features`: measure how near samples are to real images in the features of a network.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use pollster::block_on;
use serde_json::json;

use super::args;
use super::exit::Failure;
use super::image_set::{ImageSet, Sizes};
use super::kept::{Items, Kept, rows};
use super::out;
use super::progress::Progress;
use super::protocol::Protocol;
use super::session::Session;
use super::starts;
use super::stop::Stop;
use crate::data::Checksum;
use crate::eval::npz::{Array, Numbers, npz_names, read_npz, write_npz};
use crate::eval::{
    Coverage, Extraction, Features, Gaussian, InceptionScore, Spread, coverage, inception_score,
    kernel_distance, sample,
};
use crate::gpu::Gpu;
use crate::model::{BatchSize, Checkpoint, DeviceWeights, Extractor};
use crate::train::Loaded;
use crate::train::{Event, Phase, Step};
use crate::world::World;
use crate::{Error, Result};

/// Splits of the inception score.
const SPLITS: usize = 10;
/// Neighbours of precision and recall.
const NEIGHBOURS: usize = 3;
/// Subsets of the kernel distance and their size.
const SUBSETS: (usize, usize) = (100, 1000);
/// Images below which a covariance of features has no full rank.
const ENOUGH: usize = 2048;
/// The seed by which those subsets are drawn.
const SEED: u64 = 0;

/// The features of a set of images, computed by a network.
#[derive(Clone, Debug)]
pub struct SeenSet {
    /// A row an image.
    pub features: Features,
    /// ImageNet's, K an image.
    pub logits: Vec<f32>,
    /// The Gaussian fitted to the features.
    pub gaussian: Gaussian,
    /// The sizes of the images.
    pub sizes: Sizes,
}

/// A feature extractor on a device, with the sets it has seen before in a folder.
pub struct Eyes {
    world: World,
    gpu: Gpu,
    checkpoint: Checkpoint,
    /// The feature extractor.
    pub extractor: Extractor,
    /// The checksum of the extractor's weights.
    checksum: Checksum,
    /// The way in which images become its input.
    pub protocol: Protocol,
    batch: u32,
    cache: Option<PathBuf>,
}

impl Eyes {
    /// Reads the extractor's weights. Features are kept in the given folder, or else in the user's cache.
    pub fn new(
        world: &World,
        gpu: &Gpu,
        weights: &Path,
        protocol: Option<Protocol>,
        batch: u32,
        cache: Option<&Path>,
    ) -> Result<Self> {
        let checkpoint = Checkpoint::read(weights)?;
        let extractor = Extractor::from_checkpoint(&checkpoint)?;
        let protocol = Protocol::of(extractor, protocol)?;
        let mut checksum = Checksum::new().feed(protocol.text().bytes());
        for (name, tensor) in checkpoint.weights.iter() {
            checksum = checksum.feed(name.bytes()).feed(bytes(&tensor.data));
        }
        let cache = cache.map(Path::to_owned).or_else(super::cache::folder);
        let world = world.clone();
        Ok(Self {
            world,
            gpu: gpu.clone(),
            checkpoint,
            extractor,
            checksum,
            protocol,
            batch,
            cache,
        })
    }

    /// Features of a set: from the cache where the same weights have seen the same images before. All ranks look, each at its
    /// part of the images, and rank 0 gets what they saw; the others get none. `progress` is told how many images are done
    /// and may stop it; what was seen by then is in the cache for the next time.
    pub fn see(
        &self,
        set: &ImageSet,
        mut progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Option<SeenSet>> {
        let world = &self.world;
        let cache = self.cache.as_ref().filter(|_| world.is_first());
        let file = cache.map(|folder| {
            let checksum = set.checksum(Checksum::from(self.checksum.value()))?.value();
            Ok::<_, Error>(folder.join(format!("{checksum:016x}.npz")))
        });
        let file = file.transpose()?;
        // A cache that cannot be read is made anew.
        let kept = file.as_deref().filter(|file| file.is_file());
        let seen = kept.and_then(|file| self.read(file).ok());
        if world.any(seen.is_some())? {
            return Ok(seen);
        }
        let batch = self.batch.min(set.len() as u32).max(1);
        let size = [batch, 3, self.extractor.side()];
        let mut extraction = block_on(Extraction::new(&self.gpu, &self.checkpoint, size))?;
        let (mut features, mut logits, mut sizes) = (Vec::new(), Vec::new(), Sizes::default());
        // Features, logits, rows and columns of an image.
        let widths = [self.extractor.width() as usize, self.extractor.classes() as usize];
        let row = 4 * (widths.iter().sum::<usize>() + 2);
        let make = |_, part: std::ops::Range<usize>| {
            let (mut inputs, mut sizes) = (Vec::new(), Vec::new());
            for index in part {
                let (planes, size) = set.image(index)?;
                inputs.extend(self.protocol.input(self.extractor, &planes, size)?);
                sizes.push(size);
            }
            let seen = block_on(extraction.see(&inputs, |_| Ok(())))?;
            let [width, classes] = widths;
            let rows = seen.features.chunks(width).zip(seen.logits.chunks(classes)).zip(sizes);
            let row = |((features, logits), size): ((&[f32], &[f32]), [u32; 2])| {
                let size = size.into_iter().flat_map(u32::to_le_bytes);
                bytes(features).chain(bytes(logits)).chain(size).collect::<Vec<_>>()
            };
            Ok(rows.flat_map(row).collect())
        };
        let take = |_, rows: &[u8]| {
            for row in rows.chunks(row) {
                let (words, _) = row.as_chunks::<4>();
                let [width, classes] = widths;
                let numbers = |from: usize, count: usize| {
                    words.iter().skip(from).take(count).map(|four| f32::from_le_bytes(*four))
                };
                features.extend(numbers(0, width));
                logits.extend(numbers(width, classes));
                let length = |at: usize| {
                    words.get(width + classes + at).map(|four| u32::from_le_bytes(*four))
                };
                sizes.add([0, 1].map(|at| length(at).unwrap_or(0)));
            }
            Ok(())
        };
        let items = Items { count: set.len(), batch: batch as usize };
        // A cache that cannot be written keeps nothing.
        let mut kept = file.as_ref().and_then(|file| {
            std::fs::create_dir_all(file.parent()?).ok()?;
            Kept::open(Kept::beside(file), &format!("features in batches of {batch}"), row).ok()
        });
        rows(world, items, &mut kept, make, take, |done| progress(done).is_err())?;
        if !world.is_first() {
            return Ok(None);
        }
        let features = Features::new(features, self.extractor.width() as usize)?;
        let gaussian = Gaussian::of(&features)?;
        let seen = SeenSet { features, logits, gaussian, sizes };
        if let Some(file) = file {
            // So is one that cannot be written.
            let folder = file.parent().map(std::fs::create_dir_all);
            drop(folder.transpose().map(|_| seen.write(&file)));
        }
        drop(kept.map(Kept::remove));
        Ok(Some(seen))
    }

    fn read(&self, file: &Path) -> Result<SeenSet> {
        let arrays = read_npz(file, &["features", "logits", "sizes"])?;
        let single = |name: &str| match arrays.get(name) {
            Some(Array { numbers: Numbers::F32(values), .. }) => Ok(values.clone()),
            _ => Err(Error::bad_file(file, format_args!("no array {name}"))),
        };
        let features = Features::new(single("features")?, self.extractor.width() as usize)?;
        let sizes = match arrays.get("sizes") {
            Some(Array { numbers: Numbers::I64(all), .. }) => Sizes::from_numbers(all),
            _ => return Err(Error::bad_file(file, "no array sizes")),
        };
        Ok(SeenSet { features, logits: single("logits")?, gaussian: Gaussian::read(file)?, sizes })
    }
}

impl SeenSet {
    /// Describes the images as JSON: number, sizes and place.
    fn json(&self, name: &str) -> serde_json::Value {
        json!({ "images": self.features.len(), "sizes": self.sizes.to_string(), "of": name })
    }

    /// mu and sigma, as pytorch-fid writes and reads them, and what they are of.
    pub fn write(&self, file: &Path) -> Result<()> {
        let (rows, width) = (self.features.len(), self.features.width());
        let classes = self.logits.len() / rows.max(1);
        let features = self.features.rows().flatten().copied().collect();
        let array = |shape: &[usize], numbers| Array { shape: shape.to_vec(), numbers };
        let gaussian = &self.gaussian;
        let arrays = BTreeMap::from([
            ("mu", array(&[width], Numbers::F64(gaussian.mean().to_vec()))),
            ("sigma", array(&[width, width], Numbers::F64(gaussian.covariance().to_vec()))),
            ("features", array(&[rows, width], Numbers::F32(features))),
            ("logits", array(&[rows, classes], Numbers::F32(self.logits.clone()))),
            ("sizes", {
                let numbers = self.sizes.numbers();
                array(&[numbers.len() / 3, 3], Numbers::I64(numbers))
            }),
        ]);
        write_npz(file, &arrays)
    }
}

/// The reference that samples are compared with.
pub enum Reference {
    /// Reference images, for all metrics.
    Images(Box<SeenSet>),
    /// Mean and covariance alone.
    Statistics(Gaussian),
}

/// The distances between samples and a reference.
#[derive(Clone, Debug)]
pub struct Nearness {
    /// The Fréchet distance.
    pub distance: f64,
    /// Kernel, times nothing; only against images.
    pub kernel: Option<Spread>,
    /// The inception score of the samples, which needs no real images.
    pub score: InceptionScore,
    /// Precision and recall, only against images.
    pub coverage: Option<Coverage>,
}

impl Reference {
    /// All metrics of `samples`.
    pub fn nearness(&self, samples: &SeenSet) -> Result<Nearness> {
        let classes = samples.logits.len() / samples.features.len().max(1);
        let score = inception_score(&samples.logits, classes, SPLITS);
        Ok(match self {
            Self::Images(real) => Nearness {
                distance: real.gaussian.distance(&samples.gaussian)?,
                kernel: Some(kernel_distance(&real.features, &samples.features, SUBSETS, SEED)?),
                score,
                coverage: Some(coverage(&real.features, &samples.features, NEIGHBOURS)?),
            },
            Self::Statistics(gaussian) => Nearness {
                distance: gaussian.distance(&samples.gaussian)?,
                kernel: None,
                score,
                coverage: None,
            },
        })
    }
}

impl Nearness {
    /// Returns the distances as a flat JSON object.
    pub fn json(&self, eyes: &Eyes) -> serde_json::Value {
        let Eyes { extractor, protocol, .. } = eyes;
        json!({
            "extractor": extractor.to_string(),
            "distance_name": extractor.distance_name(),
            "distance": self.distance,
            "kernel_distance": self.kernel.map(|kernel| kernel.mean),
            "kernel_distance_std": self.kernel.map(|kernel| kernel.std),
            "inception_score": self.score.mean,
            "inception_score_std": self.score.std,
            "precision": self.coverage.as_ref().map(|coverage| coverage.precision),
            "recall": self.coverage.as_ref().map(|coverage| coverage.recall),
            "protocol": protocol.name(),
            "protocol_text": protocol.text(),
            "resize": protocol.resize(),
        })
    }
}

/// Sees a set under a bar.
fn watched(
    eyes: &Eyes,
    set: &ImageSet,
    what: &str,
    progress: &mut Progress,
    stop: Option<&Stop>,
) -> Result<Option<SeenSet>> {
    let total = set.len() as u64;
    progress.line(&format!("{} of {total} {what}", eyes.extractor));
    progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total });
    let seen = eyes.see(set, |done| {
        progress.event(&Event::Step(Step::new(Phase::Evaluate, done as u64, total)));
        if stop.is_some_and(Stop::asked) { Err(Error::Stopped) } else { Ok(()) }
    })?;
    progress.finish();
    Ok(seen)
}

/// Reads the reference that `--reference` names.
fn reference(
    eyes: &Eyes,
    name: &str,
    side: Option<u32>,
    progress: &mut Progress,
    stop: Option<&Stop>,
) -> Result<Option<Reference>> {
    let path = Path::new(name);
    let is_archive = path.extension().is_some_and(|extension| extension == "npz");
    if is_archive && npz_names(path)?.iter().any(|name| name == "mu") {
        return Gaussian::read(path).map(|found| Some(Reference::Statistics(found)));
    }
    let set = ImageSet::read(name, side)?;
    let seen = watched(eyes, &set, "real images", progress, stop)?;
    Ok(seen.map(|seen| Reference::Images(Box::new(seen))))
}

/// Runs `eval generation`.
pub fn run(session: &Session, args: &args::Generation) -> anyhow::Result<()> {
    let world = session.world()?;
    let set = ImageSet::read(&args.samples, args.side)?;
    let measuring = &args.measuring;
    let gpu = session.gpu()?;
    session.introduce(&gpu)?;
    let stop = Stop::listen(session.speaks())?;
    let eyes = Eyes::new(
        world,
        &gpu,
        &measuring.extractor,
        measuring.protocol,
        measuring.extractor_batch,
        measuring.cache.as_deref(),
    )?;
    let mut progress = session.progress();
    let facts = [
        ("the extractor and its protocol", format!("{:016x}", eyes.checksum.value())),
        ("the number of samples", set.len().to_string()),
    ];
    world.agree(&facts)?;
    let mut looked = || -> Result<_> {
        let progress = &mut progress;
        let real = reference(&eyes, &measuring.reference, set.side()?, progress, Some(&stop))?;
        Ok((real, watched(&eyes, &set, "samples", progress, Some(&stop))?))
    };
    let (real, seen) = looked().map_err(|error| match error {
        Error::Stopped => {
            let words = "the same command goes on from what was seen, if it has a cache";
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

/// Returns remarks about a distance that is computed from few images.
fn few(eyes: &Eyes, real: &Reference, seen: &SeenSet) -> Vec<String> {
    let real = match real {
        Reference::Images(real) => real.features.len(),
        Reference::Statistics(_) => usize::MAX,
    };
    let count = real.min(seen.features.len());
    if count >= ENOUGH {
        return Vec::new();
    }
    let name = eyes.extractor.distance_name();
    vec![format!(
        "{name} of {count} images: below {ENOUGH} it is mostly the number of images that it tells, and is to be compared with distances of as many images alone"
    )]
}

/// Runs `eval sweep`.
pub fn sweep(session: &Session, args: &args::Sweep) -> anyhow::Result<()> {
    let loaded = Loaded::new(args.checkpoint.as_deref(), args.side)?;
    let Loaded { model, checkpoint, side, config, .. } = &loaded;
    let measuring = &args.measuring;
    let gpu = session.gpu()?;
    let eyes = Eyes::new(
        &World::one(),
        &gpu,
        &measuring.extractor,
        measuring.protocol,
        measuring.extractor_batch,
        measuring.cache.as_deref(),
    )?;
    let mut progress = session.progress();
    let reference = reference(&eyes, &measuring.reference, Some(*side), &mut progress, None)?;
    let Some(real) = reference else { return Ok(()) };
    let weights = block_on(DeviceWeights::upload(&gpu, &model.parameters(), &checkpoint.weights))?;
    let (count, data) = (args.count as usize, &config.data);
    let from = starts::images(&args.start, args.seed, count, data, model.channels())?;
    let labels: Vec<u32> = (0..args.count).map(|i| i % model.classes()).collect();
    let step_size = args.step_size.unwrap_or(config.sample.step_size);
    let size = BatchSize { images: config.evaluate.batch.min(args.count), side: *side };
    let name = eyes.extractor.distance_name();
    let mut text = format!("steps  {name:>9}  kernel distance  inception score\n");
    let mut best: Option<(f64, u32)> = None;
    for &steps in &args.steps {
        let total = u64::from(args.count);
        progress.line(&format!("{steps} steps of {step_size}"));
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

/// Runs `eval features`.
pub fn features(session: &Session, args: &args::FeaturesOf) -> anyhow::Result<()> {
    out::check(&args.out)?;
    let set = ImageSet::read(&args.images, args.side)?;
    let gpu = session.gpu()?;
    let one = World::one();
    let mut eyes =
        Eyes::new(&one, &gpu, &args.extractor, args.protocol, args.extractor_batch, None)?;
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

fn bytes(values: &[f32]) -> impl Iterator<Item = u8> + '_ {
    values.iter().flat_map(|value| value.to_le_bytes())
}
