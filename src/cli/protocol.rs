//! The ways to resize and scale images for a feature extractor, named after the programs (pytorch-fid and others) whose Fréchet
//! distances they reproduce.

use clap::ValueEnum;

use crate::data::{Interpolation, resample};
use crate::model::Extractor;
use crate::{Error, Result};

/// A way from images to features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// pytorch-fid: Inception-v3, bilinear to 299×299 without antialiasing
    PytorchFid,
    /// clean-fid: Inception-v3, antialiased bicubic to 299×299
    CleanFid,
    /// EfficientNet-Lite0, antialiased bicubic to 224×224
    Lite0,
}

impl Protocol {
    /// Returns the protocol that is asked for, or else the extractor's own.
    ///
    /// # Errors
    /// `Mismatch` where the extractor is another network.
    pub fn of(extractor: Extractor, asked: Option<Self>) -> Result<Self> {
        let own = match extractor {
            Extractor::EfficientNetLite0 => Self::Lite0,
            Extractor::InceptionV3 => Self::PytorchFid,
        };
        let protocol = asked.unwrap_or(own);
        if (protocol == Self::Lite0) == (own == Self::Lite0) {
            return Ok(protocol);
        }
        let its = if own == Self::Lite0 { "lite0" } else { "pytorch-fid or clean-fid" };
        Err(Error::mismatch(
            "--protocol",
            protocol.name(),
            format!("{its}, as the extractor is {extractor}"),
        ))
    }

    /// Returns the name by which the protocol is asked for on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid",
            Self::CleanFid => "clean-fid",
            Self::Lite0 => "lite0",
        }
    }

    /// Returns the way in which images are resized.
    pub fn resize(self) -> &'static str {
        match self {
            Self::PytorchFid => "bilinear to 299×299 (not antialiased)",
            Self::CleanFid => "bicubic to 299×299 (antialiased, a = -0.5), clipped",
            Self::Lite0 => "bicubic to 224×224 (antialiased, a = -0.5)",
        }
    }

    /// Describes the protocol, for people who compare numbers.
    pub fn text(self) -> String {
        let values = match self {
            Self::PytorchFid => "2 x - 1",
            Self::CleanFid => "(255 x - 128) / 128",
            Self::Lite0 => "(255 x - 127) / 128",
        };
        format!("{}, pixels x in [0, 1] as {values}, grey as three equal channels", self.resize())
    }

    /// Converts an image of one plane or three to the extractor's input: three planes of its own side.
    ///
    /// # Errors
    /// `Mismatch` for other planes.
    pub fn input(self, extractor: Extractor, planes: &[f32], size: [u32; 2]) -> Result<Vec<f32>> {
        let sampling = match self {
            Self::PytorchFid => Interpolation::Bilinear,
            Self::CleanFid | Self::Lite0 => Interpolation::Bicubic,
        };
        let mut made = resample(planes, size, extractor.side(), sampling)?;
        if self == Self::CleanFid {
            // The network's own 2 y - 1 of y = 255 x / 256 is (255 x - 128) / 128.
            made.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0) * 255.0 / 256.0);
        }
        if made.len() == (extractor.side() * extractor.side()) as usize {
            made = [made.as_slice(); 3].concat();
        }
        Ok(made)
    }
}
