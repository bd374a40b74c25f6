// Sigmoid-weighted linear unit, derivative for x. With  s = 1 / (1 + exp(-x)):
//
//     dx = dy * s * (1 + x * (1 - s))
//
//   grid       one invocation per vec4, see shared/index.wgsl
//   dy, x, dx  padded to whole vec4s
//
// Only exp of numbers that are not above 0 is taken, which cannot overflow; 1 - s is computed without
// cancelling.
// Host side: src/ops/silu.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let v = x[i];
    let e = exp(-abs(v));
    let large = 1.0 / (1.0 + e);
    let small = e * large;
    let positive = v > vec4f(0.0);
    let s = select(small, large, positive);
    dx[i] = dy[i] * s * (1.0 + v * select(large, small, positive));
}
