//! Defines an op outside the crate, with its own WGSL and its own derivative: softplus, y = log(1 + exp x). Its gradient is
//! compared with finite differences.
//!
//!     cargo run --release --example custom_op

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "an example")]

use lapidary::Result;
use lapidary::gpu::{Access, Gpu, Kernel, Layout, Options, Trust};
use lapidary::graph::{Graph, Launch, Node, Op, Shape, Value, exactly};
use lapidary::lower::Program;
use lapidary::ops;

/// One u32 goes to binding 0; a struct of several would be `#[repr(C)]` and `bytemuck::Pod`.
const PARAMS: Layout = Layout { size: 4, fields: &[("count", "u32", 0)] };

static FORWARD: Kernel = Kernel {
    name: "softplus",
    source: &["
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    // Launch::each spreads a launch over x and y.
    let i = (workgroup.y * workgroups.x + workgroup.x) * 64u + lane;
    if i >= params.count { return; }
    // exp of what is at most 0 does not overflow.
    y[i] = max(x[i], 0.0) + log(1.0 + exp(-abs(x[i])));
}"],
    params: PARAMS,
    bindings: &[("x", Access::Read), ("y", Access::Write)],
    subgroup: 0,
    trust: Trust::NONE,
};

static BACKWARD: Kernel = Kernel {
    name: "softplus_backward",
    source: &["
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (workgroup.y * workgroups.x + workgroup.x) * 64u + lane;
    if i >= params.count { return; }
    dx[i] = dy[i] / (1.0 + exp(-x[i]));
}"],
    params: PARAMS,
    bindings: &[("dy", Access::Read), ("x", Access::Read), ("dx", Access::Write)],
    subgroup: 0,
    trust: Trust::NONE,
};

/// Input x of any shape; output log(1 + exp x) of the same.
#[derive(Debug)]
struct Softplus;

impl Op for Softplus {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![x])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.each(&FORWARD, x.elements(), x.elements())
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        node: &Node,
        dy: Value,
        _asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        let [x] = exactly(self.name(), "inputs", &node.inputs)?;
        Ok(vec![Some(graph.push(SoftplusBackward, &[dy, x])?)])
    }
}

/// Inputs dy and x; output dy / (1 + exp -x).
#[derive(Debug)]
struct SoftplusBackward;

impl Op for SoftplusBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, x] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), x)?;
        Ok(vec![dy])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dy, _x] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.each(&BACKWARD, dy.elements(), dy.elements())
    }
}

fn main() -> Result<()> {
    println!("largest error of the derivative: {:.1e}", pollster::block_on(run())?);
    Ok(())
}

/// The largest difference between the op's derivative and the slope between two points beside it.
pub async fn run() -> Result<f32> {
    let gpu = Gpu::new(&Options::from_env()).await?;
    let shape = Shape::vector(201)?;
    let mut graph = Graph::default();
    let (x, dy) = (graph.input(shape), graph.input(shape));
    let y = graph.push(Softplus, &[x])?;
    let dx = ops::gradient(&mut graph, y, dy, &[x])?;
    let [dx] = exactly("example", "gradients", &dx)?;
    let mut program = Program::new(&gpu, &graph, &[y, dx], &[x, dy], &[]).await?;
    program.write(dy, &[1.0f32; 201]).await?;
    let places: Vec<f32> = (0..201).map(|i| i as f32 * 0.1 - 10.0).collect();
    let step = 0.01;
    let mut values = Vec::new();
    for offset in [-step, step, 0.0] {
        let moved: Vec<f32> = places.iter().map(|place| place + offset).collect();
        program.write(x, &moved).await?;
        program.submit().await?;
        values.push(program.read(y).await?);
    }
    let slope = |(low, high): (&f32, &f32)| (high - low) / (2.0 * step);
    let slopes = values[0].iter().zip(&values[1]).map(slope);
    let errors = slopes.zip(program.read(dx).await?).map(|(slope, dx)| (slope - dx).abs());
    Ok(errors.fold(0.0, f32::max))
}
