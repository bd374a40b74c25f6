// Layer normalisation over the channels of each pixel:  y = (x - mean) / sqrt(variance + eps) * gamma + beta
//
//   grid           one invocation per unit of pixels, which walks over the channels three times; two passes for the
//                  variance, so that a large mean does not cancel; see shared/index.wgsl
//   x, y           [image][channel][unit]; a unit is a vec4 or one pixel
//   gamma, beta    [channel]
//   mean, inverse  [image][unit]; inverse = 1 / sqrt(variance + eps): for the derivative
//
// Host side: src/ops/layer_norm.rs. Appended: shared/index.wgsl, shared/overflow.wgsl, shared/elem_*.wgsl.

struct Params { images: u32, channels: u32, units: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;
@group(0) @binding(5) var<storage, read_write> mean: array<Elem>;
@group(0) @binding(6) var<storage, read_write> inverse: array<Elem>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= params.images * params.units { return; }
    let first = at / params.units * params.channels * params.units + at % params.units;
    let count = f32(params.channels);
    var sum = Elem(0.0);
    for (var c = 0u; c < params.channels; c++) { sum += x[first + c * params.units]; }
    let middle = sum / count;
    var squares = Elem(0.0);
    for (var c = 0u; c < params.channels; c++) {
        let d = x[first + c * params.units] - middle;
        squares += d * d;
    }
    let scale = inverse_deviation(squares / count, params.eps);
    for (var c = 0u; c < params.channels; c++) {
        let i = first + c * params.units;
        y[i] = (x[i] - middle) * scale * gamma[c] + beta[c];
    }
    mean[at] = middle;
    inverse[at] = scale;
}
