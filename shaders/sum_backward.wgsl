// Sum of all elements, derivative for x:  dx[i] = scale * dy
//
//   grid  one invocation per vec4, see shared/index.wgsl
//   dy    one word
//   dx    padded to whole vec4s
//
// Host side: src/ops/sum.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    dx[i] = vec4f(params.scale * dy[0]);
}
