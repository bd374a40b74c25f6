// Cross-entropy, derivative for the logits.  With smoothing s over K classes:
//
//     dlogits[k] = (softmax(logits)[k] - (1 - s) * (k == label) - s / K) * dy,
//     0 where the label is not the number of a class
//
//   grid             one workgroup an image, see shared/index.wgsl; its lanes stride over the classes
//   dy               [image]
//   logits, dlogits  [image][class]
//   labels           [image], u32
//
// Host side: src/ops/row_loss.rs. Appended: shared/index.wgsl, shared/softmax_row.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, classes: u32, smoothing: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

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
    let label = labels[image];
    let seed = select(0.0, dy[image], label < params.classes);
    let spread = params.smoothing / f32(params.classes);
    for (var k = lane; k < params.classes; k += LANES) {
        let wanted = spread + select(0.0, 1.0 - params.smoothing, k == label);
        dlogits[first + k] = (exp(logits[first + k] - row.largest) / row.sum - wanted) * seed;
    }
}
