//! Winograd's minimal filtering of 3x3 convolutions in three launches, for GPUs: x to tiles of V, a batched product with the
//! transformed weights U to tiles of M, and these to y with the epilogue before the store. The one kernel of CPU rasterisers
//! is in packed_conv2d.rs, and what makes U in pack_weights.rs.

use super::conv2d::Conv2d;
use super::conv2d_launch::{self, NATIVE, even, natively, reads_texels};
use crate::Result;
use crate::gpu::{
    Access::*, Adapter, Binding, Filtering, Kernel, Preferences, Recording, Words, uniform,
};
use crate::graph::Shape;

/// A filter of 3x3 convolutions of stride 1 and padding 1 and of their derivatives for x, over rows of whole quads (Lavin and
/// Gray 2016, arXiv 1509.09308). F(2x2, 3x3) takes 16 products for 4 results instead of 36, F(4x4, 3x3) 36 for 16 instead of
/// 144, plus the transforms, and keeps 16 or 36 words of weights for 9.
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
    /// F(4x4, 3x3) in one kernel, for CPU rasterisers that read texels.
    Fused,
    /// F(2x2, 3x3) in three launches: points 0, +-1 and infinity.
    Two,
    /// F(4x4, 3x3) in three launches: points 0, +-1/sqrt(2), +-sqrt(2) and infinity (Barabasz et al. 2020, arXiv 1803.10986).
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
                include_str!(concat!("../../shaders/", $stem, ".wgsl")),
                include_str!("../../shaders/shared/winograd_launch.wgsl"),
                $(include_str!(concat!("../../shaders/shared/", $shared, ".wgsl")),)*
            ],
            params: Params::LAYOUT,
            bindings: $bindings,
            subgroup: 0,
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
            "epilogue_params",
            "mask_bits"
        )
    };
}

/// V of x, F(2x2, 3x3).
pub static INPUT_TWO: Kernel = input!("winograd_input_two");
/// V of x, F(4x4, 3x3).
pub static INPUT_FOUR: Kernel = input!("winograd_input_four");
/// M of U and V.
pub static PRODUCT: Kernel = kernel!("winograd_product", &[("u", Read), ("v", Read), ("m", Write)]);
/// y of M, F(2x2, 3x3).
pub static OUTPUT_TWO: Kernel = output!("winograd_output_two");
/// y of M, F(4x4, 3x3).
pub static OUTPUT_FOUR: Kernel = output!("winograd_output_four");

/// Words of V, and of M, of one group of tiles at most, where 64 tiles are not more: 32 MiB each, so that plans stay small.
const SCRATCH_WORDS: u64 = 8 << 20;

/// Tiles of a workgroup of the product; rows of V and M are whole such runs.
const TILES: u32 = 64;

/// The scratch buffers that hold V and M; the first one is packed_conv2d.rs's.
const V: usize = 1;
const M: usize = 2;

/// Fewest channels on either side that are filtered: with fewer the transforms take what the product saves, and the
/// rounding tells more.
const LEAST_CHANNELS: u32 = 32;

impl Winograd {
    /// The filter that a layer is computed by on an adapter, as the preferred [`Filtering`] says; none for what [`Winograd::filters`]
    /// refuses, for fewer than 32 channels, and where transformed weights are more than a binding shows.
    pub fn of(
        conv: Conv2d,
        x: Shape,
        w: Shape,
        adapter: &Adapter,
        preferences: &Preferences,
    ) -> Option<Self> {
        let filter = match (preferences.filtering, reads_texels(adapter)) {
            (Filtering::Off, _) | (Filtering::Auto, false) => return None,
            (Filtering::Two, _) => Self::Two,
            (Filtering::Four, false) => Self::Four,
            (Filtering::Auto | Filtering::Four, true) => Self::Fused,
        };
        let [outputs, inputs, ..] = w.sides();
        let side = filter.points();
        // Of U, for either direction; of V and M, for the fewest tiles.
        let most = u64::from(outputs.max(inputs).next_multiple_of(8))
            * u64::from(outputs.max(inputs).max(TILES));
        let fits = most * u64::from(side * side) * 4 <= adapter.max_binding;
        (fits && outputs.min(inputs) >= LEAST_CHANNELS && Self::filters(conv, x, w))
            .then_some(filter)
    }

    /// Whether a convolution can be computed by a filter at all; on the web none can.
    pub fn filters(conv: Conv2d, x: Shape, w: Shape) -> bool {
        let [_, _, rows, columns] = w.sides();
        NATIVE
            && conv == Conv2d::square(1, 1)
            && (rows, columns) == (3, 3)
            && x.width().is_multiple_of(4)
    }

    /// Rows and columns of a transformed tile.
    pub(super) fn points(self) -> u32 {
        match self {
            Self::Two => 4,
            Self::Fused | Self::Four => 6,
        }
    }

    /// Appends the three launches for each group of tiles. `buffers` are those of the packed convolutions: x, U, affine,
    /// mask, residual, y and bits.
    pub(super) fn record(
        self,
        to: &mut Recording,
        of: &conv2d_launch::Params,
        buffers: [Binding; 7],
    ) -> Result<()> {
        let [x, u, affine, mask, residual, y, bits] = buffers;
        // Rows of a unit, and its tiles: a unit is four columns wide.
        let (rows, tiles) = if self == Self::Two { (2, 2) } else { (4, 1) };
        let (family, input, output) = match self {
            Self::Two => ("winograd_two", &INPUT_TWO, &OUTPUT_TWO),
            _ => ("winograd_four", &INPUT_FOUR, &OUTPUT_FOUR),
        };
        let points = self.points() * self.points();
        let blocks = of.outputs.div_ceil(8);
        let outputs = 8 * blocks;
        let sides = [of.images, of.inputs, of.height, of.width, of.outputs];
        let default = usize::from(outputs > 32);
        let place = to.choose(family, &sides, &["32", "64", "128"], default)?;
        let channels = 32 << place;
        let all = of.images * (of.width / 4) * of.height.div_ceil(rows);
        for (first_unit, units) in groups(all, tiles, points * of.inputs.max(outputs), to) {
            let pitch = (units * tiles).next_multiple_of(TILES);
            let conv2d_launch::Params { inputs, height, width, epilogue, .. } = *of;
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

/// First unit and number of units of each group, all of about one size, so that V and M, `words` a tile at most, are bounded.
fn groups(
    units: u32,
    tiles: u32,
    words: u32,
    to: &Recording,
) -> impl Iterator<Item = (u32, u32)> + use<> {
    let most = SCRATCH_WORDS.min(to.adapter().max_binding / 4) / u64::from(words * TILES);
    let most = u32::try_from(most).unwrap_or(u32::MAX).clamp(1, units.div_ceil(TILES) * tiles);
    let each = even(units, most * TILES / tiles);
    (0..units).step_by(each as usize).map(move |first| (first, each.min(units - first)))
}
