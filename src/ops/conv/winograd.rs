//! Winograd's minimal filtering of 3x3 convolutions in three launches, for GPUs. The first transforms x into tiles V, the
//! second is a batched product with the transformed weights U into tiles M, the third transforms these to y, with the
//! epilogue before the store. CPU rasterisers use a single kernel instead (`kernels.rs`); weights are transformed in `pack.rs`.

use super::kernels::{natively, shader};
use super::problem;
use super::runs::{most_work, times};
use super::shares::even;
use crate::Result;
use crate::gpu::{Access::*, Binding, Kernel, Recording, Trust, Words, uniform};

/// A Winograd filter, which computes 3x3 convolutions of stride 1 and padding 1 and their derivatives for x, over rows of a
/// multiple of 4 values (Lavin and Gray 2016, arXiv 1509.09308). F(2x2, 3x3) takes 16 products for 4 results instead of 36,
/// F(4x4, 3x3) 36 for 16 instead of 144, plus the transforms, and keeps 16 or 36 words of weights for 9.
///
/// The rounding, which `tests/ops/filtering.rs` measures and holds to the bounds: x and weights uniform in \[-1, 1), sums of
/// 32, 160 and 640 channels, the largest difference to f64 as a share of the largest result, on lavapipe:
///
/// | | 32 | 160 | 640 | bound |
/// |---|---|---|---|---|
/// | direct | 4.6e-7 | 1.2e-6 | 2.8e-6 | |
/// | F(2x2, 3x3) | 2.5e-7 | 5.0e-7 | 8.6e-7 | 2e-6 |
/// | F(4x4, 3x3) | 1.7e-6 | 1.5e-6 | 3.4e-6 | 6e-6 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Winograd {
    /// The filter F(4x4, 3x3) in one kernel, for CPU rasterisers that read texels.
    Fused,
    /// The filter F(2x2, 3x3) in three launches, with interpolation points 0, +-1 and infinity.
    Two,
    /// The filter F(4x4, 3x3) in three launches, with interpolation points 0, +-1/sqrt(2), +-sqrt(2) and infinity
    /// (Barabasz et al. 2020, arXiv 1803.10986).
    Four,
}

uniform! {
    struct Params {
        inputs: u32,
        outputs: u32,
        height: u32,
        width: u32,
        first_unit: u32,
        units: u32,
        pitch: u32,
        epilogue: u32,
    }
}

macro_rules! kernel {
    ($stem:literal, $bindings:expr $(, $shared:literal)*) => {
        natively(Kernel {
            name: $stem,
            source: &[
                shader!($stem),
                shader!("shared/winograd_launch"),
                $(shader!("shared/", $shared),)*
            ],
            params: Params::LAYOUT,
            bindings: $bindings,
            subgroup: 0,
            trust: Trust::OWN,
        })
    };
}

macro_rules! input {
    ($stem:literal) => {
        kernel!($stem, &[("x", Read), ("v", Write)], "winograd_input")
    };
}

macro_rules! output {
    ($stem:literal) => {
        kernel!(
            $stem,
            &[
                ("m", Read),
                ("affine", Read),
                ("mask", Read),
                ("residual", Read),
                ("y", Write),
                ("bits", Write),
            ],
            "winograd_output",
            "epilogue",
            "overflow",
            "elem_vec4",
            "epilogue_params",
            "mask_bits"
        )
    };
}

/// The kernel of the filter F(2x2, 3x3) that transforms the tiles of x to V.
pub static INPUT_TWO: Kernel = input!("winograd_input_two");
/// The kernel of the filter F(4x4, 3x3) that transforms the tiles of x to V.
pub static INPUT_FOUR: Kernel = input!("winograd_input_four");
/// The kernel of Winograd's filters that multiplies transformed weights U by transformed tiles V to M.
pub static PRODUCT: Kernel = kernel!("winograd_product", &[("u", Read), ("v", Read), ("m", Write)]);
/// The kernel of the filter F(2x2, 3x3) that transforms the products M back to tiles of y.
pub static OUTPUT_TWO: Kernel = output!("winograd_output_two");
/// The kernel of the filter F(4x4, 3x3) that transforms the products M back to tiles of y.
pub static OUTPUT_FOUR: Kernel = output!("winograd_output_four");

/// The most words of V, and of M, for one group of tiles, unless 64 tiles need more: 32 MiB each, so that plans stay
/// small.
const SCRATCH_WORDS: u64 = 8 << 20;

/// Tiles of a workgroup of the product; rows of V and M are whole such runs.
const TILES: u32 = 64;

/// The scratch buffers that hold V and M; the first one is packed.rs's.
const V: usize = 1;
const M: usize = 2;

impl Winograd {
    /// Rows and columns of a transformed tile.
    pub(super) fn points(self) -> u32 {
        match self {
            Self::Two => 4,
            Self::Fused | Self::Four => 6,
        }
    }

    /// Appends the three launches for each group of tiles. `buffers` are those of the packed convolutions: x, U, affine,
    /// mask, residual, y and bits; `channels` of y are those of a workgroup of the product.
    pub(super) fn record(
        self,
        to: &mut Recording,
        of: &problem::Params,
        channels: u32,
        buffers: [Binding; 7],
    ) -> Result<()> {
        let [x, u, affine, mask, residual, y, bits] = buffers;
        // Rows of a unit, and its tiles: a unit is four columns wide.
        let (rows, tiles) = if self == Self::Two { (2, 2) } else { (4, 1) };
        let (input, output) = match self {
            Self::Two => (&INPUT_TWO, &OUTPUT_TWO),
            _ => (&INPUT_FOUR, &OUTPUT_FOUR),
        };
        let points = self.points() * self.points();
        let blocks = of.outputs.div_ceil(8);
        let outputs = 8 * blocks;
        let all = of.images * (of.width / 4) * of.height.div_ceil(rows);
        let work = 2 * u64::from(points) * u64::from(of.inputs) * u64::from(outputs);
        let each = (points * of.inputs.max(outputs), work);
        for (first_unit, units) in groups(all, tiles, each, to) {
            let pitch = (units * tiles).next_multiple_of(TILES);
            let problem::Params { inputs, height, width, epilogue, .. } = *of;
            let params = Params {
                inputs,
                outputs: of.outputs,
                height,
                width,
                first_unit,
                units,
                pitch,
                epilogue,
            };
            let scratch = |to: &mut Recording, number, channels: u32| {
                let count = points * channels * pitch;
                let part = Some(Words { first: 0, count });
                Binding { buffer: to.scratch(number, count), part }
            };
            let (v, m) = (scratch(to, V, of.inputs), scratch(to, M, outputs));
            let across = units.div_ceil(64);
            to.dispatch(input, &[], params, &[x, v], [across, of.inputs, 1])?;
            let grid = [pitch / TILES, outputs.div_ceil(channels), points];
            let constants = [("ROWS", f64::from(channels / 8))];
            to.dispatch(&PRODUCT, &constants, params, &[u, v, m], grid)?;
            let ends = [m, affine, mask, residual, y, bits];
            to.dispatch(output, &[], params, &ends, [across, blocks, 1])?;
        }
        Ok(())
    }
}

/// First unit and number of units of each group, all of about one size, so that V and M, `words` a tile at most, are bounded,
/// and the `work` of a tile, which the product does.
fn groups(
    units: u32,
    tiles: u32,
    (words, work): (u32, u64),
    to: &Recording,
) -> impl Iterator<Item = (u32, u32)> + use<> {
    let most = SCRATCH_WORDS.min(to.adapter().max_binding / 4) / u64::from(words * TILES);
    let most = u32::try_from(most)
        .unwrap_or(u32::MAX)
        .min(times(work * u64::from(TILES), most_work(to.adapter())));
    let most = most.clamp(1, units.div_ceil(TILES) * tiles);
    let each = even(units, most * TILES / tiles);
    (0..units).step_by(each as usize).map(move |first| (first, each.min(units - first)))
}
