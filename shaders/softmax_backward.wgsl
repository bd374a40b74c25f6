// Derivative for the logits of the softmax y of each row or, if the constant LOG is true, of its logarithm y:
//
//     dx = y * (dy - sum(dy * y)),     LOG:  dx = dy - exp(y) * sum(dy)
//
//   grid       one workgroup a row, see shared/index.wgsl; its lanes stride over the classes
//   dy, y, dx  [row][class]
//
// Host side: src/ops/softmax.rs. Appended: shared/index.wgsl, shared/workgroup_sum.wgsl.

override LANES: u32 = 64u;
override LOG: bool = false;

struct Params { images: u32, classes: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = flat_group(workgroup, workgroups);
    if image >= params.images { return; }
    let first = image * params.classes;
    var part = 0.0;
    for (var k = first + lane; k < first + params.classes; k += LANES) {
        if LOG { part += dy[k]; } else { part += dy[k] * y[k]; }
    }
    let sum = workgroup_sum(lane, part);
    for (var k = first + lane; k < first + params.classes; k += LANES) {
        if LOG { dx[k] = dy[k] - exp(y[k]) * sum; } else { dx[k] = y[k] * (dy[k] - sum); }
    }
}
