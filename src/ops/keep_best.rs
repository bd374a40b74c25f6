//! The iterate of highest loss of each image.

use super::per_image::lanes;
use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { span: u32 }
}

/// best_x and best_loss in place.
pub static KERNEL: Kernel = kernel!(
    "keep_best",
    [],
    Params,
    &[("x", Read), ("loss", Read), ("best_x", Write), ("best_loss", Write)]
);

/// Inputs x \[N, C, H, W\], loss \[N\], best_x (as x) and best_loss \[N\], the last two written in place:
/// where loss > best_loss, image and loss are copied. No output. Start best_loss at [`f32::MIN`]
/// ([`Fill`](super::Fill)). At most 65,535 images.
#[derive(Clone, Copy, Debug)]
pub struct KeepBest;

impl Op for KeepBest {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, loss, best_x, best_loss] = exactly(self.name(), "inputs", inputs)?;
        loss.expect(self.name(), Shape::per_image(x.images())?)?;
        best_x.expect(self.name(), x)?;
        best_loss.expect(self.name(), loss)?;
        Ok(vec![])
    }

    fn writes(&self) -> &[usize] {
        &[2, 3]
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, _loss, _best_x, _best_loss] = exactly(self.name(), "inputs", launch.inputs)?;
        let params = Params { span: x.elements() / x.images() };
        let lanes = lanes(launch.to.adapter());
        launch.to.dispatch(&KERNEL, &[lanes], params, launch.buffers, [x.images(), 1, 1]).map(drop)
    }
}
