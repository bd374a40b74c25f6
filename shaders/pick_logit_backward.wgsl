// The logit of each image's label, derivative for the logits:  dlogits[k] = k == label ? dy : 0
//
//   grid     one invocation per logit, see shared/index.wgsl
//   dy       [image]
//   labels   [image], u32
//   dlogits  [image][class]
//
// Host side: src/ops/pick_logit.rs. Appended: shared/index.wgsl.

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.images * params.classes { return; }
    let image = i / params.classes;
    dlogits[i] = select(0.0, dy[image], i % params.classes == labels[image]);
}
