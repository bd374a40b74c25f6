// Logsumexp, derivative for the logits:  dlogits[k] = softmax(logits)[k] * dy
//
//   grid             one workgroup an image, see shared/index.wgsl; its lanes stride over the classes
//   dy               [image]
//   logits, dlogits  [image][class]
//
// The softmax is computed anew rather than kept: a row is short, and y has too few digits for it.
// Host side: src/ops/softmax.rs. Appended: shared/index.wgsl, shared/softmax_row.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let first = image * params.classes;
    let row = softmax_row(first, params.classes, lane);
    for (var k = lane; k < params.classes; k += LANES) {
        dlogits[first + k] = exp(logits[first + k] - row.largest) / row.sum * dy[image];
    }
}
