//! `attack` on single pictures, which have no labels: each is attacked away from the class that the network sees in it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use pollster::block_on;
use serde_json::{Value, json};

use super::args;
use super::evaluate::Drawn;
use super::exit::Failure;
use super::labels::Labels;
use super::terminal::printable;
use crate::data::{Prepared, photograph};
use crate::eval::{Classifier, RobustAccuracy, argmax};
use crate::model::{BatchSize, DeviceWeights};
use crate::train::Loaded;
use crate::world::World;
use crate::{Error, Result};

/// Pictures under attack, and the network that says their classes.
pub struct Pictures<'a> {
    paths: &'a [PathBuf],
    names: Vec<String>,
    classifier: Classifier,
    seen: Vec<u32>,
}

/// Reads pictures as the network takes them, into one list of values. Err for options that are about labelled images.
pub fn read(paths: &[PathBuf], loaded: &Loaded, args: &args::Attack) -> anyhow::Result<Vec<f32>> {
    let args::Attack { count, labelled, .. } = args;
    let Labels { class_map, labels_as_given } = &labelled.labels;
    if labelled.data.is_some() || count.is_some() || class_map.is_some() || *labels_as_given {
        let words = "pictures are attacked away from the class that the network sees in each: leave out --data, --count, --class-map and --labels-as-given";
        return Err(Failure::Usage(words.into()).into());
    }
    let (channels, fit) = (loaded.model.channels(), loaded.fit()?);
    let one = |path: &PathBuf| photograph(path, channels, loaded.side, fit);
    Ok(paths.iter().map(one).collect::<Result<Vec<_>>>()?.concat())
}

impl<'a> Pictures<'a> {
    /// Labels pictures that are to be attacked with the classes that the network sees in them.
    pub fn new(
        paths: &'a [PathBuf],
        images: Vec<f32>,
        (loaded, devices): (&Loaded, &[DeviceWeights]),
        batch: u32,
        world: &World,
    ) -> Result<(Self, Drawn)> {
        let weights =
            devices.first().ok_or_else(|| Error::bug("attack", "the weights are on no device"))?;
        let Loaded { model, side, .. } = loaded;
        let size = BatchSize { images: batch, side: *side }.at_most(paths.len());
        let mut classifier = block_on(Classifier::new(model, weights, size))?;
        let seen = argmax(&block_on(classifier.logits(&images))?, classifier.classes());
        // Adapters of other vendors round otherwise: all ranks take what rank 0 sees.
        let seen = world.broadcast(bytemuck::cast_slice(&seen).to_vec())?;
        let seen: Vec<u32> = bytemuck::pod_collect_to_vec(&seen);
        let (channels, classes) = (model.channels(), model.classes());
        let test = Prepared::from_f32(channels, *side, classes, images, seen.clone())?;
        let drawn = Drawn { test, places: (0..paths.len()).collect(), of: paths.len() };
        Ok((Self { paths, names: loaded.class_names(), classifier, seen }, drawn))
    }

    /// Says what the network sees in each picture before and after the attack: the file, and both classes.
    fn classes(&mut self, result: &RobustAccuracy) -> Result<Vec<(&Path, [u32; 2])>> {
        let logits = block_on(self.classifier.logits(&result.images))?;
        let after = argmax(&logits, self.classifier.classes());
        let both = self.seen.iter().zip(after).map(|(&before, after)| [before, after]);
        Ok(self.paths.iter().map(PathBuf::as_path).zip(both).collect())
    }

    fn name(names: &[String], class: u32) -> &str {
        names.get(class as usize).map_or("?", String::as_str)
    }

    /// Returns a line of text for each picture about the attack's result.
    pub fn text(&mut self, result: &RobustAccuracy) -> anyhow::Result<String> {
        let names: Vec<String> = self.names.iter().map(|name| printable(name)).collect();
        let mut text = String::new();
        for (path, [before, after]) in self.classes(result)? {
            let [before, after] = [before, after].map(|class| Self::name(&names, class));
            match before == after {
                true => writeln!(text, "{}: {before}, whatever was tried", path.display())?,
                false => writeln!(text, "{}: {before} -> {after}", path.display())?,
            }
        }
        Ok(text)
    }

    /// Returns a JSON object for each picture about the attack's result.
    pub fn json(&mut self, result: &RobustAccuracy) -> Result<Value> {
        let names = self.names.clone();
        let one = |(path, [before, after]): (&Path, [u32; 2])| {
            let told = |class| json!({ "class": class, "name": Self::name(&names, class) });
            json!({ "file": path.to_string_lossy(), "before": told(before), "after": told(after) })
        };
        Ok(self.classes(result)?.into_iter().map(one).collect())
    }
}
