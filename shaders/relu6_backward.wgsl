// Rectifier with a ceiling, derivative for x:  dx = 0 < y < 6 ? dy : 0  (0 at both ends, as PyTorch)
//
//   grid       one invocation per vec4, see shared/index.wgsl
//   dy, y, dx  padded to whole vec4s
//
// Host side: src/ops/relu6.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    dx[i] = select(vec4f(0.0), dy[i], y[i] > vec4f(0.0) & y[i] < vec4f(6.0));
}
