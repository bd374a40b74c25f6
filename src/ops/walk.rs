//! How kernels walk over \[image\]\[channel\]\[pixel\]: in units of whole vec4s where a plane's pixels
//! fill them, else pixel by pixel, and without dividing to find an element's channel.
//!
//! A vec4 load costs a CPU adapter half of four scalar ones, and an integer division more than both.

use crate::Result;
use crate::gpu::{AdapterKind, Binding, BufferId, Kernel, Recording};
use crate::graph::Shape;

/// One shader file as two kernels, which differ in `Elem`.
#[derive(Debug)]
pub(crate) struct Widths {
    pub vec4: Kernel,
    pub f32: Kernel,
}

/// The kernel of `shaders/$stem.wgsl`, with the named files of `shaders/shared/` appended; of the same name unless
/// another stands in front.
macro_rules! kernel {
    ($stem:literal, [$($shared:literal),*], $Params:ident, $bindings:expr $(,)?) => {
        $crate::ops::walk::kernel!($stem, $stem, [$($shared),*], $Params, $bindings)
    };
    ($name:expr, $stem:literal, [$($shared:literal),*], $Params:ident, $bindings:expr $(,)?) => {
        $crate::gpu::Kernel {
            name: $name,
            source: &[
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $stem, ".wgsl")),
                $(include_str!(concat!(
                    env!("CARGO_MANIFEST_DIR"), "/shaders/shared/", $shared, ".wgsl"
                )),)*
            ],
            params: $Params::LAYOUT,
            bindings: $bindings,
            subgroup: 0,
        }
    };
}
pub(crate) use kernel;

/// Both kernels of such a file: for values one by one, and for vec4s.
macro_rules! widths {
    ($stem:literal, [$($shared:literal),*], $Params:ident, $bindings:expr $(,)?) => {
        $crate::ops::walk::Widths {
            vec4: $crate::ops::walk::kernel!(
                concat!($stem, "_vec4"), $stem, [$($shared,)* "elem_vec4"], $Params, $bindings
            ),
            f32: $crate::ops::walk::kernel!(
                concat!($stem, "_f32"), $stem, [$($shared,)* "elem_f32"], $Params, $bindings
            ),
        }
    };
}
pub(crate) use widths;

impl Widths {
    /// The kernel for rows of `length` values that follow each other without a gap, and the units in one.
    pub fn fit(&'static self, length: u32) -> (&'static Kernel, u32) {
        if length.is_multiple_of(4) { (&self.vec4, length / 4) } else { (&self.f32, length) }
    }

    /// The kernel for such maps and its way over them.
    pub fn over(&'static self, maps: Shape) -> Walk {
        let (kernel, units) = self.fit(maps.pixels());
        Walk { kernel, images: maps.images(), channels: maps.channels(), units }
    }

    /// The same in units that lie in one row, and the units of a row.
    pub fn over_rows(&'static self, maps: Shape) -> (Walk, u32) {
        let (kernel, row_units) = self.fit(maps.width());
        let units = maps.height() * row_units;
        (Walk { kernel, images: maps.images(), channels: maps.channels(), units }, row_units)
    }
}

/// A kernel and the numbers its `Params` start with.
#[derive(Debug)]
pub(crate) struct Walk {
    kernel: &'static Kernel,
    pub images: u32,
    pub channels: u32,
    /// Units of a plane: vec4s or pixels.
    pub units: u32,
}

impl Walk {
    /// One result a unit: workgroups of 64, as wide as a plane of few units and the higher for it.
    pub fn each(
        &self,
        to: &mut Recording,
        constants: &[(&'static str, f64)],
        params: impl bytemuck::Pod,
        buffers: &[impl std::marker::Copy + Into<Binding>],
    ) -> Result<()> {
        let columns = self.columns(64);
        let across = self.units.div_ceil(columns).min(1 << 15);
        let high = self.channels.div_ceil(64 / columns);
        // A workgroup strides over the images beyond these. A CPU, where reading the channel's numbers
        // costs as much as reading x, wants them read once for many images.
        let most = if cpu(to) { 64u32.div_ceil(across.saturating_mul(high)) } else { 1 << 15 };
        let grid = [across, high, self.images.min(most)];
        let constants = [&[("COLUMNS", f64::from(columns))], constants].concat();
        to.dispatch(self.kernel, &constants, params, buffers, grid).map(drop)
    }

    /// One result a channel: a workgroup each. The subgroups of a workgroup take turns on a CPU and switch
    /// at every barrier, so one subgroup is best there.
    pub fn sums(
        &self,
        to: &mut Recording,
        constants: &[(&'static str, f64)],
        params: impl bytemuck::Pod,
        buffers: &[BufferId],
    ) -> Result<()> {
        let lanes = if cpu(to) { 8 } else { 256 };
        let own = [("LANES", f64::from(lanes)), ("COLUMNS", f64::from(self.columns(lanes)))];
        let constants = [&own, constants].concat();
        let grid = Recording::grid(self.channels, 1);
        to.dispatch(self.kernel, &constants, params, buffers, grid).map(drop)
    }

    /// Width of a workgroup of so many lanes: a power of two.
    fn columns(&self, lanes: u32) -> u32 {
        self.units.min(lanes).next_power_of_two()
    }
}

fn cpu(to: &Recording) -> bool {
    to.adapter().kind == AdapterKind::Cpu
}
