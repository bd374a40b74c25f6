//! The fast derivative of a convolution for its weights: images in parts, each summed on its own and the
//! parts added in order, so that the bits repeat without atomics. Rewrites put it in place of
//! [`Conv2dWeightGradient`](super::Conv2dWeightGradient).

use super::conv2d::Conv2d;
use super::conv2d_launch::{
    Params, Share, natively, reads_texels, texel_pair_shares, text, variant,
};
use crate::Result;
use crate::gpu::{Access::*, Adapter, Binding, BufferId, Kernel, Recording, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

/// Parts that images are cut into where texels do not cut them: enough to fill a GPU.
const PARTS: u32 = 16;
/// Words of all parts together, at most, where one does not take more: 32 MiB, which every adapter binds.
const PART_WORDS: u32 = 1 << 23;

uniform! {
    struct SumParams { weights: u32, parts: u32 }
}

macro_rules! weights {
    ($name:literal, $file:literal, $read:literal, $access:expr, $subgroup:literal $(, $more:literal)*) => {
        Kernel {
            name: $name,
            source: text(
                &[
                    include_str!(concat!("../../shaders/", $file)),
                    include_str!("../../shaders/shared/conv2d_launch.wgsl"),
                    include_str!(concat!("../../shaders/shared/", $read)),
                    $(include_str!(concat!("../../shaders/shared/", $more)),)*
                ],
                $subgroup,
            ),
            params: Params::LAYOUT,
            bindings: &[("dy", $access), ("x", $access), ("partials", Write)],
            subgroup: $subgroup,
        }
    };
}

/// The parts of dw: any kernel, stride and padding.
pub static TAPS: Kernel =
    weights!("conv2d_weights", "conv2d_weights.wgsl", "conv2d_pair_storage.wgsl", Read, 0);
/// The same through texels.
pub static TAPS_TEXELS: Kernel =
    weights!("conv2d_weights_texels", "conv2d_weights.wgsl", "conv2d_pair_texels.wgsl", Texels, 8);
/// The parts of dw: 3x3, padding 1, stride 1 or 2.
pub static NINE: Kernel = weights!(
    "conv2d_weights_nine",
    "conv2d_weights_nine.wgsl",
    "conv2d_pair_storage.wgsl",
    Read,
    0,
    "conv2d_weight_sums.wgsl"
);
/// The same through texels.
pub static NINE_TEXELS: Kernel = weights!(
    "conv2d_weights_nine_texels",
    "conv2d_weights_nine.wgsl",
    "conv2d_pair_texels.wgsl",
    Texels,
    8,
    "conv2d_weight_sums.wgsl"
);
/// The parts of dw: any kernel, stride and padding, by whole workgroups.
pub static GEMM: Kernel = natively(weights!(
    "conv2d_weights_gemm",
    "conv2d_weights_gemm.wgsl",
    "conv2d_pair_storage.wgsl",
    Read,
    0,
    "conv2d_weight_sums.wgsl",
    "conv2d_patch.wgsl"
));

/// dw of all parts.
pub static SUM_PARTS: Kernel = Kernel {
    name: "conv2d_sum_parts",
    source: &[
        include_str!("../../shaders/conv2d_sum_parts.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: SumParams::LAYOUT,
    bindings: &[("partials", Read), ("dw", Write)],
    subgroup: 0,
};

/// Inputs dy and x; output dw.
#[derive(Clone, Copy, Debug)]
pub struct PackedWeightGradient {
    /// The convolution.
    pub conv: Conv2d,
    /// Shape of its weights.
    pub w: Shape,
    /// Shape of its x.
    pub x: Shape,
    /// Texels or whole buffers, which sets the number of parts.
    texels: bool,
}

impl PackedWeightGradient {
    /// `None` where dy's rows are not whole quads.
    pub fn new(conv: Conv2d, x: Shape, w: Shape, adapter: &Adapter) -> Option<Self> {
        let y = conv.output(x, w).ok()?;
        let texels = reads_texels(adapter);
        y.width().is_multiple_of(4).then_some(Self { conv, w, x, texels })
    }

    /// Parts that are kept until they are added up; further launches add to these.
    fn most_parts(&self) -> u32 {
        (PART_WORDS / self.w.elements()).max(1)
    }

    /// A part for each run of images, all of the same length but the last.
    fn parts(&self, shares: &[Share]) -> u32 {
        let images = shares.first().map_or(1, |share| share.params.part_images);
        self.x.images().div_ceil(images).min(self.most_parts())
    }

    /// A launch for each part where texels are copied for it, or one for all.
    fn shares(&self) -> Result<Vec<Share>> {
        let params = whole(self.conv.params(self.x, self.w)?);
        if self.texels {
            return Ok(texel_pair_shares(&params));
        }
        let part_images = params.images.div_ceil(PARTS.min(self.most_parts()));
        let (params, blocks) = (Params { part_images, ..params }, params.outputs.div_ceil(8));
        Ok(vec![Share { params, x: None, w: None, y: None, blocks }])
    }

    fn sum(&self, to: &mut Recording, parts: u32, buffers: [BufferId; 2]) -> Result<()> {
        let weights = self.w.elements();
        let params = SumParams { weights, parts };
        to.dispatch(&SUM_PARTS, &[], params, &buffers, Recording::grid(weights, 64)).map(drop)
    }
}

fn whole(p: super::conv2d::Params) -> Params {
    Params {
        inputs: p.inputs,
        height: p.height,
        width: p.width,
        outputs: p.outputs,
        out_height: p.out_height,
        out_width: p.out_width,
        kernel_height: p.kernel_height,
        kernel_width: p.kernel_width,
        stride_y: p.stride_y,
        stride_x: p.stride_x,
        pad_y: p.pad_y,
        pad_x: p.pad_x,
        first_image: 0,
        images: p.images,
        first_block: 0,
        x_skip: 0,
        w_skip: 0,
        y_skip: 0,
        first_part: 0,
        part_images: 0,
        epilogue: 0,
    }
}

impl Op for PackedWeightGradient {
    fn name(&self) -> &'static str {
        "packed_weight_gradient"
    }

    /// dw, and the parts.
    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x] = exactly(self.name(), "inputs", inputs)?;
        x.expect(self.name(), self.x)?;
        dy.expect(self.name(), self.conv.output(self.x, self.w)?)?;
        let parts = self.parts(&self.shares()?);
        Ok(vec![self.w, Shape::matrix(parts, self.w.elements())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, x, dw, partials] = exactly(self.name(), "buffers", launch.buffers)?;
        let [_, _, rows, columns] = self.w.sides();
        let [_, _, height, width] = self.x.sides();
        let halve = self.conv == Conv2d::square(2, 1)
            && height.is_multiple_of(2)
            && width.is_multiple_of(8);
        let nine = (self.conv == Conv2d::square(1, 1) || halve) && (rows, columns) == (3, 3);
        let kernel = match (nine, self.texels) {
            (true, true) => &NINE_TEXELS,
            (true, false) => &NINE,
            (false, true) => &TAPS_TEXELS,
            (false, false) => &TAPS,
        };
        let all = whole(self.conv.params(self.x, self.w)?);
        let variant = variant(launch.to, self.name(), &all, 1)?;
        let shares = self.shares()?;
        let parts = self.parts(&shares);
        let workgroup = variant.workgroup;
        for Share { params, x: of_x, y: of_dy, blocks, .. } in shares {
            let own_parts = params.images.div_ceil(params.part_images);
            if variant.tile().is_some() {
                let positions = params.inputs * rows * columns;
                let grid = [positions.div_ceil(64), params.outputs.div_ceil(64), own_parts];
                launch.to.dispatch(&GEMM, &[], params, &[dy, x, partials], grid)?;
                continue;
            }
            // An invocation for all weights of an in channel, or for each.
            let each = if nine { 1 } else { rows * columns };
            let positions = params.inputs * each;
            let mut constants = vec![("WORKGROUP", f64::from(workgroup))];
            if nine {
                constants.push(("HALVE", f64::from(halve)));
            } else {
                constants.push(("STRIDE_Y", f64::from(params.stride_y)));
                constants.push(("STRIDE_X", f64::from(params.stride_x)));
            }
            let buffers = [
                Binding { buffer: dy, part: of_dy },
                Binding { buffer: x, part: of_x },
                partials.into(),
            ];
            let grid = [positions.div_ceil(workgroup), blocks, own_parts];
            let number = params.first_image / params.part_images;
            let (first_part, adds) = (number % parts, u32::from(number >= parts));
            let params = Params { first_part, epilogue: adds, ..params };
            launch.to.dispatch(kernel, &constants, params, &buffers, grid)?;
        }
        self.sum(launch.to, parts, [partials, dw])
    }

    fn flops(&self, _: &[Shape], _: &[Shape]) -> u64 {
        self.conv.params(self.x, self.w).map_or(0, |params| params.flops())
    }
}
