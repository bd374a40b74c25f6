// Difference of logits ratio, derivative for the logits: through the label's and the other's logit and through those
// of the denominator. With  n / d  the fraction of dlr.wgsl:
//
//     dz_label = -dy / d,  dz_other = dy / d,  dz_1 = dy n / d^2,  dz_3 = -dy n / d^2 (TARGETED: half each to z_3, z_4)
//
//   grid                     one invocation per image, see shared/index.wgsl
//   dy                       [image]
//   logits, labels, targets  as in dlr.wgsl
//   dlogits                  [image][class]; one class can have several of the parts
//
// Host side: src/ops/dlr.rs. Appended: shared/dlr_row.wgsl, shared/index.wgsl.

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
    let first = image * params.classes;
    for (var k = 0u; k < params.classes; k++) { dlogits[first + k] = 0.0; }
    if found.label >= params.classes { return; }
    let part = dy[image] / found.denominator;
    let through = part * found.numerator / found.denominator;
    dlogits[first + found.label] -= part;
    dlogits[first + found.other] += part;
    dlogits[first + found.order.x] += through;
    if TARGETED {
        dlogits[first + found.order.z] -= 0.5 * through;
        dlogits[first + found.order.w] -= 0.5 * through;
    } else {
        dlogits[first + found.order.z] -= through;
    }
}
