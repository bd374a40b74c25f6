//! Depthwise convolutions of stride 1 on GPUs, and their derivatives for x: each workgroup computes several small planes or a
//! piece of a large one. All other grouped convolutions use the plain kernels (`plain.rs`), as do all of them on CPU rasterisers
//! such as llvmpipe, where workgroup memory is slow.

use super::kernels::{fetched, groups_pay};
use super::problem::{ConvRole, Params, Problem};
use super::runs::{most_work, times};
use crate::Result;
use crate::gpu::{Access::*, Adapter, Kernel, Recording, Trust};
use crate::graph::Launch;

/// The kernel of a depthwise convolution, which computes y from x and w, or the derivative dx from dy and w.
pub static DEPTHWISE: Kernel = Kernel {
    name: "conv2d_depthwise",
    source: &[
        fetched!("conv2d_depthwise"),
        fetched!("shared/conv2d_params"),
        fetched!("shared/index"),
    ],
    params: Params::LAYOUT,
    bindings: &[("x", Read), ("w", Read), ("y", Write)],
    subgroup: 0,
    trust: Trust::OWN,
};

/// The most rows and columns of a kernel; at most this many may lie on either side of its middle.
const KERNEL: u32 = 7;
const AROUND: u32 = KERNEL / 2;
/// Quads in a workgroup's memory: 16 KiB, less what the cells themselves take.
const QUADS: u32 = 1008;
/// Invocations of a workgroup, each of which has a tile of 4 rows by 8 columns.
const LANES: u32 = 64;

/// Whether the depthwise kernel can compute this problem in this role on an adapter.
pub(super) fn computes(problem: &Problem, role: ConvRole, adapter: &Adapter) -> bool {
    let [_, channels, ..] = problem.x.sides();
    let depthwise = problem.groups == channels && problem.y.channels() == channels;
    let around = |(kernel, padding): (u32, u32)| {
        let behind = (kernel.max(1) - 1).checked_sub(padding);
        kernel <= KERNEL && padding <= AROUND && behind.is_some_and(|behind| behind <= AROUND)
    };
    let fits = problem.kernel().into_iter().zip(problem.padding).all(around);
    groups_pay(adapter)
        && depthwise
        && fits
        && problem.stride == [1, 1]
        && role != ConvRole::WeightGradient
}

/// Divides planes into pieces, and says how many a workgroup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cells {
    rows: u32,
    columns: u32,
    count: u32,
}

impl Cells {
    /// Divides planes of a size into pieces as large as a workgroup has lanes and memory for, all of about one size.
    fn of(height: u32, width: u32) -> Self {
        let even = |side: u32, most: u32, unit: u32| {
            side.div_ceil(side.div_ceil(most)).next_multiple_of(unit)
        };
        let columns = even(width, 64, 8);
        let rows = even(height, (LANES / (columns / 8) * 4).min(32), 4);
        let quads = (rows + KERNEL - 1) * (columns / 4 + 2) + 2 * KERNEL;
        let tiles = columns / 8 * (rows / 4);
        Self { rows, columns, count: (LANES / tiles).min(QUADS / quads).max(1) }
    }
}

pub(super) fn record(problem: &Problem, role: ConvRole, launch: &mut Launch) -> Result<()> {
    let flipped = role == ConvRole::InputGradient;
    let mut params = problem.params(problem.ends(role));
    if flipped {
        params.pad_y = params.kernel_height - 1 - params.pad_y;
        params.pad_x = params.kernel_width - 1 - params.pad_x;
    }
    let cells = Cells::of(params.out_height, params.out_width);
    let of_plane =
        params.out_height.div_ceil(cells.rows) * params.out_width.div_ceil(cells.columns);
    let constants = [
        ("FLIPPED", f64::from(flipped)),
        ("CELL_ROWS", f64::from(cells.rows)),
        ("CELL_COLUMNS", f64::from(cells.columns)),
        ("CELLS", f64::from(cells.count)),
    ];
    let most = times(problem.image_flops(), most_work(launch.to.adapter()));
    for first_image in (0..params.images).step_by(most as usize) {
        let images = most.min(params.images - first_image);
        let groups = (images * params.outputs * of_plane).div_ceil(cells.count);
        let params = Params { first_image, images, ..params };
        let grid = Recording::grid(groups, 1);
        launch.to.dispatch(&DEPTHWISE, &constants, params, launch.buffers, grid)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lanes and 16 KiB suffice for planes of any size, and none is without a cell.
    #[test]
    fn cells_fit_a_workgroup() {
        for height in 1..150 {
            for width in 1..150 {
                let Cells { rows, columns, count } = Cells::of(height, width);
                let quads = (rows + 6) * (columns / 4 + 2) + 14;
                assert!(count >= 1 && count * quads <= QUADS, "{height} by {width}: {quads}");
                assert!(count * (rows / 4) * (columns / 8) <= LANES, "{height} by {width}");
                assert!(rows.is_multiple_of(4) && columns.is_multiple_of(8));
            }
        }
        assert_eq!(Cells::of(7, 7), Cells { rows: 8, columns: 8, count: 14 });
        assert_eq!(Cells::of(56, 56), Cells { rows: 28, columns: 56, count: 1 });
    }
}
