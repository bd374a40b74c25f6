// Group normalisation without weights:  y = (x - mean) / sqrt(variance + eps), over the values of one group of an image's
// channels
//
//   grid     one workgroup a row, see shared/index.wgsl; its lanes stride over the values
//   x, y     [row][value]; a row is a group of an image's channels
//   inverse  [row]; 1 / sqrt(variance + eps): for the derivative
//
// Two passes for the variance, so that a large mean does not cancel.
// Host side: src/ops/group_norm.rs. Appended: shared/index.wgsl, shared/workgroup_sum_vec2.wgsl,
// shared/overflow.wgsl, shared/elem_f32.wgsl.

override LANES: u32 = 64u;

struct Params { rows: u32, length: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> inverse: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_group(workgroup, workgroups);
    if row >= params.rows { return; }
    let first = row * params.length;
    let end = first + params.length;
    var sum = 0.0;
    for (var i = first + lane; i < end; i += LANES) { sum += x[i]; }
    let mean = workgroup_sum_vec2(lane, vec2f(sum, 0.0)).x / f32(params.length);
    var squares = 0.0;
    for (var i = first + lane; i < end; i += LANES) { squares += (x[i] - mean) * (x[i] - mean); }
    let variance = workgroup_sum_vec2(lane, vec2f(squares, 0.0)).x / f32(params.length);
    let scale = inverse_deviation(variance, params.eps);
    for (var i = first + lane; i < end; i += LANES) { y[i] = (x[i] - mean) * scale; }
    if lane == 0u { inverse[row] = scale; }
}
