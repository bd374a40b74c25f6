//! Ops that bring weights into the order that the fast convolutions read: eight output channels side by side, or transformed for
//! Winograd's filtering.

use super::kernels::{NATIVE, natively, shader, text};
use super::winograd::Winograd;
use crate::gpu::{Access::*, Binding, Kernel, Recording, Trust, Words, uniform};
use crate::graph::{Launch, Op, Shape, exactly};
use crate::{Error, Result};

uniform! {
    struct PackParams { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }
}

macro_rules! packs {
    ($stem:literal, $shared:literal, $to:literal, $subgroup:literal) => {
        Kernel {
            name: $stem,
            source: text(
                &[shader!($stem), shader!("shared/", $shared), shader!("shared/index")],
                $subgroup,
            ),
            params: PackParams::LAYOUT,
            bindings: &[("w", Read), ($to, Write)],
            subgroup: 0,
            trust: Trust::OWN,
        }
    };
}

/// Packs the weights w.
pub static PACK: Kernel = packs!("conv2d_pack", "packed_weight", "packed", 0);
/// Packs the weights w in half precision, two in a word.
pub static PACK_HALF: Kernel = natively(packs!("conv2d_pack_half", "packed_weight", "packed", 0));
/// Transforms the weights w for the kernel of CPU rasterisers.
pub static PACK_WINOGRAD: Kernel = packs!("conv2d_pack_winograd", "winograd_kernel", "packed", 8);
/// Computes U from w, for the batched product of [`Winograd::Two`] and [`Winograd::Four`].
pub static WINOGRAD_WEIGHTS: Kernel =
    natively(packs!("winograd_weights", "winograd_kernel", "u", 0));

/// The order in which packed weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightLayout {
    /// The weights stay as they are.
    Octets,
    /// Weights in half precision, two in a word.
    Halves,
    /// Transformed for a filter: 36 or 16 for 9.
    Winograd(Winograd),
}

impl WeightLayout {
    /// Whether packed weights take more words than the plain ones.
    pub fn is_transformed(self) -> bool {
        matches!(self, Self::Winograd(_))
    }

    /// Returns the largest allowed difference from the plain kernel's results, as a share of the largest result. Sums in
    /// another order are off by some 1e-5, halves by up to 2^-11 for each weight, and filters round as [`Winograd`] says.
    pub fn bound(self) -> f32 {
        if self == Self::Halves { 2e-3 } else { 1e-4 }
    }
}

/// Input w \[O, I, R, C\]; output the packed weights as a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackWeights {
    /// Whether input and output channels change places.
    pub transposed: bool,
    /// Rows and columns from the last to the first.
    pub flipped: bool,
    /// The order in which weights are stored.
    pub layout: WeightLayout,
}

impl PackWeights {
    /// Returns the number of words that weights of this shape take when packed.
    pub fn words(&self, w: Shape) -> Result<u32> {
        let [o, i, rows, columns] = w.sides();
        let (many, other) = if self.transposed { (i, o) } else { (o, i) };
        let (rows, columns) = match self.layout {
            WeightLayout::Winograd(filter) => (filter.points(), filter.points()),
            _ => (rows, columns),
        };
        let packed = Shape::new(many.next_multiple_of(8), other, rows, columns)?.elements();
        Ok(packed / self.in_word())
    }

    /// Weights in a word.
    fn in_word(&self) -> u32 {
        if NATIVE && self.layout == WeightLayout::Halves { 2 } else { 1 }
    }
}

impl Op for PackWeights {
    fn name(&self) -> &'static str {
        match self.layout {
            WeightLayout::Halves if NATIVE => PACK_HALF.name,
            WeightLayout::Winograd(Winograd::Fused) if NATIVE => PACK_WINOGRAD.name,
            WeightLayout::Winograd(_) if NATIVE => WINOGRAD_WEIGHTS.name,
            _ => PACK.name,
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
        if let (true, WeightLayout::Winograd(filter)) = (NATIVE, self.layout) {
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
        let in_word = self.in_word();
        let kernel = if NATIVE && in_word == 2 { &PACK_HALF } else { &PACK };
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
