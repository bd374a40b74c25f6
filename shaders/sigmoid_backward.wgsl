// Logistic function, derivative for x:  dx = dy * s * (1 - s)  with  s = 1 / (1 + exp(-x))
//
//   grid       one invocation per vec4, see shared/index.wgsl
//   dy, x, dx  padded to whole vec4s
//
// From x rather than s, so that 1 - s does not cancel: with e = exp(-|x|) it is e / (1 + e)^2 on both sides.
// Host side: src/ops/sigmoid.rs. Appended: shared/index.wgsl.

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
    let e = exp(-abs(x[i]));
    dx[i] = dy[i] * e / ((1.0 + e) * (1.0 + e));
}
