// Sets every 32-bit word of a buffer to the same bits:  x = bits
//
//   grid  one invocation per vec4, see shared/index.wgsl
//   x     padded to whole vec4s
//
// Bits rather than a floating-point number: a shader's compiler may assume that such a number is finite, and x may be filled
// with an infinity.
// Host side: src/ops/elementwise.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32, bits: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<vec4u>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    x[i] = vec4u(params.bits);
}
