//! Sets how each kernel of a convolution is launched: the part that an invocation or a workgroup computes, the values of WGSL's
//! `override` constants, and the length of an invocation's loops.

use super::problem::Params;
use super::runs::Lines;
use crate::ops::walk::nested;

/// Returns how a kernel is launched for a problem; the flag asks for the derivative for x, the number is the workgroup's
/// size.
pub(super) type Tile = fn(&Params, bool, u32) -> Tiling;

/// The launch settings of a kernel.
#[derive(Debug)]
pub(super) struct Tiling {
    pub constants: Vec<(&'static str, f64)>,
    /// The number of parts that invocations or workgroups compute of an image and eight output channels; for a weight
    /// gradient, of a part of the images.
    pub tiles: u32,
    /// The number of parts (see `tiles`) that one workgroup computes.
    pub workgroup: u32,
    /// The number of blocks of eight output channels that one workgroup computes.
    pub blocks: u32,
    /// The number of workgroups in the grid's third dimension; for a weight gradient the number of partial sums of each weight.
    pub phases: u32,
    /// The loops that an invocation runs over the terms of its sum.
    pub lines: Lines,
}

/// The turns that storing results and reading masks take after the sums.
const STORES: u64 = 200;

/// Returns the loops of sums over channels, with `turns` turns for each channel.
fn channels(p: &Params, turns: u64) -> Lines {
    Lines { count: 1, turns: u64::from(p.inputs) * turns + STORES }
}

/// Returns the loops of sums over channels and over the kernel's window.
fn window(p: &Params) -> Lines {
    let row = 3 + u64::from(p.kernel_width) * nested(p.inputs);
    Lines { count: 1, turns: u64::from(p.kernel_height) * row + STORES }
}

fn direct(p: &Params, size: u32, tiles: u32, constants: &[(&'static str, f64)]) -> Tiling {
    let own = [("WORKGROUP", f64::from(size)), ("CHANNELS", f64::from(p.outputs.min(8)))];
    let constants = own.iter().chain(constants).copied().collect();
    Tiling { constants, ..one_for_all(p, size, tiles) }
}

pub(super) fn fused(p: &Params, _: bool, size: u32) -> Tiling {
    let across = p.width / 4;
    let neighbours = 8_u32.checked_rem(across) == Some(0);
    let tiling = direct(p, size, across * p.height.div_ceil(8), &[]);
    let constants = vec![("WORKGROUP", f64::from(size)), ("NEIGHBOURS", f64::from(neighbours))];
    Tiling { constants, ..tiling }
}

pub(super) fn quads(p: &Params, _: bool, size: u32) -> Tiling {
    let narrow = p.width == 4;
    let [across, high] = if narrow { [1, 4] } else { [p.width / 8, 2] };
    direct(p, size, across * p.height.div_ceil(high), &[("NARROW", f64::from(narrow))])
}

pub(super) fn point(p: &Params, _: bool, size: u32) -> Tiling {
    let tiles = (p.out_width * p.out_height).div_ceil(8);
    direct(p, size, tiles, &[("STRIDE", f64::from(p.stride_x))])
}

pub(super) fn halve(p: &Params, _: bool, size: u32) -> Tiling {
    direct(p, size, p.out_width / 4 * p.out_height.div_ceil(2), &[])
}

pub(super) fn double(p: &Params, _: bool, size: u32) -> Tiling {
    direct(p, size, p.width / 4 * p.height, &[("POINT", f64::from(p.kernel_width == 1))])
}

fn one_for_all(p: &Params, size: u32, tiles: u32) -> Tiling {
    let constants = vec![("WORKGROUP", f64::from(size))];
    let lines = channels(p, 1);
    Tiling { constants, tiles, workgroup: size, blocks: 1, phases: 1, lines }
}

pub(super) fn tall(p: &Params, _: bool, size: u32) -> Tiling {
    one_for_all(p, size, p.width / 8 * p.height.div_ceil(8))
}

pub(super) fn halve_tall(p: &Params, _: bool, size: u32) -> Tiling {
    one_for_all(p, size, p.out_width / 4 * p.out_height.div_ceil(4))
}

pub(super) fn double_tall(p: &Params, _: bool, size: u32) -> Tiling {
    one_for_all(p, size, p.width / 4 * p.height.div_ceil(2))
}

/// Counts the quads of an image and eight output channels in one phase, and the phases: the rows and columns of a strided
/// derivative fall into phases that use different taps.
fn phases(p: &Params, transposed: bool) -> (u32, u32) {
    let [every_y, every_x] = if transposed { [p.stride_y, p.stride_x] } else { [1, 1] };
    let across = p.out_width.div_ceil(every_x).div_ceil(4);
    (p.out_height.div_ceil(every_y) * across, every_y * every_x)
}

pub(super) fn taps(p: &Params, transposed: bool, size: u32) -> Tiling {
    let (tiles, phases) = phases(p, transposed);
    let constants = vec![
        ("WORKGROUP", f64::from(size)),
        ("TRANSPOSED", f64::from(transposed)),
        ("STRIDE_Y", f64::from(p.stride_y)),
        ("STRIDE_X", f64::from(p.stride_x)),
    ];
    Tiling { constants, tiles, workgroup: size, blocks: 1, phases, lines: window(p) }
}

/// Launches workgroups that compute `BLOCKS` blocks each, with two quads of each block for every invocation. Loads take
/// turns too, but fewer than the products.
pub(super) fn gemm<const BLOCKS: u32>(p: &Params, transposed: bool, size: u32) -> Tiling {
    let (tiles, phases) = phases(p, transposed);
    let mut constants = vec![("TRANSPOSED", f64::from(transposed)), ("BLOCKS", f64::from(BLOCKS))];
    if BLOCKS == 2 {
        constants.push(("SLAB", 8.0));
        constants.push(("CHANNELS", f64::from(p.outputs.min(8))));
    }
    let lines = Lines { turns: 2 * window(p).turns, ..window(p) };
    Tiling { constants, tiles, workgroup: 2 * size / BLOCKS, blocks: BLOCKS, phases, lines }
}

/// Four subgroups compute 4 `SIDE` channels by 8 `SIDE` pixels.
pub(super) fn cooperative<const SIDE: u32>(p: &Params, transposed: bool, size: u32) -> Tiling {
    let (tiles, phases) = phases(p, transposed);
    let constants = vec![("TRANSPOSED", f64::from(transposed)), ("SUBGROUP", f64::from(size / 4))];
    let (workgroup, blocks) = (2 * SIDE, SIDE / 2);
    Tiling { constants, tiles, workgroup, blocks, phases, lines: window(p) }
}

/// A line is a row of dy. What a round of 2 `SIDE` columns takes is less than two turns for each eight of them.
pub(super) fn cooperative_weights<const SIDE: u32>(p: &Params, _: bool, size: u32) -> Tiling {
    let tiles = p.inputs * p.kernel_height * p.kernel_width;
    let lines = Lines { count: p.out_height, turns: 2 * u64::from(p.out_width.div_ceil(8)) };
    let constants = vec![("SUBGROUP", f64::from(size / 4))];
    let (workgroup, blocks, phases) = (4 * SIDE, SIDE / 2, parts(p));
    Tiling { constants, tiles, workgroup, blocks, phases, lines }
}

/// A slab of four channels takes at most 32 turns.
pub(super) fn block<const BLOCKS: u32>(p: &Params, _: bool, size: u32) -> Tiling {
    let tiles = p.width.div_ceil(8) * p.height.div_ceil(size / BLOCKS);
    let constants = vec![("BLOCKS", f64::from(BLOCKS))];
    let lines = channels(p, 8);
    Tiling { constants, tiles, workgroup: 1, blocks: BLOCKS, phases: 1, lines }
}

/// A slab of sixteen channels takes at most 32 turns.
pub(super) fn point_block<const BLOCKS: u32>(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![("BLOCKS", f64::from(BLOCKS))];
    let (tiles, workgroup) = (p.width * p.height / 4, 2 * size / BLOCKS);
    let lines = channels(p, 2);
    Tiling { constants, tiles, workgroup, blocks: BLOCKS, phases: 1, lines }
}

fn parts(p: &Params) -> u32 {
    p.images.div_ceil(p.part_images.max(1)) * p.lines.div_ceil(p.part_lines.max(1))
}

/// A line is a column of quads of dy.
pub(super) fn nine_weights(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![("WORKGROUP", f64::from(size)), ("HALVE", f64::from(p.stride_x == 2))];
    let lines = Lines { count: p.out_width / 4, turns: nested(p.out_height) };
    Tiling { constants, tiles: p.inputs, workgroup: size, blocks: 1, phases: parts(p), lines }
}

/// A line is a row of dy.
pub(super) fn taps_weights(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![
        ("WORKGROUP", f64::from(size)),
        ("STRIDE_Y", f64::from(p.stride_y)),
        ("STRIDE_X", f64::from(p.stride_x)),
    ];
    let tiles = p.inputs * p.kernel_height * p.kernel_width;
    let lines = Lines { count: p.out_height, turns: nested(p.out_width / 4) };
    Tiling { constants, tiles, workgroup: size, blocks: 1, phases: parts(p), lines }
}

/// A line is a row of dy. Four quads are a round with two loops of four in it: what loads them, and their products.
pub(super) fn gemm_weights(p: &Params, _: bool, size: u32) -> Tiling {
    let tiles = p.inputs * p.kernel_height * p.kernel_width;
    let lines = Lines { count: p.out_height, turns: 11 * u64::from(p.out_width.div_ceil(16)) };
    let constants = Vec::new();
    Tiling { constants, tiles, workgroup: size, blocks: size / 8, phases: parts(p), lines }
}

/// A line is four rows of dy. Of these, eight columns are a round with three loops in it: eight products and eleven loads.
pub(super) fn block_weights<const BLOCKS: u32>(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![("BLOCKS", f64::from(BLOCKS))];
    let lines = Lines { count: p.height.div_ceil(4), turns: 23 * u64::from(p.width.div_ceil(8)) };
    let (workgroup, phases) = (size / BLOCKS, parts(p));
    Tiling { constants, tiles: p.inputs, workgroup, blocks: BLOCKS, phases, lines }
}
