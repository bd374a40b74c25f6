//! The fast convolution and its derivative for x, with weights packed for the kernel that the table of convolutions
//! (`table.rs`) chose. Ops that follow it in the network are fused into it: done before its results are stored.

use super::epilogue::{Epilogue, Residual};
use super::kernels::{SUM_SLICES, SUM_SLICES_WORDS};
use super::pack::{PackWeights, WeightLayout};
use super::problem::{ConvRole, Params, Problem};
use super::problems::slices;
use super::shares::{Share, storage_shares, texel_shares};
use super::table::{Choice, Launching};
use super::tiling::Tiling;
use crate::gpu::{Access, Adapter, Binding, Kernel, Words};
use crate::graph::{Halves, Launch, Op, Shape};
use crate::ops::ReluMask;
use crate::ops::walk::check_turns;
use crate::{Error, Result};

/// A convolution (inputs x, packed weights) or its derivative for x (inputs dy, packed weights), then what the epilogue
/// takes; output y or dx, and its bits where the epilogue says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedConv2d {
    /// The convolution's shapes and settings.
    pub problem: Problem,
    /// Whether the op computes the convolution or its derivative for x.
    pub role: ConvRole,
    /// The row of the table of convolution kernels that computes the op, with the size of its workgroups.
    pub choice: Choice,
    /// The operations on the convolution's sums before they are stored.
    pub epilogue: Epilogue,
}

/// Overrides, with their names.
type Constants = [(&'static str, f64)];

/// The scratch buffer that takes the place of bits.
const UNUSED: usize = 0;
/// The number of the scratch buffer for sums of slices; the numbers before it are winograd.rs's.
const SLICES: usize = 3;
/// A slice's input channels are a multiple of this number, so that all kernels read whole slabs.
const SLAB: u32 = 16;

impl PackedConv2d {
    /// Returns the op that packs this convolution's weights.
    pub fn packing(&self) -> PackWeights {
        let transposed = self.role == ConvRole::InputGradient;
        let way = self.choice.way;
        PackWeights { transposed, flipped: transposed && way.flips, layout: way.layout }
    }

    /// Returns whether the convolution's epilogue can write bits of a mask: where a tile's four columns are a word's, and not of
    /// a derivative.
    pub fn writes_bits(&self) -> bool {
        let quads = self.problem.y.width().is_multiple_of(4);
        self.role == ConvRole::Forward && (quads || self.choice.way.any_width)
    }

    /// The launches of a way whose kernel reads texels, or buffers.
    fn shares(&self, texels: bool, tiling: &Tiling, adapter: &Adapter) -> Result<Vec<Share>> {
        let params = self.problem.params(self.problem.ends(self.role));
        let params = Params { epilogue: self.epilogue.flags(), ..params };
        if !texels {
            let per_image = (tiling.tiles, tiling.workgroup);
            return storage_shares(&params, per_image, self.problem.image_flops(), adapter);
        }
        let taps = match self.choice.way.layout {
            WeightLayout::Winograd(_) => 36,
            _ => params.kernel_height * params.kernel_width,
        };
        Ok(texel_shares(&params, taps, self.epilogue.residual != Residual::None))
    }

    /// The operations of all lanes of so many workgroups, whether or not what they sum is stored.
    fn lane_flops(&self, [across, blocks, phases]: [u32; 3]) -> u64 {
        let Choice { way, size } = self.choice;
        let groups = u128::from(across) * u128::from(blocks) * u128::from(phases);
        let sums = groups * u128::from(way.sums(size).unwrap_or(0));
        let stored = self.problem.ends(self.role).1.elements();
        let flops = u128::from(self.problem.flops()) * sums / u128::from(stored.max(1));
        u64::try_from(flops).unwrap_or(u64::MAX)
    }
}

impl PackedConv2d {
    /// Launches a convolution in slices of its input channels, each with a grid, and then the kernel that adds up their
    /// sums. `read` are x and the weights, `ends` what the epilogue reads and y and the bits.
    fn sliced(
        &self,
        launch: &mut Launch,
        (kernel, constants, [across, blocks, phases]): (&'static Kernel, &Constants, [u32; 3]),
        params: Params,
        read: [Binding; 2],
        ends: [Binding; 5],
    ) -> Result<()> {
        let to = &mut *launch.to;
        let wanted = slices(&self.problem, self.role);
        let slice_inputs = params.inputs.div_ceil(wanted).next_multiple_of(SLAB);
        let count = params.inputs.div_ceil(slice_inputs);
        let slice_words = self.problem.ends(self.role).1.elements();
        let params = Params { slice_inputs, slice_words, ..params };
        let Some(words) = slice_words.checked_mul(count) else {
            return Err(Error::mismatch(
                kernel.name,
                format_args!("an output of {slice_words} elements"),
                format_args!(
                    "fewer than 2^32 elements in its {count} partial sums, one for each slice of input channels"
                ),
            ));
        };
        let part = Some(Words { first: 0, count: words });
        let sums = Binding { buffer: to.scratch(SLICES, words), part };
        let [x, w] = read;
        let [affine, mask, residual, y, bits] = ends;
        let unused = Binding { part: Some(Words { first: 0, count: 4 }), ..w };
        let alone = Params { epilogue: 0, ..params };
        let buffers = [x, w, unused, unused, unused, sums, bits];
        let lane_flops = self.lane_flops([across, blocks, phases]);
        let grid = [across, blocks, phases * count];
        to.dispatch(kernel, constants, alone, &buffers, grid)?.lane_flops = lane_flops;
        let quads = params.out_width.is_multiple_of(4);
        let sum = if quads { &SUM_SLICES } else { &SUM_SLICES_WORDS };
        let all = params.images * params.out_height * params.out_width.div_ceil(4);
        let grid = [all.div_ceil(64), params.outputs.div_ceil(8), 1];
        let buffers = [sums, unused, affine, mask, residual, y, bits];
        to.dispatch(sum, &[], params, &buffers, grid).map(drop)
    }
}

impl Op for PackedConv2d {
    fn name(&self) -> &'static str {
        if self.role == ConvRole::Forward {
            "packed_conv2d"
        } else {
            "packed_conv2d_input_gradient"
        }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let way = self.choice.way;
        if !way.computes(&self.problem, self.role) {
            let Problem { x, w, stride, padding, groups, .. } = self.problem;
            let given = format_args!(
                "{} for x {x}, weights {w}, stride {stride:?}, padding {padding:?}, groups {groups}",
                way.name
            );
            let wanted = format_args!("a problem that it computes: {}", way.problems.0);
            return Err(Error::mismatch(self.name(), given, wanted));
        }
        let (read, written) = self.problem.ends(self.role);
        let Epilogue { affine, mask, residual, bits, .. } = self.epilogue;
        let mut wanted = vec![read];
        wanted.extend(self.packing().outputs(&[self.problem.w])?);
        if affine || mask {
            wanted.push(Shape::matrix(2, written.channels())?);
        }
        if mask {
            wanted.push(ReluMask::of(written)?);
        }
        if residual != Residual::None {
            wanted.push(written);
        }
        if inputs != wanted {
            let [given, wanted] = [inputs, &wanted[..]]
                .map(|all| all.iter().map(Shape::to_string).collect::<Vec<_>>());
            return Err(Error::mismatch(self.name(), given.join(", "), wanted.join(", ")));
        }
        if bits && !self.writes_bits() {
            let needed = "a forward convolution's output of a width divisible by 4, as its ReLU mask is written too";
            return Err(Error::mismatch(self.name(), written, needed));
        }
        Ok(if bits { vec![written, ReluMask::of(written)?] } else { vec![written] })
    }

    fn anywhere(&self) -> &[usize] {
        if self.epilogue.bits { &[1] } else { &[] }
    }

    fn halves(&self) -> Halves {
        let Epilogue { affine, mask, residual, .. } = self.epilogue;
        // x, the packed weights and, behind the factors and the mask, the residual.
        let inputs: &[usize] = match (residual != Residual::None, affine || mask, mask) {
            (false, ..) => &[0, 1],
            (true, false, _) => &[0, 1, 2],
            (true, true, false) => &[0, 1, 3],
            (true, true, true) => &[0, 1, 4],
        };
        Halves { inputs, outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let few =
            || Error::mismatch("packed_conv2d", "too few buffers", "inputs x and w, and output y");
        let bindings = launch.bindings();
        let [x, w, extra @ ..] = &bindings[..] else { return Err(few()) };
        let Epilogue { affine, mask, residual, bits, .. } = self.epilogue;
        let mut extra = extra.iter().copied();
        let mut next = |wanted: bool| wanted.then(|| extra.next()).flatten();
        let affine_buffer = next(affine || mask);
        let (mask_buffer, residual_buffer) = (next(mask), next(residual != Residual::None));
        let y = next(true).ok_or_else(few)?.buffer;
        // What is written has to be bound to something that is not read.
        let bits_buffer = next(bits).unwrap_or_else(|| launch.to.scratch(UNUSED, 4).into());
        // What the flags leave out is bound to the first weights.
        let unused = Binding { part: Some(Words { first: 0, count: 4 }), ..*w };
        let [of_affine, of_mask, of_residual] =
            [affine_buffer, mask_buffer, residual_buffer].map(|given| given.unwrap_or(unused));
        let all = self.problem.params(self.problem.ends(self.role));
        let Choice { way, size } = self.choice;
        let (kernel, tiling) = match way.launch {
            Launching::Filter(filter) => {
                let params = Params { epilogue: self.epilogue.flags(), ..all };
                let buffers = [*x, *w, of_affine, of_mask, of_residual, y.into(), bits_buffer];
                return filter.record(launch.to, &params, size, buffers);
            }
            Launching::Tiles(kernel, tiling) => {
                (kernel, tiling(&all, self.role == ConvRole::InputGradient, size))
            }
        };
        let texels = kernel.bindings.iter().any(|(_, access)| *access == Access::Texels);
        let shares = self.shares(texels, &tiling, launch.to.adapter())?;
        check_turns(launch.to, kernel.name, tiling.lines.turns)?;
        let Tiling { mut constants, tiles, workgroup, blocks, phases, .. } = tiling;
        if texels {
            constants.extend(self.epilogue.constants());
        }
        if let (true, [share]) = (way.slices, &shares[..]) {
            let grid = [
                (share.params.images * tiles).div_ceil(workgroup),
                share.blocks.div_ceil(blocks),
                phases,
            ];
            let ends =
                [of_affine, of_mask, residual_buffer.unwrap_or(unused), y.into(), bits_buffer];
            return self.sliced(launch, (kernel, &constants, grid), share.params, [*x, *w], ends);
        }
        for share in shares {
            let buffers = [
                Binding { part: share.x, ..*x },
                Binding { part: share.w, ..*w },
                of_affine,
                of_mask,
                residual_buffer.map_or(unused, |all| Binding { part: share.y, ..all }),
                y.into(),
                bits_buffer,
            ];
            let across = (share.params.images * tiles).div_ceil(workgroup);
            let grid = [across, share.blocks.div_ceil(blocks), phases];
            let dispatch = launch.to.dispatch(kernel, &constants, share.params, &buffers, grid)?;
            dispatch.lane_flops = self.lane_flops(grid);
        }
        Ok(())
    }

    fn flops(&self, _: &[Shape], _: &[Shape]) -> u64 {
        self.problem.flops()
    }

    fn row(&self) -> &'static str {
        self.choice.way.name
    }
}
