//! Finds and reads the network that a user names: a file, a checkpoint's folder, a run's folder, the built-in one, or `zoo:NAME`,
//! one of those that come with the program.

use std::path::{Path, PathBuf};

use super::{Config, MODEL_FILE, RunFolder, latest_checkpoint, zoo};
use crate::data::{Fit, fashion};
use crate::model::{Checkpoint, Network, Pretrained};
use crate::{Error, Result};

/// The name of the network that is built into the library (the zoo's `fashion-demo`), to be given in place of a path.
pub const BUILT_IN_NAME: &str = "builtin:fashion-demo";
const PRESET: &str = "fashion-demo";

/// A trained network with its weights and its run's configuration, for images of any size.
#[derive(Clone, Debug)]
pub struct Known {
    /// The network and its weights, all finite.
    pub pretrained: Pretrained,
    /// The configuration of the run that trained the network; where that is not known, the preset that the network's file names, or
    /// else the preset `fashion-demo`.
    pub config: Config,
    /// Whether the configuration is the network's own, so that its classes are those of the data named there.
    told: bool,
}

impl Known {
    /// Reads the network at `path`, or the built-in network for no path or [`BUILT_IN_NAME`]; `zoo:NAME` is a network that comes
    /// with the library. `complete` may add what the file does not say, such as how images are normalised, before the network is
    /// checked.
    ///
    /// # Errors
    /// `BadFile` where nothing is there or the file is not sound, and those of `complete`.
    pub fn read(
        path: Option<&Path>,
        complete: impl FnOnce(&mut Checkpoint) -> Result<()>,
    ) -> Result<Self> {
        let (mut checkpoint, config) = match path.filter(|path| *path != Path::new(BUILT_IN_NAME)) {
            None => (Checkpoint::from_bytes(BUILT_IN_NAME, zoo::bytes(PRESET)?)?, None),
            Some(path) => match zoo::name(path) {
                Some(name) => (zoo::checkpoint(name)?, None),
                None => {
                    let file = find(path)?;
                    (Checkpoint::read(&file)?, run_config(&file)?)
                }
            },
        };
        complete(&mut checkpoint)?;
        Self::of(Pretrained::from_checkpoint(checkpoint)?, config)
    }

    /// Makes a `Known` of a network in memory and the configuration that it was trained by, if there is one.
    ///
    /// # Errors
    /// `BadFile` where its metadata name a way of fitting images that there is not.
    pub fn of(pretrained: Pretrained, config: Option<Config>) -> Result<Self> {
        let Pretrained { checkpoint, .. } = &pretrained;
        let preset = checkpoint.metadata.preset.as_deref();
        let config = config.or_else(|| preset.and_then(|name| Config::preset(name).ok()));
        let told = config.is_some();
        let mut config = config.map_or_else(|| Config::preset(PRESET), Ok)?;
        if let Some(side) = checkpoint.metadata.side {
            config.data.side = side;
        }
        if let Some(fit) = &checkpoint.metadata.fit {
            config.data.fit.clone_from(fit);
        }
        config.data.fit().map_err(|error| Error::bad_file(&checkpoint.source, error))?;
        Ok(Self { pretrained, config, told })
    }

    /// Returns the height and width of the network's images, from its file or else from its run; None where neither says it.
    pub fn side(&self) -> Option<u32> {
        let trained_on = self.told.then_some(self.config.data.side);
        self.pretrained.checkpoint.metadata.side.or(trained_on)
    }

    /// Returns the names of the network's classes, from its file or else from the data of its run.
    pub fn class_names(&self) -> Option<Vec<String>> {
        self.pretrained.class_names().map(<[String]>::to_vec).or_else(|| {
            // Files of versions that did not write the embedded images' names.
            let fashion = self.told && self.config.data.train == "builtin:fashion";
            let names = fashion::CLASS_NAMES.map(str::to_owned).to_vec();
            let count = self.pretrained.network.classes() as usize;
            (fashion && names.len() == count).then_some(names)
        })
    }
}

/// A network read from a file, with its weights, its run's configuration and its class names, for square images of one size.
#[derive(Debug)]
pub struct Loaded {
    /// The network's architecture.
    pub model: Network,
    /// The weights, all of which are finite.
    pub checkpoint: Checkpoint,
    /// The height and width of the network's images.
    pub side: u32,
    /// The configuration of the run that trained the network; where that is not known, the preset that the network's file names, or
    /// else the preset `fashion-demo`.
    pub config: Config,
    names: Option<Vec<String>>,
}

impl Loaded {
    /// Reads the network at `path`, or the built-in one; if `side` is given, it overrides the image size in the file.
    ///
    /// # Errors
    /// `BadFile` where nothing is there, the file is not sound, or it says no side and none is given.
    pub fn new(path: Option<&Path>, side: Option<u32>) -> Result<Self> {
        let known = Known::read(path, |_| Ok(()))?;
        let names = known.class_names();
        let side = known.pretrained.side(side.or(known.side()))?;
        let Known { pretrained: Pretrained { network: model, checkpoint }, mut config, .. } = known;
        config.data.side = side;
        Ok(Self { model, checkpoint, side, config, names })
    }

    /// Sets how images are fitted to the network's size, if `fit` is given.
    pub fn fitting(mut self, fit: Option<Fit>) -> Self {
        if let Some(fit) = fit {
            self.config.data.fit = fit.to_string();
        }
        self
    }

    /// Returns how pictures are fitted to the network's size.
    ///
    /// # Errors
    /// None for what [`Loaded::new`] has read.
    pub fn fit(&self) -> Result<Fit> {
        Ok(self.config.data.fit()?.unwrap_or(Fit::usual(self.model.channels())))
    }

    /// Returns the names of the network's classes, from its file or else from the data of its run.
    pub fn known_names(&self) -> Option<Vec<String>> {
        self.names.clone()
    }

    /// Returns the names of the network's classes; their numbers where no names are known.
    pub fn class_names(&self) -> Vec<String> {
        self.known_names().unwrap_or_else(|| numbered(self.model.classes()))
    }
}

/// Returns numbers as the names of classes that have none.
pub fn numbered(classes: u32) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// Reads a network of the zoo by name, or the file that a path leads to.
pub(crate) fn read_named(path: &Path) -> Result<Checkpoint> {
    match zoo::name(path) {
        Some(name) => zoo::checkpoint(name),
        None => Checkpoint::read(find(path)?),
    }
}

/// Finds the network's file that a path leads to: the file itself, or in a folder its `model.safetensors`, or else that of the
/// run's last checkpoint.
pub fn find(path: &Path) -> Result<PathBuf> {
    let about = std::fs::metadata(path).map_err(|error| Error::bad_file(path, error))?;
    if !about.is_dir() {
        return Ok(path.into());
    }
    let file = path.join(MODEL_FILE);
    if file.is_file() {
        return Ok(file);
    }
    let latest = latest_checkpoint(path).ok().flatten();
    let missing = || {
        Error::bad_file(
            path,
            format!("the folder holds neither {MODEL_FILE} nor a complete checkpoint"),
        )
    };
    latest.map(|(_, folder)| folder.join(MODEL_FILE)).ok_or_else(missing)
}

/// The configuration of the run that a file lies in, directly or as a checkpoint.
fn run_config(file: &Path) -> Result<Option<Config>> {
    let folder = file.parent();
    let above = folder.and_then(Path::parent).and_then(Path::parent);
    let is_run = |folder: &&Path| {
        folder.join("config.toml").is_file() && folder.join("checkpoints").is_dir()
    };
    let run = [folder, above].into_iter().flatten().find(is_run);
    run.map(RunFolder::read_config).transpose()
}
