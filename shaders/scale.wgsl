// Multiplies all values by one factor:  y = factor * x
//
//   grid  one invocation per vec4, see shared/index.wgsl
//   x, y  padded to whole vec4s
//
// Host side: src/ops/elementwise.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32, factor: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    y[i] = params.factor * x[i];
}
