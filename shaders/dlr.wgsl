// Difference of logits ratio of each image, with logits z sorted downwards as z_1, z_2, ...:
//
//     y = -(z_label - largest other) / (z_1 - z_3 + 1e-12)
//     TARGETED:  y = -(z_label - z_target) / (z_1 - (z_3 + z_4) / 2 + 1e-12)
//
//   grid             one invocation per image, see shared/index.wgsl
//   logits           [image][class]
//   labels, targets  [image]; without TARGETED targets is not read and the host binds labels in its place
//   y                [image]; 0 where the label is no class
//
// Host side: src/ops/dlr.rs. Appended: shared/dlr_row.wgsl, shared/index.wgsl.

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
    let found = row(image);
    y[image] = -found.numerator / found.denominator;
}
