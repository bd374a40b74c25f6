//! `--class-map` and `--labels-as-given`, for all commands in which labels of images meet a network.

use std::path::PathBuf;

use clap::Args;

use crate::Result;
use crate::data::ClassMap;

/// Which class of the network an image's class is.
#[derive(Debug, Default, Args)]
pub struct Labels {
    /// Lines IMAGES = NETWORK: the network's class, by name or number, of each class of the images [default: of the same name]
    #[arg(long, value_name = "FILE", conflicts_with = "labels_as_given")]
    pub class_map: Option<PathBuf>,
    /// Labels are the network's classes by number, whatever the names are
    #[arg(long)]
    pub labels_as_given: bool,
}

impl Labels {
    /// Reads the list, if there is one.
    pub fn class_map(&self) -> Result<ClassMap> {
        match &self.class_map {
            Some(path) => ClassMap::read(path),
            None if self.labels_as_given => Ok(ClassMap::AsGiven),
            None => Ok(ClassMap::ByName),
        }
    }
}
