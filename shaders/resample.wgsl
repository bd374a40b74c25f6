// Resamples one axis of images:  y[o][t][i] = sum over taps j of weight(t, j) * x[o][j][i]
//
//   grid  one invocation per value of y, see shared/index.wgsl
//   x     [outer][position][inner]: outer counts all axes before the resampled one, inner all after it
//   y     as x with out_length positions
//
// Host side: src/ops/resize.rs. Appended: shared/resample_taps.wgsl, shared/index.wgsl.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= params.outer * params.out_length * params.inner { return; }
    let inside = at % params.inner;
    let start = at / (params.inner * params.out_length) * params.length;
    let found = taps(at / params.inner % params.out_length);
    var sum = 0.0;
    for (var j = found.first; j < found.end; j++) {
        sum += weight(found, j) * x[(start + source(j)) * params.inner + inside];
    }
    y[at] = sum;
}
