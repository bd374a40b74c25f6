// The logit of each image's label:  y = logits[label], or 0 where the label is no class
//
//   grid    one invocation per image, see shared/index.wgsl
//   logits  [image][class]
//   labels  [image], u32
//   y       [image]
//
// Host side: src/ops/pick_logit.rs. Appended: shared/index.wgsl.

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.images { return; }
    let label = labels[i];
    var picked = 0.0;
    if label < params.classes { picked = logits[i * params.classes + label]; }
    y[i] = picked;
}
