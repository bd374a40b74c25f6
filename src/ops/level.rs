//! Scales the derivative for the logits by powers of two before backpropagation in mixed precision, because small values would
//! vanish in half precision, and takes the scaling off the image's derivative.

use super::Broadcast;
use super::walk::{check_turns, kernel};
use crate::Result;
use crate::gpu::{Kernel, Precision, uniform};
use crate::graph::{Graph, Launch, Op, Shape, Value, exactly};

uniform! {
    struct Params { images: u32, classes: u32 }
}

/// The kernel that scales each row of x by a power of two and returns the inverse scales; the constant WHOLE scales all rows
/// alike.
pub static KERNEL: Kernel = kernel!(
    "level",
    ["index", "workgroup_max_vec2", "overflow", "elem_f32"],
    Params,
    [x, mut y, mut back],
);

/// Scales each image's values to a size that half precision holds. Input x \[N, K\]; outputs y \[N, K\] and `back` \[N\]: y is x
/// with each row times a power of two, by which its largest entry lies in \[128, 256), and `back` has the inverses of these
/// powers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whether all images are scaled alike, by the scale that the largest entry of all asks for: where the gradient of an image
    /// depends on the others' derivatives, as it does through the statistics of a batch.
    pub whole: bool,
}

impl Op for Level {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        x.expect(self.name(), Shape::matrix(x.images(), x.channels())?)?;
        Ok(vec![x, Shape::per_image(x.images())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let params = Params { images: x.images(), classes: x.channels() };
        check_turns(launch.to, self.name(), u64::from(x.elements()) / 64)?;
        let constants = [("WHOLE", f64::from(self.whole))];
        launch.rows(&KERNEL, &constants, params, x.images())
    }
}

impl Level {
    /// Returns the op that gradients with respect to images need in a precision: none in single precision. `whole` is as in
    /// [`Level`].
    pub fn in_precision(precision: Precision, whole: bool) -> Option<Self> {
        (precision == Precision::Mixed).then_some(Self { whole })
    }
}

/// Adds the gradient with respect to the images x of a value y that depends on them through the logits alone; `seed` is the
/// derivative of y. With `level` the derivative for the logits enters the network at a size that half precision holds, and the
/// gradient gets the size that it has without.
pub fn image_gradient(
    graph: &mut Graph,
    [y, seed]: [Value; 2],
    [logits, x]: [Value; 2],
    level: Option<Level>,
) -> Result<Value> {
    let one = |values: Vec<Value>| exactly::<_, 1>(KERNEL.name, "gradients", &values);
    let Some(level) = level else {
        return one(super::gradient(graph, y, seed, &[x])?).map(|[gradient]| gradient);
    };
    let of_logits = match y == logits {
        true => seed,
        false => {
            let [of_logits] = one(super::gradient(graph, y, seed, &[logits])?)?;
            of_logits
        }
    };
    let [scaled, back] = exactly(KERNEL.name, "outputs", &graph.push_all(level, &[of_logits])?)?;
    let [of_images] = one(super::gradient(graph, logits, scaled, &[x])?)?;
    graph.push(Broadcast::Mul, &[of_images, back])
}
