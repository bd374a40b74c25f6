// Resampling of one axis, derivative for x:  dx[o][j][i] = sum of weight(t, j) * dy[o][t][i] over positions t with a tap at j
//
//   grid    one invocation per value of x, which looks at the positions t around it, see shared/index.wgsl
//   dx, dy  as x, y in resample.wgsl
//
// Host side: src/ops/resize.rs. Appended: shared/resample_taps.wgsl, shared/index.wgsl.

@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= params.outer * params.length * params.inner { return; }
    let inside = at % params.inner;
    let own = at / params.inner % params.length;
    let start = at / (params.inner * params.length) * params.out_length;
    // Places whose centre lies within reach, and one more for rounding.
    let ratio = f32(params.out_length) / f32(params.length);
    let middle = (f32(own) + 0.5) * ratio - 0.5;
    let around = (reach() + 1.0) * ratio + 1.0;
    let low = u32(max(0.0, floor(middle - around)));
    let high = min(u32(max(0.0, ceil(middle + around))), params.out_length - 1u);
    var sum = 0.0;
    for (var t = low; t <= high; t++) {
        let found = taps(t);
        let value = dy[(start + t) * params.inner + inside];
        for (var j = found.first; j < found.end; j++) {
            if source(j) == own { sum += weight(found, j) * value; }
        }
    }
    dx[at] = sum;
}
