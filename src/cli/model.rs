//! Where commands find their network: a file, a checkpoint's folder, a run's folder, or the one that is built in.

use std::path::{Path, PathBuf};

use crate::data::{Fit, fashion};
use crate::model::{Checkpoint, Network, Pretrained};
use crate::train::{Config, MODEL_FILE, RunFolder, latest_checkpoint};
use crate::{Error, Result};

/// Trained by `demo` on the embedded images.
const BUILT_IN: &[u8] = include_bytes!("../../data/fashion-demo/model.safetensors");
const BUILT_IN_NAME: &str = "builtin:fashion-demo";
const PRESET: &str = "fashion-demo";

/// A network with its weights, and what is known of its training.
#[derive(Debug)]
pub struct Loaded {
    /// The network.
    pub model: Network,
    /// Its weights, all finite.
    pub checkpoint: Checkpoint,
    /// Rows and columns of its images.
    pub side: u32,
    /// Its run's, else its preset's, else the demo's.
    pub config: Config,
    /// Whether the configuration is its own, so that its classes are those of the data there.
    told: bool,
}

impl Loaded {
    /// Reads `path`, or the built-in network; `side` goes before what the file says.
    ///
    /// # Errors
    /// `BadFile` where nothing is there, the file is not sound, or it says no side and none is given.
    pub fn new(path: Option<&Path>, side: Option<u32>) -> Result<Self> {
        let (pretrained, config) = match path {
            None => (Pretrained::from_bytes(BUILT_IN_NAME, BUILT_IN)?, None),
            Some(path) => {
                let file = find(path)?;
                (Pretrained::read(&file)?, run_config(&file)?)
            }
        };
        let trained_on = config.as_ref().map(|config| config.data.side);
        let said = pretrained.checkpoint.metadata.side;
        let side = pretrained.side(side.or(said).or(trained_on))?;
        let Pretrained { network: model, checkpoint } = pretrained;
        let preset = checkpoint.metadata.preset.as_deref();
        let config = config.or_else(|| preset.and_then(|name| Config::preset(name).ok()));
        let told = config.is_some();
        let mut config = config.map_or_else(|| Config::preset(PRESET), Ok)?;
        config.data.side = side;
        if let Some(fit) = &checkpoint.metadata.fit {
            config.data.fit.clone_from(fit);
        }
        config.data.fit().map_err(|error| Error::bad_file(&checkpoint.source, error))?;
        Ok(Self { model, checkpoint, side, config, told })
    }

    /// The same with images brought to its side in another way, if one is given.
    pub fn fitting(mut self, fit: Option<Fit>) -> Self {
        if let Some(fit) = fit {
            self.config.data.fit = fit.to_string();
        }
        self
    }

    /// How pictures come to its side.
    ///
    /// # Errors
    /// None for what [`Loaded::new`] has read.
    pub fn fit(&self) -> Result<Fit> {
        Ok(self.config.data.fit()?.unwrap_or(Fit::usual(self.model.channels())))
    }

    /// What its classes are called, where its file says it, or else its run's data.
    pub fn known_names(&self) -> Option<Vec<String>> {
        let known = self.checkpoint.metadata.class_names.clone();
        let count = self.model.classes() as usize;
        known.filter(|names| names.len() == count).or_else(|| {
            // Files of versions that did not write the embedded images' names.
            let fashion = self.told && self.config.data.train == "builtin:fashion";
            let names = fashion::CLASS_NAMES.map(str::to_owned).to_vec();
            (fashion && names.len() == count).then_some(names)
        })
    }

    /// What its classes are called: numbers where nothing says it.
    pub fn class_names(&self) -> Vec<String> {
        self.known_names().unwrap_or_else(|| numbered(self.model.classes()))
    }
}

/// Names for classes that have none.
pub fn numbered(classes: u32) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// The file that a path means: itself, or in a folder the published weights, those of a run's last checkpoint otherwise.
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
    let missing =
        || Error::bad_file(path, format!("neither {MODEL_FILE} nor a whole checkpoint is in it"));
    latest.map(|(_, folder)| folder.join(MODEL_FILE)).ok_or_else(missing)
}

/// Of the run that a file lies in, directly or as a checkpoint.
fn run_config(file: &Path) -> Result<Option<Config>> {
    let folder = file.parent();
    let above = folder.and_then(Path::parent).and_then(Path::parent);
    let is_run = |folder: &&Path| {
        folder.join("config.toml").is_file() && folder.join("checkpoints").is_dir()
    };
    let run = [folder, above].into_iter().flatten().find(is_run);
    run.map(RunFolder::read_config).transpose()
}
