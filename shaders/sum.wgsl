// Sum of all elements:  y = scale * sum(x)
//
//   grid  one workgroup; its lanes stride over the elements, so the order of additions is fixed
//   x     `elements` words
//   y     one word
//
// Made for short inputs, such as one number an image. Host side: src/ops/sum.rs. Appended: shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { elements: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < params.elements; i += LANES) { sum += x[i]; }
    let all = workgroup_sum(lane, sum);
    if lane == 0u { y[0] = params.scale * all; }
}
