// One step of Adam, in place, with betas b1 and b2 and weight decay wd:
//
//     coupled    d = grad + wd * w
//     decoupled  d = grad, and first w = w - lr * wd * w
//     m = b1 * m + (1 - b1) * d;  v = b2 * v + (1 - b2) * d * d
//     w = w - lr / c1 * m / (sqrt(v) / c2 + eps)
//
//   grid           one invocation per vec4, see shared/index.wgsl
//   w, m, v, grad  padded to whole vec4s
//   control        lr, c1 = 1 - b1^t, c2 = sqrt(1 - b2^t) at step t, from 1
//
// Host side: src/ops/optimiser.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32, decoupled: u32, beta1: f32, beta2: f32, rest1: f32, rest2: f32, eps: f32, weight_decay: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(4) var<storage, read> grad: array<vec4f>;
@group(0) @binding(5) var<storage, read> control: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let rate = control[0];
    var weight = w[i];
    var d = grad[i];
    if params.decoupled == 1u {
        weight -= rate * params.weight_decay * weight;
    } else {
        d += params.weight_decay * weight;
    }
    let mean = params.beta1 * m[i] + params.rest1 * d;
    let square = params.beta2 * v[i] + params.rest2 * d * d;
    m[i] = mean;
    v[i] = square;
    w[i] = weight - rate / control[1] * mean / (sqrt(square) / control[2] + params.eps);
}
