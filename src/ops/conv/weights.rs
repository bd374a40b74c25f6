//! The fast derivative of a convolution for its weights: images in parts, each summed on its own and the parts added in
//! order, so that the bits repeat without atomics (split-K).

use super::kernels::shader;
use super::problem::{Problem, Role};
use super::shares::{Share, texel_pair_shares};
use super::table::{Choice, Launching, Tile, Tiling};
use crate::gpu::{Access::*, Binding, BufferId, Kernel, Recording, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

/// Parts that images are cut into where texels do not cut them: enough to fill a GPU.
const PARTS: u32 = 16;
/// Words of all parts together, at most, where one does not take more: 32 MiB, which every adapter binds.
const PART_WORDS: u32 = 1 << 23;

uniform! {
    struct SumParams { weights: u32, parts: u32 }
}

/// dw of all parts.
pub static SUM_PARTS: Kernel = Kernel {
    name: "conv2d_sum_parts",
    source: &[shader!("conv2d_sum_parts"), shader!("shared/index")],
    params: SumParams::LAYOUT,
    bindings: &[("partials", Read), ("dw", Write)],
    subgroup: 0,
};

/// Inputs dy and x; outputs dw, and the parts, which are scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedWeightGradient {
    /// The convolution.
    pub problem: Problem,
    /// The row of the table that computes it.
    pub choice: Choice,
}

impl PackedWeightGradient {
    /// Parts that are kept until they are added up; further launches add to these.
    fn most_parts(&self) -> u32 {
        (PART_WORDS / self.problem.w.elements()).max(1)
    }

    /// A part for each run of images, all of the same length but the last.
    fn parts(&self, shares: &[Share]) -> u32 {
        let images = shares.first().map_or(1, |share| share.params.part_images);
        self.problem.x.images().div_ceil(images).min(self.most_parts())
    }

    /// A launch for each part where texels are copied for it, or one for all.
    fn shares(&self) -> Result<Vec<Share>> {
        let params = self.problem.params(self.problem.ends(Role::WeightGradient));
        if self.kernel()?.0.subgroup > 0 {
            return Ok(texel_pair_shares(&params));
        }
        let part_images = params.images.div_ceil(PARTS.min(self.most_parts()));
        let params = super::problem::Params { part_images, ..params };
        let blocks = params.outputs.div_ceil(8);
        Ok(vec![Share { params, x: None, w: None, y: None, blocks }])
    }

    fn kernel(&self) -> Result<(&'static Kernel, Tile)> {
        match self.choice.way.launch {
            Launching::Tiles(kernel, tiling) => Ok((kernel, tiling)),
            Launching::Filter(_) => {
                Err(Error::mismatch(self.name(), self.choice, "a row of weights"))
            }
        }
    }

    fn sum(&self, to: &mut Recording, parts: u32, buffers: [BufferId; 2]) -> Result<()> {
        let weights = self.problem.w.elements();
        let params = SumParams { weights, parts };
        to.dispatch(&SUM_PARTS, &[], params, &buffers, Recording::grid(weights, 64)).map(drop)
    }
}

impl Op for PackedWeightGradient {
    fn name(&self) -> &'static str {
        "packed_weight_gradient"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x] = exactly(self.name(), "inputs", inputs)?;
        let Problem { x: of_x, y, w, .. } = self.problem;
        x.expect(self.name(), of_x)?;
        dy.expect(self.name(), y)?;
        Ok(vec![w, Shape::matrix(self.parts(&self.shares()?), w.elements())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, x, dw, partials] = exactly(self.name(), "buffers", launch.buffers)?;
        let (kernel, tiling) = self.kernel()?;
        let shares = self.shares()?;
        let parts = self.parts(&shares);
        for Share { mut params, x: of_x, y: of_dy, blocks, .. } in shares {
            let Tiling { constants, tiles, workgroup, blocks: own, phases } =
                tiling(&params, false, self.choice.size);
            let number = params.first_image / params.part_images;
            params.first_part = number % parts;
            params.epilogue = u32::from(number >= parts);
            let buffers = [
                Binding { buffer: dy, part: of_dy },
                Binding { buffer: x, part: of_x },
                partials.into(),
            ];
            let grid = [tiles.div_ceil(workgroup), blocks.div_ceil(own), phases];
            launch.to.dispatch(kernel, &constants, params, &buffers, grid)?;
        }
        self.sum(launch.to, parts, [partials, dw])
    }

    fn flops(&self, _: &[Shape], _: &[Shape]) -> u64 {
        self.problem.flops()
    }
}
