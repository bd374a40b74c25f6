// Margin, derivative for the logits:  dz_label = -dy,  dz_other = dy,  with the classes of margin.wgsl
//
//   grid                     one invocation per image, see shared/index.wgsl
//   dy                       [image]
//   logits, labels, targets  as in margin.wgsl
//   dlogits                  [image][class]
//
// Host side: src/ops/margin.rs. Appended: shared/margin_row.wgsl, shared/index.wgsl.

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
    let pair = row(image);
    let first = image * params.classes;
    for (var k = 0u; k < params.classes; k++) { dlogits[first + k] = 0.0; }
    if pair.x >= params.classes || pair.y >= params.classes || pair.x == pair.y { return; }
    dlogits[first + pair.x] = -dy[image];
    dlogits[first + pair.y] = dy[image];
}
