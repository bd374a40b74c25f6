//! Computes features of a set of images by a feature extractor (such as FID's Inception), divided among processes, and keeps them
//! in a cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pollster::block_on;
use serde_json::json;

use super::image_set::{ImageSet, Sizes};
use super::kept::{Items, Kept, rows};
use super::protocol::Protocol;
use super::rounding;
use crate::data::Checksum;
use crate::eval::npz::{Array, Numbers, read_npz, write_npz};
use crate::eval::{Extraction, Features, Gaussian};
use crate::gpu::Gpu;
use crate::model::{Checkpoint, Extractor};
use crate::world::World;
use crate::{Error, Result};

/// The features of a set of images, computed by a network.
#[derive(Clone, Debug)]
pub struct SeenSet {
    /// The features of the images, a row for each.
    pub features: Features,
    /// The logits that the extractor computed for ImageNet's classes, one for each class, image by image.
    pub logits: Vec<f32>,
    /// The mean and covariance of the features, as a Gaussian.
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
    /// The checksum of the extractor's weights, and of the options by which its features are rounded.
    pub(super) checksum: Checksum,
    /// The way in which images become the extractor's input.
    pub protocol: Protocol,
    batch: u32,
    pub(super) cache: Option<PathBuf>,
}

impl Eyes {
    /// Reads the weights of the feature extractor. Features are kept in the given folder, or else in the user's cache.
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
        for (option, value) in rounding::unusual(gpu.preferences()) {
            checksum = checksum.feed(format!("{option} {value}").bytes());
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

    /// Returns the features of a set of images: from the cache where the same weights have seen the same images before, and
    /// rounded in the same way. All ranks look, each at its part of the images, and rank 0 gets what they saw; the others get
    /// none. `progress` is told how many images are done and may stop it; what was seen by then is in the cache for the next
    /// time.
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
            _ => Err(Error::bad_file(file, format_args!("it has no array {name} of f32"))),
        };
        let features = Features::new(single("features")?, self.extractor.width() as usize)?;
        let sizes = match arrays.get("sizes") {
            Some(Array { numbers: Numbers::I64(all), .. }) => Sizes::from_numbers(all),
            _ => return Err(Error::bad_file(file, "it has no array `sizes` of whole numbers")),
        };
        Ok(SeenSet { features, logits: single("logits")?, gaussian: Gaussian::read(file)?, sizes })
    }
}

impl SeenSet {
    /// Describes the images as JSON: number, sizes and place.
    pub(super) fn json(&self, name: &str) -> serde_json::Value {
        json!({ "images": self.features.len(), "sizes": self.sizes.to_string(), "of": name })
    }

    /// Writes mean and covariance of the features, as pytorch-fid writes and reads them, and what they are of.
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

fn bytes(values: &[f32]) -> impl Iterator<Item = u8> + '_ {
    values.iter().flat_map(|value| value.to_le_bytes())
}
