// Derivatives of each image's loss for its logits, for the losses of row_loss.wgsl: difference of logits ratio, margin, and the
// label's logit. The host appends one of the files shared/*_row.wgsl, which defines the loss.
//
//   grid                     one invocation per image, see shared/index.wgsl
//   dy                       [image]
//   logits, labels, targets  as in row_loss.wgsl
//   dlogits                  [image][class]
//
// Host side: src/ops/row_loss.rs. Appended: shared/*_row.wgsl, shared/index.wgsl.

override TARGETED: bool = false;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_index(workgroup, workgroups, lane);
    if image >= params.images { return; }
    let found = row(image);
    let seed = dy[image];
    for (var k = 0u; k < params.classes; k++) {
        dlogits[image * params.classes + k] = slope(found, k, seed);
    }
}
