//! Weights as the packed convolutions read them: eight output channels side by side, or transformed for Winograd's filtering.

use super::conv2d_launch::{NATIVE, natively, text};
use super::winograd::Winograd;
use crate::gpu::{Access::*, Binding, Kernel, Recording, Words, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct PackParams { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }
}

/// Packed weights of w.
pub static PACK: Kernel = Kernel {
    name: "conv2d_pack",
    source: &[
        include_str!("../../shaders/conv2d_pack.wgsl"),
        include_str!("../../shaders/shared/packed_weight.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: PackParams::LAYOUT,
    bindings: &[("w", Read), ("packed", Write)],
    subgroup: 0,
};

/// The same in half precision, two in a word.
pub static PACK_HALF: Kernel = natively(Kernel {
    name: "conv2d_pack_half",
    source: &[
        include_str!("../../shaders/conv2d_pack_half.wgsl"),
        include_str!("../../shaders/shared/packed_weight.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: PackParams::LAYOUT,
    bindings: &[("w", Read), ("packed", Write)],
    subgroup: 0,
});

/// Weights of w, transformed for [`WINOGRAD`].
pub static PACK_WINOGRAD: Kernel = Kernel {
    name: "conv2d_pack_winograd",
    source: text(
        &[
            include_str!("../../shaders/conv2d_pack_winograd.wgsl"),
            include_str!("../../shaders/shared/winograd_kernel.wgsl"),
            include_str!("../../shaders/shared/index.wgsl"),
        ],
        8,
    ),
    params: PackParams::LAYOUT,
    bindings: &[("w", Read), ("packed", Write)],
    subgroup: 0,
};

/// U of w, for the batched product of [`Winograd::Two`] and [`Winograd::Four`].
pub static WINOGRAD_WEIGHTS: Kernel = natively(Kernel {
    name: "winograd_weights",
    source: &[
        include_str!("../../shaders/winograd_weights.wgsl"),
        include_str!("../../shaders/shared/winograd_kernel.wgsl"),
        include_str!("../../shaders/shared/index.wgsl"),
    ],
    params: PackParams::LAYOUT,
    bindings: &[("w", Read), ("u", Write)],
    subgroup: 0,
});

/// Input w \[O, I, R, C\]; output the packed weights as a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackWeights {
    /// I in the place of O.
    pub transposed: bool,
    /// Rows and columns from the last to the first.
    pub flipped: bool,
    /// Transformed for a filter: 36 or 16 for the 9 of a pair of channels.
    pub winograd: Option<Winograd>,
    /// Two in a word, in half precision; not transformed.
    pub half: bool,
}

impl PackWeights {
    /// Words of packed weights for those of a shape.
    pub fn words(&self, w: Shape) -> Result<u32> {
        let [o, i, rows, columns] = w.sides();
        let (many, other) = if self.transposed { (i, o) } else { (o, i) };
        let points = |filter: Winograd| (filter.points(), filter.points());
        let (rows, columns) = self.winograd.map_or((rows, columns), points);
        let packed = Shape::new(many.next_multiple_of(8), other, rows, columns)?.elements();
        Ok(if NATIVE && self.half { packed / 2 } else { packed })
    }
}

impl Op for PackWeights {
    fn name(&self) -> &'static str {
        match self.winograd.filter(|_| NATIVE) {
            None if NATIVE && self.half => PACK_HALF.name,
            None => PACK.name,
            Some(Winograd::Fused) => PACK_WINOGRAD.name,
            Some(Winograd::Two | Winograd::Four) => WINOGRAD_WEIGHTS.name,
        }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [w] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::vector(self.words(w)?)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [w] = exactly(self.name(), "inputs", launch.inputs)?;
        let [packed] = exactly(self.name(), "outputs", launch.outputs)?;
        let [outputs, inputs, kernel_height, kernel_width] = w.sides();
        if let Some(filter) = self.winograd.filter(|_| NATIVE) {
            let mut constants = vec![("TRANSPOSED", f64::from(self.transposed))];
            let kernel = match filter {
                Winograd::Fused => &PACK_WINOGRAD,
                Winograd::Two | Winograd::Four => {
                    constants.push(("TWO", f64::from(filter == Winograd::Two)));
                    &WINOGRAD_WEIGHTS
                }
            };
            let params = PackParams { outputs, inputs, kernel_height, kernel_width };
            let pairs = packed.elements() / (filter.points() * filter.points());
            let grid = Recording::grid(pairs, 64);
            return launch.to.dispatch(kernel, &constants, params, launch.buffers, grid).map(drop);
        }
        let constants =
            [("TRANSPOSED", f64::from(self.transposed)), ("FLIPPED", f64::from(self.flipped))];
        let (kernel, in_word) = if NATIVE && self.half { (&PACK_HALF, 2) } else { (&PACK, 1) };
        let most = launch.to.adapter().max_binding / 4;
        let each = inputs * kernel_height * kernel_width;
        if self.transposed || u64::from(w.elements().max(packed.elements())) <= most {
            let params = PackParams { outputs, inputs, kernel_height, kernel_width };
            let grid = Recording::grid(packed.elements(), 64);
            return launch.to.dispatch(kernel, &constants, params, launch.buffers, grid).map(drop);
        }
        // More than one binding shows: as many runs of output channels as it takes. With 64 words of each product in a
        // run, both begin where bindings may.
        let unit = 64 * in_word;
        let run = most / u64::from(each) / u64::from(unit) * u64::from(unit);
        let run = u32::try_from(run).unwrap_or(u32::MAX);
        if run == 0 {
            let wanted = format_args!("{unit} output channels below {most} words");
            return Err(Error::mismatch(kernel.name, w, wanted));
        }
        let [of_w, of_packed] = exactly(self.name(), "buffers", launch.buffers)?;
        for first in (0..outputs).step_by(run as usize) {
            let outputs = run.min(outputs - first);
            let params = PackParams { outputs, inputs, kernel_height, kernel_width };
            let words = outputs.next_multiple_of(8) * each / in_word;
            let part =
                |buffer, first, count| Binding { buffer, part: Some(Words { first, count }) };
            let bound = [
                part(of_w, first * each, outputs * each),
                part(of_packed, first * each / in_word, words),
            ];
            let grid = Recording::grid(words, 64);
            launch.to.dispatch(kernel, &constants, params, &bound, grid)?;
        }
        Ok(())
    }
}
