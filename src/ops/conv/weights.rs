//! The fast derivative of a convolution for its weights: images are divided into parts, each is summed on its own, and the parts
//! are added in order, so that the result has the same bits each time without atomics (split-K).

use super::kernels::shader;
use super::problem::{ConvRole, Params, Problem};
use super::problems::FULL;
use super::runs::{Run, times};
use super::shares::{Share, even, pair_images_at_once, pair_share};
use super::table::{Choice, Launching};
use super::tiling::{Tile, Tiling};
use crate::gpu::{Access::*, Binding, BufferId, Kernel, Recording, Trust, uniform};
use crate::graph::{Halves, Launch, Op, Shape, exactly};
use crate::ops::walk::check_turns;
use crate::{Error, Result};

/// Parts that images are cut into where texels do not cut them and every invocation computes by itself.
const PARTS: u32 = 16;
/// The most parts of a weight gradient that whole workgroups sum where fewer would not fill a GPU: the kernel that adds
/// them up goes through all of them.
const MOST_FILLING: u32 = 128;
/// Words of all parts together, at most, where one does not take more: 32 MiB, which every adapter binds.
const PART_WORDS: u32 = 1 << 23;
/// Parts that are kept, at most: they are added up by a loop, and lie in one dimension of a grid.
const MOST_PARTS: u32 = 1 << 15;

uniform! {
    struct SumParams { weights: u32, parts: u32 }
}

/// The kernel that adds up the partial sums of dw, the derivative for a convolution's weights.
pub static SUM_PARTS: Kernel = Kernel {
    name: "conv2d_sum_parts",
    source: &[shader!("conv2d_sum_parts"), shader!("shared/index")],
    params: SumParams::LAYOUT,
    bindings: &[("partials", Read), ("dw", Write)],
    subgroup: 0,
    trust: Trust::OWN,
};

/// The derivative of a convolution for its weights, as partial sums that are then added up. Inputs dy and x; outputs dw, and the
/// parts, which are scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedWeightGradient {
    /// The convolution's shapes and settings.
    pub problem: Problem,
    /// The row of the table of convolution kernels that computes the op, with the size of its workgroups.
    pub choice: Choice,
    /// The largest number of operations of one launch, unless a single image has more: see [`most_work`](super::most_work).
    pub most_work: u64,
}

impl PackedWeightGradient {
    /// Parts that are kept until they are added up; further launches add to these.
    fn most_parts(&self) -> u32 {
        (PART_WORDS / self.problem.w.elements()).clamp(1, MOST_PARTS)
    }

    /// The launches, and how many parts they keep. A part is summed by one invocation for each weight: of a run of images,
    /// all of the same length but the last, that is no longer than its loops may be ([`Lines`](super::runs::Lines)), or of
    /// some of their lines, where the images alone fill no GPU.
    fn shares(&self) -> Result<(Vec<Share>, u32)> {
        let (kernel, tiling) = self.kernel()?;
        let texels = kernel.bindings.iter().any(|(_, access)| matches!(access, Texels));
        let filling = self.choice.way.launches_groups();
        let problem = if filling { self.problem.in_longer_rows() } else { self.problem };
        let whole = problem.params(problem.ends(ConvRole::WeightGradient));
        let Tiling { lines, tiles, workgroup, blocks, .. } =
            tiling(&whole, false, self.choice.size);
        let work = problem.image_flops();
        let run = lines.run(work, self.most_work);
        let wanted = if filling {
            let of_one = tiles.div_ceil(workgroup) * whole.outputs.div_ceil(8 * blocks);
            FULL.div_ceil(of_one).min(MOST_FILLING)
        } else {
            PARTS
        };
        let wanted = wanted.min(self.most_parts());
        let most = if texels { pair_images_at_once(&whole) } else { whole.images.div_ceil(wanted) };
        let part_images = if run.images < most { even(whole.images, run.images) } else { most };
        let all = whole.images.div_ceil(part_images);
        let abreast_lines = if filling && run.lines == lines.count { wanted / all } else { 1 };
        let part_lines = run.lines.div_ceil(abreast_lines.max(1));
        let of_images = run.lines.div_ceil(part_lines); // parts
        let kept = all.min((self.most_parts() / of_images).max(1));
        // Side by side in a launch; what is copied to texels is one part's.
        let part_work = work.saturating_mul(part_images.into());
        let abreast = if texels { 1 } else { times(part_work, self.most_work).min(kept) };
        let mut shares = Vec::new();
        for round in (0..all).step_by(kept as usize) {
            let end = all.min(round + kept);
            for part in (round..end).step_by(abreast as usize) {
                let first_image = part * part_images;
                let images =
                    (abreast.min(end - part) * part_images).min(whole.images - first_image);
                for first_line in (0..lines.count).step_by(run.lines as usize) {
                    let params = Params {
                        first_image,
                        images,
                        first_part: (part - round) * of_images,
                        part_images,
                        part_lines,
                        epilogue: u32::from(round > 0 || first_line > 0),
                        first_line,
                        lines: run.lines.min(lines.count - first_line),
                        ..whole
                    };
                    shares.push(pair_share(params, texels));
                }
            }
        }
        Ok((shares, kept * of_images))
    }

    fn kernel(&self) -> Result<(&'static Kernel, Tile)> {
        match self.choice.way.launch {
            Launching::Tiles(kernel, tiling) => Ok((kernel, tiling)),
            Launching::Filter(_) => {
                let given = format_args!("the kernel {}", self.choice);
                Err(Error::mismatch(self.name(), given, "a kernel for weight gradients"))
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
        Ok(vec![w, Shape::matrix(self.shares()?.1, w.elements())?])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, x, dw, partials] = exactly(self.name(), "buffers", launch.buffers)?;
        let (kernel, tiling) = self.kernel()?;
        let (shares, parts) = self.shares()?;
        for Share { params, x: of_x, y: of_dy, blocks, .. } in shares {
            let Tiling { constants, tiles, workgroup, blocks: own, phases, lines } =
                tiling(&params, false, self.choice.size);
            let lines_of_part = params.lines.min(params.part_lines);
            let run = Run { images: params.images.min(params.part_images), lines: lines_of_part };
            check_turns(launch.to, kernel.name, lines.turns(run))?;
            let buffers = [
                Binding { buffer: dy, part: of_dy },
                Binding { buffer: x, part: of_x },
                partials.into(),
            ];
            let grid = [tiles.div_ceil(workgroup), blocks.div_ceil(own), phases];
            let [across, up, _] = grid;
            let whole = u64::from(across * workgroup) * u64::from(8 * own * up);
            let of_image = self.problem.image_flops() * u64::from(params.images);
            let of_lines = of_image * u64::from(params.lines) / u64::from(lines.count.max(1));
            let sums = u64::from(tiles) * u64::from(params.outputs);
            let dispatch = launch.to.dispatch(kernel, &constants, params, &buffers, grid)?;
            if self.choice.way.launches_groups() {
                let flops = u128::from(of_lines) * u128::from(whole) / u128::from(sums.max(1));
                dispatch.lane_flops = u64::try_from(flops).unwrap_or(u64::MAX);
            }
        }
        self.sum(launch.to, parts, [partials, dw])
    }

    fn flops(&self, _: &[Shape], _: &[Shape]) -> u64 {
        self.problem.flops()
    }

    fn row(&self) -> &'static str {
        self.choice.way.name
    }
}
