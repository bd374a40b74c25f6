//! The fast convolution: weights packed eight output channels side by side, register tiles, and what
//! follows it in the network done before the store. Rewrites put it in place of [`Conv2d`] and
//! [`Conv2dInputGradient`](super::Conv2dInputGradient).

use super::ReluMask;
use super::conv2d::Conv2d;
use super::conv2d_launch::{
    GemmTile, NATIVE, Params, reads_texels, storage_shares, texel_shares, variant,
};
use super::epilogue::{Epilogue, Residual};
use super::pack_weights::PackWeights;
use super::packed_kernels::*;
use super::winograd::Winograd;
use crate::gpu::{Adapter, AdapterKind, Binding, Kernel, Preferences, Words};
use crate::graph::{Launch, Op, Shape};
use crate::{Error, Result};

/// A convolution (inputs x, packed weights) or its derivative for x (inputs dy, packed weights), then
/// what the epilogue takes; output y or dx, and its bits where the epilogue says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedConv2d {
    /// Stride and padding.
    pub conv: Conv2d,
    /// Shape of the convolution's x.
    pub x: Shape,
    /// Shape of its weights before packing.
    pub w: Shape,
    /// The derivative for x.
    pub transposed: bool,
    /// Winograd's filtering, if it is computed by one: [`Winograd::of`].
    pub winograd: Option<Winograd>,
    /// Whether its weights are in half precision, with which the rest, and all sums, are not: each is off by at most
    /// 2^-11 of itself, sums of n products of random numbers by some 2^-12 of their own deviation. Not of a filter.
    pub half: bool,
    /// What is done before the store.
    pub epilogue: Epilogue,
}

/// A kernel as it is to be launched.
struct Chosen {
    kernel: &'static Kernel,
    constants: Vec<(&'static str, f64)>,
    /// Tiles of an image and eight output channels.
    tiles: u32,
    /// Of those, in a workgroup.
    workgroup: u32,
    /// Blocks of eight output channels, in a workgroup.
    blocks: u32,
    /// Workgroups in z.
    phases: u32,
}

/// The scratch buffer that takes the place of bits.
const UNUSED: usize = 0;

/// Which kernel computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Winograd,
    Quads,
    Point,
    Halve,
    Double,
    Taps,
}

impl PackedConv2d {
    /// How its weights are to be packed.
    pub fn packing(&self) -> PackWeights {
        let way = self.way();
        PackWeights {
            transposed: self.transposed,
            flipped: self.transposed && way == Way::Quads,
            winograd: self.winograd,
            half: self.half,
        }
    }

    /// Whether weights are packed in half precision: where that is asked for, but on CPU rasterisers, which convert slowly.
    pub fn is_halved(adapter: &Adapter, preferences: &Preferences) -> bool {
        NATIVE && preferences.half_weights && adapter.kind != AdapterKind::Cpu
    }

    /// Whether the epilogue can write bits: where a tile's four columns are a word's, and not of a derivative.
    pub fn writes_bits(&self) -> bool {
        let columns = self.conv.output(self.x, self.w).map_or(0, Shape::width);
        !self.transposed && (columns.is_multiple_of(4) || self.way() == Way::Taps)
    }

    fn way(&self) -> Way {
        let [_, _, rows, columns] = self.w.sides();
        let [_, _, height, width] = self.x.sides();
        if self.winograd.is_some() {
            return Way::Winograd;
        }
        let (conv, kernel, eights) = (self.conv, (rows, columns), width.is_multiple_of(8));
        if conv == Conv2d::square(1, 1) && kernel == (3, 3) && (eights || width == 4) {
            return Way::Quads;
        }
        if conv == Conv2d::square(1, 0) && kernel == (1, 1) && (height * width).is_multiple_of(4) {
            return Way::Point;
        }
        let small = conv == Conv2d::square(2, 0) && kernel == (1, 1);
        let halves = small || conv == Conv2d::square(2, 1) && kernel == (3, 3);
        match halves && eights && height.is_multiple_of(2) {
            true if self.transposed => Way::Double,
            true if small => Way::Point,
            true => Way::Halve,
            false => Way::Taps,
        }
    }

    /// Shapes of what is read and of what is written.
    fn ends(&self) -> Result<(Shape, Shape)> {
        let y = self.conv.output(self.x, self.w)?;
        Ok(if self.transposed { (y, self.x) } else { (self.x, y) })
    }

    fn params(&self) -> Result<Params> {
        let ([images, inputs, height, width], [_, outputs, out_height, out_width]) = {
            let (read, written) = self.ends()?;
            (read.sides(), written.sides())
        };
        let [_, _, kernel_height, kernel_width] = self.w.sides();
        let ([stride_y, stride_x], [pad_y, pad_x]) = (self.conv.stride, self.conv.padding);
        Ok(Params {
            inputs,
            height,
            width,
            outputs,
            out_height,
            out_width,
            kernel_height,
            kernel_width,
            stride_y,
            stride_x,
            pad_y,
            pad_x,
            first_image: 0,
            images,
            first_block: 0,
            x_skip: 0,
            w_skip: 0,
            y_skip: 0,
            first_part: 0,
            part_images: 0,
            epilogue: self.epilogue.flags(),
        })
    }

    /// The kernel of CPU rasterisers without subgroups of eight, with the tiles of a plane.
    fn tall(&self, params: &Params) -> Option<(&'static Kernel, u32)> {
        let squares = |width: u32, height: u32, side: u32| width / side * height.div_ceil(side);
        match self.way() {
            Way::Quads if params.is_in_eights() => {
                Some((&TALL, squares(params.width, params.height, 8)))
            }
            Way::Halve => Some((&HALVE_TALL, squares(params.out_width, params.out_height, 4))),
            Way::Double if params.kernel_width == 3 => {
                Some((&DOUBLE_TALL, params.width / 4 * params.height.div_ceil(2)))
            }
            _ => None,
        }
    }

    /// Quads of an image and eight output channels, of one of so many phases: a strided derivative's rows and columns fall
    /// into phases that meet different taps.
    fn phases(&self, params: &Params) -> (u32, u32) {
        let [every_y, every_x] = if self.transposed { self.conv.stride } else { [1, 1] };
        let across = params.out_width.div_ceil(every_x).div_ceil(4);
        (params.out_height.div_ceil(every_y) * across, every_y * every_x)
    }

    fn gemm(&self, params: &Params, GemmTile { blocks, pairs }: GemmTile) -> Chosen {
        let (tiles, phases) = self.phases(params);
        let side_by_side = !self.transposed || self.conv.stride[1] == 1;
        let quads = side_by_side && params.out_width.is_multiple_of(4);
        let constants = vec![
            // Of weights that are packed flipped, the derivative is a forward pass.
            ("TRANSPOSED", f64::from(self.transposed && !self.packing().flipped)),
            ("BLOCKS", f64::from(blocks)),
            ("PAIRS", f64::from(pairs)),
        ];
        let kernel = if quads { &GEMM } else { &GEMM_WORDS };
        Chosen { kernel, constants, tiles, workgroup: 2 * pairs, blocks, phases }
    }

    fn direct(&self, params: &Params, workgroup: u32, texels: bool, one_for_all: bool) -> Chosen {
        let mut constants = vec![("WORKGROUP", f64::from(workgroup))];
        if one_for_all && let Some((kernel, tiles)) = self.tall(params) {
            return Chosen { kernel, constants, tiles, workgroup, blocks: 1, phases: 1 };
        }
        let way = self.way();
        if !matches!(way, Way::Taps | Way::Winograd) {
            constants.push(("CHANNELS", f64::from(params.outputs.min(8))));
        }
        let pick = |reads: &'static Reads| match (texels, NATIVE && self.half) {
            (true, _) => &reads.texels,
            (false, true) => &reads.half,
            (false, false) => &reads.storage,
        };
        let (kernel, tiles, phases) = match way {
            Way::Winograd => {
                let across = params.width / 4;
                let neighbours = across.is_multiple_of(8) || 8 % across == 0;
                constants.push(("NEIGHBOURS", f64::from(neighbours)));
                (&WINOGRAD, across * params.height.div_ceil(8), 1)
            }
            Way::Quads => {
                constants.push(("NARROW", f64::from(params.width == 4)));
                let [across, high] = if params.width == 4 { [1, 4] } else { [params.width / 8, 2] };
                (pick(&QUADS), across * params.height.div_ceil(high), 1)
            }
            Way::Point => {
                constants.push(("STRIDE", f64::from(params.stride_x)));
                (pick(&POINT), (params.out_width * params.out_height).div_ceil(8), 1)
            }
            Way::Halve => (pick(&HALVE), params.out_width / 4 * params.out_height.div_ceil(2), 1),
            Way::Double => {
                constants.push(("POINT", f64::from(params.kernel_width == 1)));
                (pick(&DOUBLE), params.width / 4 * params.height, 1)
            }
            Way::Taps => {
                constants.push(("TRANSPOSED", f64::from(self.transposed)));
                constants.push(("STRIDE_Y", f64::from(params.stride_y)));
                constants.push(("STRIDE_X", f64::from(params.stride_x)));
                let (tiles, phases) = self.phases(params);
                (pick(&TAPS), tiles, phases)
            }
        };
        Chosen { kernel, constants, tiles, workgroup, blocks: 1, phases }
    }
}

impl Op for PackedConv2d {
    fn name(&self) -> &'static str {
        if self.transposed { "packed_conv2d_input_gradient" } else { "packed_conv2d" }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let (read, written) = self.ends()?;
        let filtered = NATIVE && self.winograd.is_some();
        if filtered && !Winograd::filters(self.conv, self.x, self.w) {
            let given = format_args!("{:?} of {} by {}", self.conv, self.x, self.w);
            let wanted = "3x3, stride 1, padding 1, rows of whole quads, to be filtered";
            return Err(Error::mismatch(self.name(), given, wanted));
        }
        let Epilogue { affine, mask, residual, bits, .. } = self.epilogue;
        let mut wanted = vec![read];
        wanted.extend(self.packing().outputs(&[self.w])?);
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
            let given = format_args!("{inputs:?}");
            return Err(Error::mismatch(self.name(), given, format_args!("{wanted:?}")));
        }
        if bits && !self.writes_bits() {
            return Err(Error::mismatch(self.name(), written, "rows of whole quads, for bits"));
        }
        Ok(if bits { vec![written, ReluMask::of(written)?] } else { vec![written] })
    }

    fn anywhere(&self) -> &[usize] {
        if self.epilogue.bits { &[1] } else { &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let few = || Error::mismatch("packed_conv2d", "too few values", "x, w and y");
        let params = self.params()?;
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
        let filter = self.winograd.filter(|&filter| filter != Winograd::Fused);
        if let Some(filter) = filter.filter(|_| NATIVE) {
            let buffers = [*x, *w, of_affine, of_mask, of_residual, y.into(), bits_buffer];
            return filter.record(launch.to, &params, buffers);
        }
        // These read weights that are packed plainly.
        let tiles = if self.way() == Way::Winograd || self.half { 0 } else { 2 };
        let variant = variant(launch.to, self.name(), &params, tiles)?;
        let adapter = launch.to.adapter();
        let texels = reads_texels(adapter);
        // Other CPU rasterisers compile slowly: there the launch says what constants say elsewhere.
        let one_for_all = adapter.kind == AdapterKind::Cpu && !texels;
        let shares = if texels {
            let taps = if self.winograd.is_some() {
                36
            } else {
                params.kernel_height * params.kernel_width
            };
            texel_shares(&params, taps, residual != Residual::None)
        } else {
            storage_shares(&params, NATIVE && self.half, adapter.max_binding)?
        };
        let chosen = match variant.tile() {
            Some(tile) => self.gemm(&params, tile),
            None => self.direct(&params, variant.workgroup, texels, one_for_all),
        };
        let Chosen { kernel, mut constants, tiles, workgroup, blocks, phases } = chosen;
        if texels {
            constants.extend(self.epilogue.constants());
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
            launch.to.dispatch(kernel, &constants, share.params, &buffers, grid)?;
        }
        Ok(())
    }

    fn flops(&self, _: &[Shape], _: &[Shape]) -> u64 {
        self.conv.params(self.x, self.w).map_or(0, |params| params.flops())
    }
}
