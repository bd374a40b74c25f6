// Computes a loss of each image from its logits, in one invocation that loops over the classes. The host appends one of these
// files of the folder shared/, which defines the loss:
//
//     dlr_row.wgsl     difference of logits ratio     margin_row.wgsl  margin by which the image is misclassified
//     pick_row.wgsl    the label's logit
//
//   grid             one invocation per image, see shared/index.wgsl
//   logits           [image][class]
//   labels, targets  [image]; without TARGETED targets is not read and the host binds labels in its place
//   y                [image]; 0 where a label or target is not the number of a class
//
// Host side: src/ops/row_loss.rs. Appended: shared/*_row.wgsl, shared/index.wgsl.

override TARGETED: bool = false;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_index(workgroup, workgroups, lane);
    if image >= params.images { return; }
    y[image] = loss(row(image));
}
