// One step of an exponential moving average of the weights under training (live), in place:
//
//     average = decay * average + (1 - decay) * live,  a plain copy where decay is 0
//
//   grid           one invocation per vec4, see shared/index.wgsl
//   average, live  padded to whole vec4s
//   control        decay
//
// Written as a move towards live: then equal values stay equal to the last bit.
// Host side: src/ops/optimiser.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> average: array<vec4f>;
@group(0) @binding(2) var<storage, read> live: array<vec4f>;
@group(0) @binding(3) var<storage, read> control: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let decay = control[0];
    let moved = average[i] + (1.0 - decay) * (live[i] - average[i]);
    average[i] = select(moved, live[i], decay == 0.0);
}
