// Adds the gradients of one micro-batch (a part of a batch) to their sum over the batch, in place:
//
//     sum = keep * sum + scale * x, or scale * x where keep is 0, also where the old sum is not finite
//
//   grid     one invocation per vec4, see shared/index.wgsl
//   sum, x   padded to whole vec4s
//   control  keep (0 for the first micro-batch, else 1), scale
//
// Host side: src/ops/optimiser.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> control: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let part = control[1] * x[i];
    // Not a product with 0, because the old sum may not be finite.
    sum[i] = select(control[0] * sum[i] + part, part, control[0] == 0.0);
}
