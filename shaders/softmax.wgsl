// Softmax of each row, or its logarithm if the constant LOG is true:  y = exp(x - largest) / sum,  y = x - largest - log(sum)
//
//   grid       one workgroup a row, see shared/index.wgsl; its lanes stride over the classes
//   logits, y  [row][class]
//
// Host side: src/ops/softmax.rs. Appended: shared/index.wgsl, shared/softmax_row.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;
override LOG: bool = false;

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
    let first = image * params.classes;
    let row = softmax_row(first, params.classes, lane);
    for (var k = lane; k < params.classes; k += LANES) {
        let below = logits[first + k] - row.largest;
        if LOG { y[first + k] = below - log(row.sum); } else { y[first + k] = exp(below) / row.sum; }
    }
}
