// Logsumexp of each image's logits:  y = log(sum of exp(logits[k]))
//
//   grid    one workgroup an image, see shared/index.wgsl; its lanes stride over the classes
//   logits  [image][class]
//   y       [image]
//
// Host side: src/ops/softmax.rs. Appended: shared/index.wgsl, shared/softmax_row.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let row = softmax_row(image * params.classes, params.classes, lane);
    if lane == 0u { y[image] = row.largest + log(row.sum); }
}
