//! The fast convolution: weights packed eight output channels side by side, register tiles, and what
//! follows a convolution in the network done before its store. Rewrites put these in place of `conv2d`.

use super::conv2d::{Conv2d, Params};
use crate::gpu::{Access::*, Adapter, AdapterKind, Kernel, Recording, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct PackParams { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }
}

/// Packed weights of w.
pub static PACK: Kernel = Kernel {
    name: "conv2d_pack",
    source: concat!(
        include_str!("../../shaders/conv2d_pack.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ),
    params: PackParams::LAYOUT,
    bindings: &[("w", Read), ("packed", Write)],
    subgroup: 0,
};

/// The bindings all tiled kernels share.
const BINDINGS: &[(&str, crate::gpu::Access)] = &[
    ("x", Read),
    ("w", Read),
    ("affine", Read),
    ("mask", Read),
    ("residual", Read),
    ("y", Write),
];

macro_rules! tiled {
    ($name:literal, $file:literal, $octet:literal, $subgroup:literal) => {
        Kernel {
            name: $name,
            source: concat!(
                include_str!(concat!("../../shaders/", $file)),
                include_str!("../../shaders/shared/conv2d_params.wgsl"),
                include_str!("../../shaders/shared/epilogue.wgsl"),
                include_str!(concat!("../../shaders/shared/", $octet)),
            ),
            params: Params::LAYOUT,
            bindings: BINDINGS,
            subgroup: $subgroup,
        }
    };
}

/// 3x3, stride 1, padding 1, widths of whole quads.
pub static FAST_3X3: Kernel = tiled!("conv2d_3x3", "conv2d_3x3.wgsl", "octet_plain.wgsl", 0);
/// The same with weights broadcast between lanes.
pub static FAST_3X3_BROADCAST: Kernel =
    tiled!("conv2d_3x3_broadcast", "conv2d_3x3.wgsl", "octet_subgroup.wgsl", 8);

/// Input w \[O, I, R, C\]; output the packed weights \[O / 8 rounded up, I, R C, 8\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackWeights {
    /// I in the place of O.
    pub transposed: bool,
    /// Rows and columns from the last to the first.
    pub flipped: bool,
}

impl Op for PackWeights {
    fn name(&self) -> &'static str {
        PACK.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [w] = exactly(self.name(), "inputs", inputs)?;
        let [o, i, rows, columns] = w.sides();
        let (many, other) = if self.transposed { (i, o) } else { (o, i) };
        Ok(vec![Shape::new(many.div_ceil(8), other, rows * columns, 8)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [w] = exactly(self.name(), "inputs", launch.inputs)?;
        let [packed] = exactly(self.name(), "outputs", launch.outputs)?;
        let [outputs, inputs, kernel_height, kernel_width] = w.sides();
        let params = PackParams { outputs, inputs, kernel_height, kernel_width };
        let constants =
            [("TRANSPOSED", f64::from(self.transposed)), ("FLIPPED", f64::from(self.flipped))];
        let grid = Recording::grid(packed.elements(), 64);
        launch.to.dispatch(&PACK, &constants, params, launch.buffers, grid).map(drop)
    }
}

/// Where a residual is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residual {
    /// Nowhere.
    #[default]
    None,
    /// To the convolution itself.
    First,
    /// After everything but the rectifier.
    Last,
}

/// What is done before the store; each flag but `relu` takes one more input, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// Times scale plus shift of an input \[2, O\]; with a mask the scale alone.
    pub affine: bool,
    /// Zero where an input of y's shape is not above 0.
    pub mask: bool,
    /// Adds an input of y's shape.
    pub residual: Residual,
    /// Zero below 0.
    pub relu: bool,
}

/// Inputs x, packed weights and what the epilogue takes; output y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TiledConv2d {
    /// Stride and padding.
    pub conv: Conv2d,
    /// Shape of the weights before packing.
    pub w: Shape,
    /// What is done before the store.
    pub epilogue: Epilogue,
}

impl TiledConv2d {
    /// Whether this adapter and these sizes are ones the kernels are made for.
    pub fn fits(conv: &Conv2d, w: Shape) -> bool {
        conv.stride.iter().all(|&stride| stride <= 2) && w.width() <= 9
    }
}

impl Op for TiledConv2d {
    fn name(&self) -> &'static str {
        "conv2d_tiled"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let (x, rest) = inputs.split_first().ok_or_else(|| Error::mismatch(self.name(), 0, "x"))?;
        let y = self.conv.output(*x, self.w)?;
        let Epilogue { affine, mask, residual, .. } = self.epilogue;
        let packed = PackWeights { transposed: false, flipped: false }.outputs(&[self.w])?;
        let mut wanted = packed;
        if affine || mask {
            wanted.push(Shape::matrix(2, y.channels())?);
        }
        wanted.extend([mask, residual != Residual::None].iter().filter(|&&is| is).map(|_| y));
        if rest != wanted {
            let given = format_args!("{rest:?}");
            return Err(Error::mismatch(self.name(), given, format_args!("{wanted:?}")));
        }
        Ok(vec![y])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let few = || Error::mismatch("conv2d_tiled", "too few values", "x, w and y");
        let x = *launch.inputs.first().ok_or_else(few)?;
        let params = self.conv.params(x, self.w)?;
        let [x_buffer, w_buffer, extra @ .., y_buffer] = launch.buffers else { return Err(few()) };
        let Epilogue { affine, mask, residual, relu } = self.epilogue;
        let mut extra = extra.iter().copied();
        let mut next = |wanted: bool| wanted.then(|| extra.next()).flatten().unwrap_or(*x_buffer);
        let affine_buffer = next(affine || mask);
        let (mask_buffer, residual_buffer) = (next(mask), next(residual != Residual::None));
        let buffers =
            [*x_buffer, *w_buffer, affine_buffer, mask_buffer, residual_buffer, *y_buffer];
        let constants = [
            ("AFFINE", f64::from(affine && !mask)),
            ("MASK", f64::from(mask)),
            ("RELU", f64::from(relu)),
            ("RESIDUAL", f64::from(residual as u32)),
        ];
        let broadcast = broadcasts(launch.to.adapter());
        let kernel = if broadcast { &FAST_3X3_BROADCAST } else { &FAST_3X3 };
        let pairs = params.images * (params.height * params.width / 4).div_ceil(2);
        let [gx, gy, _] = Recording::grid(pairs, 64);
        let grid = [gx, gy, params.outputs.div_ceil(8)];
        launch.to.dispatch(kernel, &constants, params, &buffers, grid).map(drop)
    }

    fn flops(&self, inputs: &[Shape], _: &[Shape]) -> u64 {
        let params = inputs.first().and_then(|&x| self.conv.params(x, self.w).ok());
        params.map_or(0, |params| params.flops())
    }
}

/// Broadcasting pays where a load costs as much as its lanes: on CPU rasterisers.
fn broadcasts(adapter: &Adapter) -> bool {
    adapter.kind == AdapterKind::Cpu && adapter.subgroup.is_some_and(|size| size >= 8)
}

