//! Estimates how long the kernel launches of a computation graph take on a chip, from its compiler's figures for the kernels
//! and from the chip's published figures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::chip::Chip;
use super::compiled::{Compiled, Figures, Known};
use crate::gpu::Dispatch;
use crate::graph::Plan;
use crate::ops::conv::Way;

/// What bounds a launch's time: the largest cause of time beyond the least possible or, where there is hardly any, arithmetic or
/// memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// The launch's multiply-adds, which run at nearly the full rate.
    Arithmetic,
    /// Instructions that are no multiply-adds.
    Instructions,
    /// Multiply-adds of lanes beyond the edges, whose sums nobody stores.
    Edges,
    /// Units that have no workgroup, or not enough of them: in the last round, or in the only one.
    Workgroups,
    /// Bytes that are read from and written to memory.
    Memory,
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Self::Arithmetic => "arithmetic",
            Self::Instructions => "instructions",
            Self::Edges => "edges of tiles",
            Self::Workgroups => "few workgroups",
            Self::Memory => "memory",
        })
    }
}

/// The seconds that launches take beyond the least possible, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lost {
    pub edges: f64,
    pub instructions: f64,
    pub workgroups: f64,
}

/// The estimate for the launches of one node: a layer's forward pass, or one of its gradients.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The name of the network's layer that the node belongs to; empty where there is none.
    pub layer: String,
    /// The name of the node's op.
    pub op: &'static str,
    /// The name of the row of the table of convolution kernels that computes the node; empty for nodes of other ops.
    pub row: &'static str,
    /// The name of the kernel of the launch that takes longest.
    pub kernel: &'static str,
    pub launches: u64,
    pub seconds: f64,
    /// The least possible seconds of the node: the node's multiply-adds at full rate, or its bytes at full bandwidth, whichever
    /// takes longer.
    pub floor: f64,
    pub multiply_adds: f64,
    pub bytes: u64,
    /// What bounds the time of the node's longest launch.
    pub bound: Bound,
    /// The share of the full rate of multiply-adds that the hot loop of the longest launch can reach; `None` where the compiler's
    /// figures say nothing.
    pub reached: Option<f64>,
    /// The number of workgroups of the node's longest launch.
    pub groups: u64,
    /// The number of workgroups of the node's longest launch that the chip computes at once.
    pub seats: u64,
    pub lost: Lost,
}

/// The estimate for a network's step on a chip.
#[derive(Debug)]
pub struct Estimate {
    /// The estimates for the step's nodes, in the order in which they run.
    pub layers: Vec<Layer>,
    /// Kernels that are estimated by the figures of the same kernel with other constants.
    pub alike: BTreeSet<&'static str>,
    /// Kernels of the step that have no known figures on the chip.
    pub unknown: BTreeSet<&'static str>,
}

impl Estimate {
    pub fn new(plan: &Plan, chip: &Chip, compiled: &Compiled) -> Self {
        let (mut alike, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let mut nodes: BTreeMap<usize, Vec<&Dispatch>> = BTreeMap::new();
        for dispatch in &plan.every.dispatches {
            let node = dispatch.part.as_ref().map_or(0, |part| part.node);
            nodes.entry(node).or_default().push(dispatch);
        }
        let mut layers = Vec::new();
        for dispatches in nodes.values() {
            let flops: u64 = dispatches.iter().map(|each| each.flops).sum();
            let of_lanes: u64 = dispatches.iter().map(|each| each.lane_flops).sum();
            let mut parts = Vec::new();
            for dispatch in dispatches {
                let figures = match compiled.find(dispatch) {
                    Known::Same(figures) => Some(figures),
                    Known::Like(figures) => {
                        alike.insert(dispatch.kernel.name);
                        Some(figures)
                    }
                    Known::No => {
                        unknown.insert(dispatch.kernel.name);
                        None
                    }
                };
                // The node's operations are noted at its first launch; where lanes are counted, each has its part.
                let own = match of_lanes {
                    0 => dispatch.flops as f64,
                    all => flops as f64 * dispatch.lane_flops as f64 / all as f64,
                };
                parts.push(Launch::new(dispatch, own, chip, figures));
            }
            layers.extend(Layer::of(dispatches, &parts, flops, chip));
        }
        Self { layers, alike, unknown }
    }

    pub fn seconds(&self) -> f64 {
        self.layers.iter().map(|layer| layer.seconds).sum()
    }

    pub fn floor(&self) -> f64 {
        self.layers.iter().map(|layer| layer.floor).sum()
    }

    pub fn lost(&self) -> Lost {
        self.layers.iter().fold(Lost::default(), |all, layer| all.and(layer.lost))
    }

    /// Returns the layers, those first that lose most time beyond the least possible, then those that take longest.
    pub fn worst_first(&self) -> Vec<&Layer> {
        let mut layers: Vec<_> = self.layers.iter().collect();
        let lost = |layer: &Layer| layer.seconds - layer.floor;
        layers.sort_by(|a, b| lost(b).total_cmp(&lost(a)).then(b.seconds.total_cmp(&a.seconds)));
        layers
    }
}

impl Lost {
    fn and(self, other: Self) -> Self {
        Self {
            edges: self.edges + other.edges,
            instructions: self.instructions + other.instructions,
            workgroups: self.workgroups + other.workgroups,
        }
    }
}

/// The estimate for one kernel launch: its seconds, and what bounds them.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    pub seconds: f64,
    pub bound: Bound,
    reached: Option<f64>,
    groups: u64,
    seats: u64,
    lost: Lost,
}

/// Below this a loss is not what bounds a launch.
const SOME: f64 = 1.05;

impl Launch {
    /// Estimates a launch that does this many of its node's operations.
    pub fn new(dispatch: &Dispatch, flops: f64, chip: &Chip, figures: Option<Figures>) -> Self {
        let groups: u64 = dispatch.grid.iter().map(|&side| u64::from(side)).product();
        let memory = chip.memory(dispatch.bytes);
        let matrices = by_matrices(dispatch);
        let ideal = chip.full_rate(flops / 2.0, matrices);
        let of_lanes = chip.full_rate((dispatch.lane_flops as f64).max(flops) / 2.0, matrices);
        let reached = figures.and_then(|figures| chip.reached(&figures, matrices));
        let straight = figures.map_or(0.0, |figures| match dispatch.lane_flops {
            0 => chip.straight(&figures, groups),
            _ => 0.0,
        });
        let (rounds, idle) = match figures.map(|figures| chip.rounds(&figures, groups)) {
            Some(rounds) => (rounds.seats, rounds.idle),
            None => (0, 1.0),
        };
        // A program without a loop is known instruction by instruction.
        let issued = match straight > 0.0 {
            true => straight,
            false => of_lanes / reached.unwrap_or(1.0),
        };
        let busy = issued * idle;
        let seconds = busy.max(memory);
        let floor = ideal.max(memory);
        let factors = [
            (Bound::Edges, of_lanes / ideal.max(f64::MIN_POSITIVE)),
            (Bound::Instructions, issued / of_lanes.max(f64::MIN_POSITIVE)),
            (Bound::Workgroups, idle),
        ];
        let largest = factors.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let bound = match largest {
            _ if memory >= busy => Bound::Memory,
            Some((bound, factor)) if factor > SOME => bound,
            _ => Bound::Arithmetic,
        };
        // Of what is beyond the floor, each step's share.
        let beyond = |from: f64, to: f64| (to - from.max(floor)).max(0.0);
        let lost = Lost {
            edges: beyond(ideal, of_lanes),
            instructions: beyond(of_lanes, issued),
            workgroups: beyond(issued, busy),
        };
        Self { seconds, bound, reached, groups, seats: rounds, lost }
    }
}

/// Whether a launch multiplies by cooperative matrices.
fn by_matrices(dispatch: &Dispatch) -> bool {
    let row = dispatch.part.as_ref().and_then(|part| Way::named(part.row));
    row.is_some_and(|way| way.cooperative > 0) && dispatch.lane_flops > 0
}

impl Layer {
    fn of(dispatches: &[&Dispatch], launches: &[Launch], flops: u64, chip: &Chip) -> Option<Self> {
        let each = dispatches.iter().zip(launches);
        let (longest, launch) = each.max_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds))?;
        let part = longest.part.as_ref();
        let bytes = dispatches.iter().map(|dispatch| dispatch.bytes).sum();
        let multiply_adds = flops as f64 / 2.0;
        let matrices = dispatches.iter().any(|dispatch| by_matrices(dispatch));
        let lost = launches.iter().fold(Lost::default(), |all, launch| all.and(launch.lost));
        Some(Self {
            layer: part.map_or_else(String::new, |part| part.layer.clone()),
            op: part.map_or("", |part| part.op),
            row: part.map_or("", |part| part.row),
            kernel: longest.kernel.name,
            launches: dispatches.len() as u64,
            seconds: launches.iter().map(|launch| launch.seconds).sum(),
            floor: chip.full_rate(multiply_adds, matrices).max(chip.memory(bytes)),
            multiply_adds,
            bytes,
            bound: launch.bound,
            reached: launch.reached,
            groups: launch.groups,
            seats: launch.seats,
            lost,
        })
    }
}
