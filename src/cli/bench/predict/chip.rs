//! Reads the published figures of chips (clock, bandwidth, arithmetic) from `chips.toml`, and computes from them how fast a chip
//! runs a compiled kernel.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::compiled::Figures;
use crate::gpu::{Adapter, AdapterKind, Precision};
use crate::{Error, Result};

const CHIPS: &str = include_str!("chips.toml");

/// A chip for which `bench --predict` estimates times; `chips.toml` says what each figure is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chip {
    pub name: String,
    kind: Kind,
    pub compiled: String,
    #[serde(default)]
    pub stands_in: String,
    pub units: u32,
    pub clock_ghz: f64,
    pub schedulers: u32,
    pub lanes: u32,
    #[serde(default)]
    pairs: bool,
    pub multiply_adds: u32,
    pub tflops: f64,
    pub gigabytes_per_second: f64,
    pub cache_mib: u32,
    subgroup: Option<u32>,
    occupancy: Occupancy,
    matrix: Option<Matrix>,
    pub sources: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Discrete,
    Integrated,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Occupancy {
    Unit,
    Scheduler,
    Invocations,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    side: u32,
    multiply_adds: u32,
    of_instruction: u32,
}

/// The distribution of a launch's workgroups over the units of a chip, in rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounds {
    /// The number of workgroups that the chip computes at the same time.
    pub seats: u64,
    /// The number of times that the chip is filled with workgroups, the last time perhaps in part.
    pub rounds: u64,
    /// The time divided by that of the same work spread evenly over the whole chip; 1 at least.
    pub idle: f64,
}

impl Chip {
    /// Returns all chips that are known, by their names on the command line.
    pub fn all() -> Result<BTreeMap<String, Self>> {
        let wrong = |error: toml::de::Error| Error::bug("chips.toml", error.message());
        toml::from_str(CHIPS).map_err(wrong)
    }

    /// Returns the chip of this name.
    ///
    /// # Errors
    /// `BadConfig` with all names for one that is not known.
    pub fn named(name: &str) -> Result<Self> {
        let mut chips = Self::all()?;
        chips.remove(&name.to_lowercase()).ok_or_else(|| Error::BadConfig {
            key: "--predict".into(),
            value: name.into(),
            allowed: format!(
                "one of the chips {}",
                chips.into_keys().collect::<Vec<_>>().join(", ")
            ),
        })
    }

    /// Returns the adapter of this chip as its driver describes it, by which kernels are chosen.
    pub fn adapter(&self, precision: Precision) -> Arc<Adapter> {
        let kind = match self.kind {
            Kind::Discrete => AdapterKind::Discrete,
            Kind::Integrated => AdapterKind::Integrated,
        };
        // A device is opened with cooperative matrices where half precision is asked for.
        let cooperative =
            self.matrix.filter(|_| precision != Precision::Single).map(|matrix| matrix.side);
        let (name, subgroup) = (self.name.clone(), self.subgroup);
        Arc::new(Adapter { name, subgroup, cooperative, ..Adapter::imaginary_gpu(kind) })
    }

    /// Clocks of all units in a second.
    fn clocks(&self) -> f64 {
        f64::from(self.units) * self.clock_ghz * 1e9
    }

    /// Returns the seconds that this many multiply-adds take at full rate: in single precision, or by cooperative matrices.
    pub fn full_rate(&self, multiply_adds: f64, matrices: bool) -> f64 {
        let by_matrices = self.matrix.filter(|_| matrices).map(|matrix| matrix.multiply_adds);
        let of_clock = by_matrices.unwrap_or(self.multiply_adds);
        multiply_adds / (self.clocks() * f64::from(of_clock))
    }

    /// Returns the seconds that reading or writing this many bytes takes at full bandwidth.
    pub fn memory(&self, bytes: u64) -> f64 {
        bytes as f64 / (self.gigabytes_per_second * 1e9)
    }

    /// Clocks that one instruction of a subgroup takes a scheduler; half of one where two subgroups fill its lanes.
    fn passes(&self, figures: &Figures) -> f64 {
        f64::from(figures.lanes) / f64::from(self.lanes)
    }

    /// Returns the share of the full rate of multiply-adds that a kernel's hot loop can reach, since other instructions take
    /// their turns too; `None` where no loop of the kernel multiplies and adds.
    pub fn reached(&self, figures: &Figures, matrices: bool) -> Option<f64> {
        let share = Some(figures.share()).filter(|&share| share > 0.0)?;
        let schedulers = f64::from(self.schedulers);
        if let Some(matrix) = self.matrix.filter(|_| matrices) {
            let issued = schedulers * share * f64::from(matrix.of_instruction);
            return Some((issued / f64::from(matrix.multiply_adds)).min(1.0));
        }
        let passes = self.passes(figures);
        // Multiply-adds of a scheduler's lanes in a clock.
        let issued = match self.pairs && passes == 2.0 {
            true => f64::from(figures.lanes) * share / (2.0 - share.min(1.0)),
            false => f64::from(figures.lanes) * share / passes,
        };
        Some((schedulers * issued / f64::from(self.multiply_adds)).min(1.0))
    }

    /// Returns the seconds that the instructions of a program without a loop take to be issued in this many workgroups.
    pub fn straight(&self, figures: &Figures, groups: u64) -> f64 {
        let subgroups = groups as f64 * f64::from(figures.subgroups());
        let clocks = subgroups * f64::from(figures.straight) * self.passes(figures);
        clocks / (self.clocks() * f64::from(self.schedulers))
    }

    /// Distributes `groups` workgroups of a kernel over the chip. A workgroup keeps as many schedulers busy as it has
    /// subgroups, and a unit holds as many workgroups as registers and workgroup memory allow.
    pub fn rounds(&self, figures: &Figures, groups: u64) -> Rounds {
        let (of_group, schedulers) = (figures.subgroups(), self.schedulers);
        let held = match self.occupancy {
            Occupancy::Unit => figures.occupancy / of_group,
            Occupancy::Scheduler => figures.occupancy * schedulers / of_group,
            Occupancy::Invocations => figures.occupancy / figures.invocations.max(1),
        };
        let filling = (schedulers / of_group).clamp(1, held.max(1));
        let busy = (f64::from(filling * of_group) / f64::from(schedulers)).min(1.0);
        let seats = u64::from(self.units) * u64::from(filling);
        let rounds = groups.div_ceil(seats).max(1);
        let idle = rounds as f64 * seats as f64 / (groups.max(1) as f64 * busy);
        Rounds { seats, rounds, idle }
    }
}
