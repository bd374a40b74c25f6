//! Reads `--class-map` and `--labels-as-given`, which say how labels of images are matched with a network's classes: by a list in
//! a file or by number, and without either by the classes' names.

use std::path::PathBuf;

use clap::Args;

use crate::Result;
use crate::data::ClassMap;

/// Says which class of the network an image's class is.
#[derive(Debug, Default, Args)]
pub struct Labels {
    /// File that matches the images' classes with the network's, with a line IMAGES-CLASS = NETWORK-CLASS for each class of the
    /// images [default: classes are matched by name, or by number where either side has no names]
    ///
    /// Both are written as names or as numbers.
    #[arg(help_heading = "Images", long, value_name = "FILE", conflicts_with = "labels_as_given")]
    pub class_map: Option<PathBuf>,
    /// Match labels with the network's classes by number, whatever their names are
    #[arg(help_heading = "Images", long)]
    pub labels_as_given: bool,
}

impl Labels {
    /// Reads the user's list that matches classes of images with those of the network, if there is one.
    pub fn class_map(&self) -> Result<ClassMap> {
        match &self.class_map {
            Some(path) => ClassMap::read(path),
            None if self.labels_as_given => Ok(ClassMap::AsGiven),
            None => Ok(ClassMap::ByName),
        }
    }
}
