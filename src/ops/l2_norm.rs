//! Euclidean length of each image.

use super::per_image::{choose, lanes};
use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { span: u32 }
}

/// y from x, value by value.
pub static SCALAR: Kernel =
    kernel!("l2_norm", ["elem_f32", "workgroup_sum"], Params, &[("x", Read), ("y", Write)]);

/// y from x, four values at a time.
pub static VEC4: Kernel = kernel!(
    "l2_norm_vec4",
    "l2_norm",
    ["elem_vec4", "workgroup_sum"],
    Params,
    &[("x", Read), ("y", Write)]
);

/// Input x \[N, C, H, W\]; output sqrt(sum of x^2 over C, H and W) \[N\]. No derivative is defined. At
/// most 65,535 images.
#[derive(Clone, Copy, Debug)]
pub struct L2Norm;

impl Op for L2Norm {
    fn name(&self) -> &'static str {
        SCALAR.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::per_image(x.images())?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        let (kernel, span) = choose([&SCALAR, &VEC4], x);
        let lanes = lanes(launch.to.adapter());
        let grid = [x.images(), 1, 1];
        launch.to.dispatch(kernel, &[lanes], Params { span }, launch.buffers, grid).map(drop)
    }
}
