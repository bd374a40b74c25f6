//! Reads from `compiled.json` what the compilers of real GPUs report of each kernel (registers, instructions and more).
//! `scripts/gpu-compilers --renew` writes that file, and CI fails where a kernel becomes worse than the file states (docs/gpu.md).
//! No other file repeats these figures.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::gpu::Dispatch;
use crate::{Error, Result};

const COMPILED: &str = include_str!("compiled.json");

/// The figures of a chip's compiled kernels, by the kernels' names and constants.
#[derive(Debug, Deserialize)]
pub struct Compiled {
    /// The version of the driver that compiled the kernels.
    pub driver: String,
    kernels: BTreeMap<String, Figures>,
}

/// The figures of a compiled kernel on a chip, such as its instructions and occupancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "[u32; 6]")]
pub struct Figures {
    /// The number of subgroups or invocations of the kernel that a unit of the chip holds; `Chip::occupancy` says which.
    pub occupancy: u32,
    /// Multiply-adds in ten-thousandths of the issued instructions of the hot loop.
    ten_thousandths: u32,
    /// The number of invocations of the kernel's workgroup.
    pub invocations: u32,
    /// The number of invocations of the kernel's subgroup.
    pub lanes: u32,
    /// The number of instructions of a program in which no loop multiplies and adds; 0 for other programs.
    pub straight: u32,
}

impl From<[u32; 6]> for Figures {
    fn from([_, occupancy, ten_thousandths, invocations, lanes, straight]: [u32; 6]) -> Self {
        Self { occupancy, ten_thousandths, invocations, lanes: lanes.max(1), straight }
    }
}

impl Figures {
    /// Returns the multiply-adds as a share of the issued instructions of the kernel's hot loop; for kernels with cooperative
    /// matrices, the share of the instructions that multiply these.
    pub fn share(&self) -> f64 {
        f64::from(self.ten_thousandths) / 1e4
    }

    /// Returns the number of subgroups of the kernel's workgroup.
    pub fn subgroups(&self) -> u32 {
        self.invocations.div_ceil(self.lanes).max(1)
    }
}

/// How much is known of the kernel of a launch on a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The kernel was compiled with the same constants.
    Same(Figures),
    /// The kernel was compiled with other constants alone, of which these are the worst figures.
    Like(Figures),
    /// The kernel was not compiled for this chip.
    No,
}

impl Compiled {
    /// Reads the figures of a chip's kernels.
    pub fn of(chip: &str) -> Result<Self> {
        let wrong = |error: serde_json::Error| Error::bug("compiled.json", error);
        let mut all: BTreeMap<String, Self> = serde_json::from_str(COMPILED).map_err(wrong)?;
        all.remove(chip)
            .ok_or_else(|| Error::bug("compiled.json", format_args!("it has no chip {chip}")))
    }

    /// Finds the figures of a launch's kernel.
    pub fn find(&self, dispatch: &Dispatch) -> Known {
        let name = dispatch.kernel.name;
        // As scripts/gpu-compilers names it: constants in the order of their names.
        let constants: BTreeMap<_, _> = dispatch.constants.iter().copied().collect();
        let constants = constants.iter().map(|(name, value)| format!(" {name}={value}"));
        let label = name.to_owned() + &constants.collect::<String>();
        if let Some(&figures) = self.kernels.get(&label) {
            return Known::Same(figures);
        }
        let alike = self.kernels.iter().filter(|(label, _)| label.split(' ').next() == Some(name));
        let worst =
            alike.map(|(_, figures)| *figures).min_by_key(|figures| figures.ten_thousandths);
        worst.map_or(Known::No, Known::Like)
    }
}
