// One step of stochastic gradient descent, in place, with momentum m and weight decay wd:
//
//     d = grad + wd * w;  buf = first ? d : m * buf + d;  w = w - lr * (nesterov ? d + m * buf : buf)
//
//   grid          one invocation per vec4, see shared/index.wgsl
//   w, buf, grad  padded to whole vec4s
//   control       lr, first (1 in the first step, else 0)
//
// Host side: src/ops/optimiser.rs. Appended: shared/index.wgsl.

struct Params { vectors: u32, nesterov: u32, momentum: f32, weight_decay: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> w: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> buf: array<vec4f>;
@group(0) @binding(3) var<storage, read> grad: array<vec4f>;
@group(0) @binding(4) var<storage, read> control: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.vectors { return; }
    let d = grad[i] + params.weight_decay * w[i];
    let velocity = select(params.momentum * buf[i] + d, d, control[1] != 0.0);
    let direction = select(velocity, d + params.momentum * velocity, params.nesterov == 1u);
    buf[i] = velocity;
    w[i] -= control[0] * direction;
}
