// By how much each image is misnamed:
//
//     y = largest logit of another class - z_label          TARGETED:  y = z_target - z_label
//
//   grid             one invocation per image, see shared/index.wgsl
//   logits           [image][class]
//   labels, targets  [image]; without TARGETED targets is not read and the host binds labels in its place
//   y                [image]; 0 where label or target is no class
//
// Host side: src/ops/margin.rs. Appended: shared/margin_row.wgsl, shared/index.wgsl.

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
    let pair = row(image);
    var margin = 0.0;
    if pair.x < params.classes && pair.y < params.classes {
        margin = logits[image * params.classes + pair.y] - logits[image * params.classes + pair.x];
    }
    y[image] = margin;
}
