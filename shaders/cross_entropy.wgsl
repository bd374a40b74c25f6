// Computes the cross-entropy of each image with its label. With  p = log_softmax(logits)  and label smoothing s over K classes:
//
//     y = -(1 - s) * p[label] - s / K * sum(p),  0 where the label is not the number of a class
//
//   grid    one workgroup an image, see shared/index.wgsl; its lanes stride over the classes
//   logits  [image][class]
//   labels  [image], u32
//   y       [image]
//
// Written with  -p[k] = (largest - logits[k]) + log(sum of exp(logits - largest)),  terms of one sign
// that do not cancel. Host side: src/ops/row_loss.rs.
// Appended: shared/index.wgsl, shared/softmax_row.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;

struct Params { images: u32, classes: u32, smoothing: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

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
    var below = 0.0;
    for (var k = lane; k < params.classes; k += LANES) { below += row.largest - logits[first + k]; }
    let mean_below = workgroup_sum(lane, below) / f32(params.classes);
    if lane == 0u {
        let label = labels[image];
        var loss = 0.0;
        if label < params.classes {
            loss = log(row.sum) + (1.0 - params.smoothing) * (row.largest - logits[first + label])
                + params.smoothing * mean_below;
        }
        y[image] = loss;
    }
}
