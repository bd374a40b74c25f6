//! What a configuration may name as data: `builtin:fashion`, `builtin:fractal` or a folder.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::augment::CropFlip;
use super::dataset::{Dataset, Part};
use super::fashion;
#[cfg(not(target_arch = "wasm32"))]
use super::folder;
use super::fractal::Fractal;
use super::stream::BatchSource;
use crate::{Error, Result};

/// The name of the random numbers that samples start from: the same seed gives the program and the page the same images.
pub const SAMPLE_STARTS: &str = "sample-starts";

/// Labelled images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `builtin:fashion`, the embedded cut of Fashion-MNIST.
    Fashion,
    /// A folder of idx files under their official names, or of a folder for each class.
    Folder(PathBuf),
}

impl Source {
    /// Reads `builtin:fashion` or a folder's path; whether the folder is there shows when it is loaded.
    ///
    /// # Errors
    /// `BadConfig` for an empty text and for other builtins.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "builtin:fashion" => Ok(Self::Fashion),
            _ if text.is_empty() || text.starts_with("builtin:") => Err(bad(
                "data",
                text,
                "builtin:fashion, a folder of idx files or one of class folders",
            )),
            _ => Ok(Self::Folder(text.into())),
        }
    }

    /// Reads the images of one part. Photographs are brought to `side`×`side`, all others are of the size that the file
    /// says, for [`Dataset::prepared`] to bring to a side.
    ///
    /// # Errors
    /// As [`Dataset::from_idx_folder`] and `Dataset::from_class_folders`, which a browser has none of.
    #[cfg_attr(target_arch = "wasm32", expect(unused_variables, reason = "no photographs there"))]
    pub fn load(&self, part: Part, side: u32) -> Result<Dataset> {
        match self {
            Self::Fashion => fashion::load(part),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Folder(path) if !folder::has_idx(path) => {
                Dataset::from_class_folders(path, part, side)
            }
            Self::Folder(path) => Dataset::from_idx_folder(path, part),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fashion => out.write_str("builtin:fashion"),
            Self::Folder(path) => write!(out, "{}", path.display()),
        }
    }
}

/// Out-of-distribution images, where sampling starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ood {
    /// `builtin:fractal`, random fields.
    Fractal,
    /// The training part of labelled images, the labels unused.
    Images(Source),
}

impl Ood {
    /// Reads `builtin:fractal` or what [`Source::parse`] reads.
    ///
    /// # Errors
    /// `BadConfig` for an empty text and for other builtins.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "builtin:fractal" => Ok(Self::Fractal),
            _ => Source::parse(text).map(Self::Images).map_err(|_| {
                bad("ood", text, "builtin:fractal, builtin:fashion, a folder of idx files or one of class folders")
            }),
        }
    }

    /// Batches of these images at `channels`×`side`×`side`; those from files with [`CropFlip::for_side`]. The other
    /// arguments are [`BatchSource::images`]'s.
    ///
    /// # Errors
    /// Those of reading and preparing, and `Mismatch` for another number of channels.
    pub fn batches(
        &self,
        name: &str,
        seed: u64,
        batch_size: usize,
        channels: u32,
        side: u32,
    ) -> Result<BatchSource> {
        match self {
            Self::Fractal => {
                BatchSource::fractal(name, seed, batch_size, Fractal::new(channels, side)?)
            }
            Self::Images(source) => {
                let images = source.load(Part::Train, side)?.prepared(side)?;
                if images.channels() != channels {
                    return Err(Error::mismatch(
                        "out-of-distribution images",
                        format!("{} channels in {source}", images.channels()),
                        channels,
                    ));
                }
                BatchSource::images(
                    name,
                    seed,
                    batch_size,
                    Arc::new(images),
                    Some(CropFlip::for_side(side)),
                )
            }
        }
    }
}

impl fmt::Display for Ood {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fractal => out.write_str("builtin:fractal"),
            Self::Images(source) => source.fmt(out),
        }
    }
}

fn bad(key: &str, value: &str, allowed: &str) -> Error {
    Error::BadConfig { key: key.into(), value: format!("{value:?}"), allowed: allowed.into() }
}
