//! Ops that bring weights into the order that the fast convolutions read: eight output channels side by side, or transformed for
//! Winograd's filtering.

use super::kernels::{NATIVE, natively, shader, text};
use super::shares::between_parts;
use super::winograd::Winograd;
use crate::gpu::{Access::*, Binding, Kernel, Recording, Trust, Words, uniform};
use crate::graph::{Halves, Launch, Op, Shape, exactly};
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

/// The kernel that packs a convolution's weights w into the order in which convolution kernels read them.
pub static PACK: Kernel = packs!("conv2d_pack", "packed_weight", "packed", 0);
/// The kernel that transforms a convolution's weights w for the Winograd filter of CPU rasterisers.
pub static PACK_WINOGRAD: Kernel = packs!("conv2d_pack_winograd", "winograd_kernel", "packed", 8);
/// The kernel that transforms a convolution's weights w to U, for the batched product of [`Winograd::Two`] and
/// [`Winograd::Four`].
pub static WINOGRAD_WEIGHTS: Kernel =
    natively(packs!("winograd_weights", "winograd_kernel", "u", 0));

/// The order in which packed weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightLayout {
    /// The weights keep their values, in blocks of eight output channels.
    Octets,
    /// The weights are transformed for a Winograd filter: 36 or 16 numbers for the 9 of a 3x3 filter.
    Winograd(Winograd),
}

impl WeightLayout {
    /// Returns whether the weights are transformed, and so take more words than the plain ones.
    pub fn is_transformed(self) -> bool {
        matches!(self, Self::Winograd(_))
    }
}

/// Packs a convolution's weights into the order in which a kernel reads them. Input w \[O, I, R, C\]; output the packed weights
/// as a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackWeights {
    /// Whether input and output channels change places, as for the derivative for x.
    pub transposed: bool,
    /// Whether the filter's rows and columns are stored from the last to the first.
    pub flipped: bool,
    /// The order in which the packed weights are stored.
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
        Ok(Shape::new(many.next_multiple_of(8), other, rows, columns)?.elements())
    }
}

impl Op for PackWeights {
    fn name(&self) -> &'static str {
        match self.layout {
            WeightLayout::Winograd(Winograd::Fused) if NATIVE => PACK_WINOGRAD.name,
            WeightLayout::Winograd(_) if NATIVE => WINOGRAD_WEIGHTS.name,
            _ => PACK.name,
        }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [w] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::vector(self.words(w)?)?])
    }

    fn halves(&self) -> Halves {
        // Transformed weights are sums of many, whose rounding tells more.
        Halves { inputs: &[], outputs: if self.layout.is_transformed() { &[] } else { &[0] } }
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
        let most = launch.to.adapter().max_binding / 4;
        let each = inputs * kernel_height * kernel_width;
        if self.transposed || u64::from(w.elements().max(packed.elements())) <= most {
            let params = PackParams { outputs, inputs, kernel_height, kernel_width };
            let grid = Recording::grid(packed.elements(), 64);
            return launch.to.dispatch(&PACK, &constants, params, launch.buffers, grid).map(drop);
        }
        // More than one binding shows: as many runs of whole blocks of output channels as it takes.
        let unit = u64::from(between_parts(each).max(8));
        let run = most / u64::from(each) / unit * unit;
        let run = u32::try_from(run).unwrap_or(u32::MAX);
        if run == 0 {
            let wanted = format_args!(
                "at most {most} weights for {unit} output channels, the adapter's largest binding"
            );
            return Err(Error::mismatch(PACK.name, w, wanted));
        }
        let [of_w, of_packed] = exactly(self.name(), "buffers", launch.buffers)?;
        for first in (0..outputs).step_by(run as usize) {
            let outputs = run.min(outputs - first);
            let params = PackParams { outputs, inputs, kernel_height, kernel_width };
            let words = outputs.next_multiple_of(8) * each;
            let part =
                |buffer, first, count| Binding { buffer, part: Some(Words { first, count }) };
            let bound =
                [part(of_w, first * each, outputs * each), part(of_packed, first * each, words)];
            let grid = Recording::grid(words, 64);
            launch.to.dispatch(&PACK, &constants, params, &bound, grid)?;
        }
        Ok(())
    }
}
