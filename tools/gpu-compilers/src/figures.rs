//! Translates what drivers report about a compiled kernel (registers, spills and so on) into names that are the same for all
//! drivers.

use crate::kernels::Entry;
use crate::machine::{self, Count};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// All kernels on one chip.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    pub chip: String,
    pub device: String,
    pub driver: String,
    pub checked: bool,
    pub kernels: Vec<Compiled>,
}

impl Results {
    pub fn read(folder: &Path, chip: &str) -> Result<Self> {
        let path = folder.join(format!("{chip}.json"));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// A compiled kernel, with what the driver reports about it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Compiled {
    /// The kernel's name and constants.
    pub label: String,
    /// Whether networks run it without being asked to.
    pub default: bool,
    /// Share of a network's operations, in hundredths.
    pub percent: f64,
    pub milliseconds: f64,
    /// Why it did not compile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub figures: Figures,
    /// The hot loop.
    pub hot: Option<Count>,
}

/// The numbers that a driver reports; 0 where it reports none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Registers of an invocation: of 32 bits, but of 16 on Apple's chips.
    pub registers: u32,
    /// Values that did not fit into registers and are kept in memory.
    pub spills: u32,
    /// Subgroups that a unit holds at once: of a SIMD on AMD, of an SM on NVIDIA, of a core on Adreno; invocations of a
    /// core on Apple.
    pub occupancy: u32,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Bytes of machine code, or instructions on Adreno.
    pub code: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Invocations of a subgroup.
    pub lanes: u32,
}

impl Compiled {
    pub fn new(
        entry: &Entry,
        figures: Figures,
        milliseconds: f64,
        folder: &Path,
        stem: &str,
    ) -> Self {
        let hot = machine::hot_loop(folder, stem);
        let &Entry { default, percent, .. } = entry;
        Self { label: entry.label(), default, percent, milliseconds, failure: None, figures, hot }
    }

    pub fn failed(entry: &Entry, why: &str) -> Self {
        Self {
            label: entry.label(),
            default: entry.default,
            percent: entry.percent,
            milliseconds: 0.0,
            failure: Some(why.into()),
            figures: Figures::default(),
            hot: None,
        }
    }
}

impl Figures {
    /// From a driver's statistics, which each names in its own way.
    pub fn of(statistics: &BTreeMap<String, f64>) -> Self {
        let sum = |names: &[&str]| {
            let found = names.iter().filter_map(|&name| statistics.get(name));
            found.sum::<f64>() as u32
        };
        // In turn: RADV, NVK, Turnip, Honeykrisp.
        Self {
            registers: sum(&["VGPRs", "Number of GPRs", "Registers used", "GPRs"]),
            spills: sum(&[
                "Spilled VGPRs",
                "Spilled SGPRs",
                "Spills to memory",
                "STP Count",
                "LDP Count",
                "Spills",
                "Fills",
            ]),
            occupancy: sum(&[
                "Subgroups per SIMD",
                "Max warps/SM",
                "Max Waves Per Core",
                "Threads",
            ]),
            workgroup_bytes: sum(&["LDS size", "Shared memory", "Shared mem"]),
            code: sum(&["Code size", "Instruction Count"]),
            ..Self::default()
        }
    }
}
