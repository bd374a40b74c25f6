// Pads planes with zeros, or cuts their edges off:  y[p,v,u] = x[p, v - top, u - left], 0 outside x
//
//   grid  one invocation per value of y, see shared/index.wgsl
//   x     [plane][row][column], a plane an image's channel
//   y     as x, out_height by out_width
//
// top and left are u32 that wrap: in the derivative, which cuts the edges off again, they stand for negative numbers.
// Host side: src/ops/pad.rs. Appended: shared/index.wgsl.

struct Params {
    planes: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    top: u32,
    left: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= params.planes * params.out_height * params.out_width { return; }
    let column = at % params.out_width - params.left; // outside, it is large
    let row = at / params.out_width % params.out_height - params.top;
    let plane = at / (params.out_width * params.out_height);
    var value = 0.0;
    if row < params.height && column < params.width {
        value = x[(plane * params.height + row) * params.width + column];
    }
    y[at] = value;
}
