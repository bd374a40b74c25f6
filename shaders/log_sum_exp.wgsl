// Logsumexp of each image's logits:  y = log(sum of exp(logits[k]))
//
//   grid    (images): one workgroup an image; its lanes stride over the classes
//   logits  [image][class]
//   y       [image]
//
// Host side: src/ops/log_sum_exp.rs. Appended: shared/softmax_row.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = softmax_row(id.x * params.classes, params.classes, lane);
    if lane == 0u { y[id.x] = row.largest + log(row.sum); }
}
