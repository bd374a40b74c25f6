// Group normalisation without weights, derivative for its input x; each mean is over all values of one group of an image's
// channels:
//
//     dx = inverse * (dy - mean(dy) - y * mean(dy * y))
//
//   grid       one workgroup a row, see shared/index.wgsl; its lanes stride over the values
//   dy, y, dx  [row][value],  inverse  [row]
//
// Host side: src/ops/group_norm.rs. Appended: shared/index.wgsl, shared/workgroup_sum_vec2.wgsl.

override LANES: u32 = 64u;

struct Params { rows: u32, length: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> inverse: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

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
    var sums = vec2f(0.0);
    for (var i = first + lane; i < end; i += LANES) { sums += dy[i] * vec2f(1.0, y[i]); }
    let means = workgroup_sum_vec2(lane, sums) / f32(params.length);
    for (var i = first + lane; i < end; i += LANES) {
        dx[i] = inverse[row] * (dy[i] - means.x - y[i] * means.y);
    }
}
