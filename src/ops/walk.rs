//! Lays out the workgroups of kernels that go over all pixels of all channels of all images: in units of whole vec4s where a
//! plane's pixels fill them, else pixel by pixel, and without dividing to find an element's channel.
//!
//! A vec4 load costs a CPU adapter half of four scalar ones, and an integer division more than both.

use crate::gpu::{AdapterKind, Binding, Kernel, Recording, uniform};
use crate::graph::Shape;
use crate::{Error, Result};

/// Two kernels of one shader file, which differ in `Elem`: for single values and for vec4s.
#[derive(Debug)]
pub(crate) struct Widths {
    pub vec4: Kernel,
    pub f32: Kernel,
}

/// The kernel of `shaders/$stem.wgsl`, with the named files of `shaders/shared/` appended; of the same name unless
/// another stands in front. Bindings are written in their order, `mut` before what is written.
macro_rules! kernel {
    ($stem:literal, $($rest:tt)*) => { $crate::ops::walk::kernel!(@named $stem, $stem, $($rest)*) };
    (@named $same:expr, $name:literal, $stem:literal, $($rest:tt)*) => {
        $crate::ops::walk::kernel!(@named $name, $stem, $($rest)*)
    };
    (@named $name:expr, $stem:literal, [$($shared:literal),*], $Params:ident, [$($x:ident $($y:ident)?),* $(,)?] $(,)?) => {
        $crate::ops::walk::kernel!(
            @named $name, $stem, [$($shared),*], $Params, &[$($crate::ops::walk::binding!($x $($y)?)),*]
        )
    };
    (@named $name:expr, $stem:literal, [$($shared:literal),*], $Params:ident, $bindings:expr $(,)?) => {
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
            trust: $crate::gpu::Trust::OWN,
        }
    };
}
pub(crate) use kernel;

/// Declares one of a kernel's bindings.
macro_rules! binding {
    (mut $name:ident) => {
        (stringify!($name), $crate::gpu::Access::Write)
    };
    ($name:ident) => {
        (stringify!($name), $crate::gpu::Access::Read)
    };
}
pub(crate) use binding;

/// Declares the two kernels of such a file: for single values, and for vec4s.
macro_rules! widths {
    ($stem:literal, [$($shared:literal),*], $($rest:tt)*) => {
        $crate::ops::walk::Widths {
            vec4: $crate::ops::walk::kernel!(
                @named concat!($stem, "_vec4"), $stem, [$($shared,)* "elem_vec4"], $($rest)*
            ),
            f32: $crate::ops::walk::kernel!(
                @named concat!($stem, "_f32"), $stem, [$($shared,)* "elem_f32"], $($rest)*
            ),
        }
    };
}
pub(crate) use widths;

impl Widths {
    /// Returns the kernel for rows of `length` values that follow each other without a gap, and the units (vec4s or values) in a
    /// row.
    pub fn fit(&'static self, length: u32) -> (&'static Kernel, u32) {
        if length.is_multiple_of(4) { (&self.vec4, length / 4) } else { (&self.f32, length) }
    }

    /// Returns the kernel for images that are taken as a whole, and the units (vec4s or values) in an image.
    pub fn whole(&'static self, images: Shape) -> (&'static Kernel, u32) {
        self.fit(images.elements() / images.images())
    }

    /// Returns the kernel for maps of this shape, and how it goes over them.
    pub fn over(&'static self, maps: Shape) -> Walk {
        let (kernel, units) = self.fit(maps.pixels());
        Walk { kernel, images: maps.images(), channels: maps.channels(), units }
    }

    /// Returns the kernel for maps of this shape and how it goes over them in units that lie in one row, and the units in a row.
    pub fn over_rows(&'static self, maps: Shape) -> (Walk, u32) {
        let (kernel, row_units) = self.fit(maps.width());
        let units = maps.height() * row_units;
        (Walk { kernel, images: maps.images(), channels: maps.channels(), units }, row_units)
    }
}

// What kernels that walk over maps take, and nothing more.
uniform! {
    pub(crate) struct WalkParams { images: u32, channels: u32, units: u32 }
}

// The same with what is added to a variance.
uniform! {
    pub(crate) struct EpsParams { images: u32, channels: u32, units: u32, eps: f32 }
}

/// A kernel and the numbers its `Params` start with.
#[derive(Debug)]
pub(crate) struct Walk {
    kernel: &'static Kernel,
    pub images: u32,
    pub channels: u32,
    /// The number of units in a plane: vec4s or pixels.
    pub units: u32,
}

impl Walk {
    /// Returns the uniform of a kernel that needs no numbers but the counts of images, channels and units.
    pub fn params(&self) -> WalkParams {
        WalkParams { images: self.images, channels: self.channels, units: self.units }
    }

    /// Returns the uniform of a kernel that normalises: the same counts, and the number `eps` that is added to a variance.
    pub fn with_eps(&self, eps: f32) -> EpsParams {
        EpsParams { images: self.images, channels: self.channels, units: self.units, eps }
    }

    /// Records a launch of one invocation for each unit, in workgroups of 64 that are as wide as a plane of few units, and taller
    /// for it.
    pub fn each(
        &self,
        to: &mut Recording,
        constants: &[(&'static str, f64)],
        params: impl bytemuck::Pod,
        buffers: &[impl std::marker::Copy + Into<Binding>],
    ) -> Result<()> {
        let columns = self.columns(64);
        // A workgroup strides over the units, channels and images beyond these.
        let across = self.units.div_ceil(columns).min(1 << 15);
        let high = self.channels.div_ceil(64 / columns).min(1 << 15);
        // A CPU, where reading the channel's numbers costs as much as reading x, wants them read once for many images.
        let few = 64u32.div_ceil(across.saturating_mul(high)).max(self.images.div_ceil(1 << 14));
        let most = if cpu(to) { few } else { 1 << 15 };
        let grid = [across, high, self.images.min(most)];
        let constants = [&[("COLUMNS", f64::from(columns))], constants].concat();
        to.dispatch(self.kernel, &constants, params, buffers, grid).map(drop)
    }

    /// Records a launch of one workgroup for each channel, which goes over the channel `passes` times. The subgroups of a
    /// workgroup take turns on a CPU and switch at every barrier, so one subgroup is best there.
    pub fn sums(
        &self,
        to: &mut Recording,
        passes: u32,
        constants: &[(&'static str, f64)],
        params: impl bytemuck::Pod,
        buffers: &[impl std::marker::Copy + Into<Binding>],
    ) -> Result<()> {
        let lanes = lanes_for(to, self.kernel.name, 8, |lanes| {
            let columns = self.columns(lanes);
            let images = u64::from(self.images.div_ceil(lanes / columns));
            u64::from(passes) * images * nested(self.units.div_ceil(columns))
        })?;
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

/// The most turns that all loops of an invocation together may take on a CPU. Mesa's lavapipe ends them after 65,535
/// (`LP_MAX_TGSI_LOOP_ITERATIONS`; seen with 22.3) and says nothing: what is left to add up is left out. A loop of n rounds
/// takes n + 1 turns: the last finds that it is over, and takes as many for the loops inside, which are run for no lane then.
/// The turns from this number to that limit are left for sums over a workgroup.
pub(super) const MOST_TURNS: u64 = 60_000;

/// Returns the turns of each round of a loop that has an inner loop of `rounds` rounds.
pub(super) fn nested(rounds: u32) -> u64 {
    2 + u64::from(rounds)
}

/// Err if an invocation's loops would be ended before they are done. A smaller batch may do, as where memory is short.
pub(super) fn check_turns(to: &Recording, op: &str, turns: u64) -> Result<()> {
    if !cpu(to) || turns <= MOST_TURNS {
        return Ok(());
    }
    Err(Error::OutOfMemory(format!(
        "{op}: each shader invocation takes {turns} loop iterations, but drivers that run on the CPU allow {MOST_TURNS}: fewer or smaller images may do"
    )))
}

/// LANES of a workgroup: on a GPU, which hides memory latency behind them, many; on a CPU, which pays for each at every
/// barrier, `fewest`, or as many more as it takes for loops that `turns` says the length of, given the lanes.
fn lanes_for(to: &Recording, op: &str, fewest: u32, turns: impl Fn(u32) -> u64) -> Result<u32> {
    let all = if cpu(to) { fewest } else { 256 };
    let enough = (0..).map(|double| all << double).take_while(|&lanes| lanes <= 256);
    let lanes = enough.clone().find(|&lanes| turns(lanes) <= MOST_TURNS).unwrap_or(256);
    check_turns(to, op, turns(lanes))?;
    Ok(lanes)
}

/// LANES of kernels that give an image a workgroup, whose lanes share out so many turns.
pub(super) fn lanes(to: &Recording, op: &str, turns: u32) -> Result<[(&'static str, f64); 1]> {
    let lanes = lanes_for(to, op, 64, |lanes| u64::from(turns.div_ceil(lanes)))?;
    Ok([("LANES", f64::from(lanes))])
}

/// The same for kernels that form many sums: on a CPU as many lanes as its vectors have, which wait for nobody.
pub(super) fn few_lanes(to: &Recording, op: &str, turns: u32) -> Result<[(&'static str, f64); 1]> {
    let lanes = lanes_for(to, op, 8, |lanes| u64::from(turns.div_ceil(lanes)))?;
    Ok([("LANES", f64::from(lanes))])
}
