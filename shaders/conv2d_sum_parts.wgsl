// Adds the partial sums of a convolution's weight gradient in order:  dw[k] = sum over p of partials[p][k]
// Four partial sums are loaded before they are added, so that an addition does not wait for each load.
//
//   grid      one invocation per weight, see shared/index.wgsl
//   partials  [part][weight]
//
// Host side: src/ops/conv/weights.rs. Appended: shared/index.wgsl.

struct Params { weights: u32, parts: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = flat_index(workgroup, workgroups, lane);
    if k >= params.weights { return; }
    var sum = 0.0;
    var at = k;
    for (var p = 0u; p < params.parts / 4u; p++) {
        let a = partials[at];
        let b = partials[at + params.weights];
        let c = partials[at + 2u * params.weights];
        let d = partials[at + 3u * params.weights];
        sum = sum + a + b + c + d;
        at += 4u * params.weights;
    }
    for (var p = 0u; p < params.parts % 4u; p++) {
        sum += partials[at];
        at += params.weights;
    }
    dw[k] = sum;
}
