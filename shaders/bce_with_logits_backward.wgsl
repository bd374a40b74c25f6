// Binary cross-entropy from logits, derivative for the logits:  dz = (sigmoid(z) - t) * dy
//
//   grid                      one invocation per vec4, see shared/index.wgsl
//   dy, logits, targets, dz   padded to whole vec4s
//
// At z = 0 exactly, dz = -t * dy, as automatic differentiation has it of the reference's formula
// max(z, 0) - z t + log1p(exp(-|z|)): the slopes of max and |z| count as 0 there, and the golden cases
// follow it.
//
// Host side: src/ops/bce_with_logits.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> targets: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dz: array<vec4f>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let z = logits[i];
    let e = exp(-abs(z));
    let sigmoid = select(e, vec4f(1.0), z >= vec4f(0.0)) / (1.0 + e);
    dz[i] = (select(sigmoid, vec4f(0.0), z == vec4f(0.0)) - targets[i]) * dy[i];
}
