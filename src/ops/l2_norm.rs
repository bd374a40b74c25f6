//! Euclidean length of each image.

use super::per_image::{choose, lanes};
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Launch, Op, Shape, exactly};

uniform! {
    struct Params { span: u32 }
}

/// y from x, value by value.
pub static SCALAR: Kernel = Kernel {
    name: "l2_norm",
    source: &[
        include_str!("../../shaders/l2_norm.wgsl"),
        include_str!("../../shaders/shared/elem_f32.wgsl"),
        include_str!("../../shaders/shared/workgroup_sum.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("x", Read), ("y", Write)],
    subgroup: 0,
};

/// y from x, four values at a time.
pub static VEC4: Kernel = Kernel {
    name: "l2_norm_vec4",
    source: &[
        include_str!("../../shaders/l2_norm.wgsl"),
        include_str!("../../shaders/shared/elem_vec4.wgsl"),
        include_str!("../../shaders/shared/workgroup_sum.wgsl"),
    ],
    params: Params::LAYOUT,
    bindings: &[("x", Read), ("y", Write)],
    subgroup: 0,
};

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
