// Layer normalisation over the channels of each pixel, derivative for x. With  g = dy * gamma,
// z = (x - mean) * inverse  and means over the channels:
//
//     dx = inverse * (g - mean(g) - z * mean(g * z))
//
//   grid           one invocation per unit of pixels, which walks over the channels twice, see shared/index.wgsl
//   dy, x, dx      [image][channel][unit]; a unit is a vec4 or one pixel
//   gamma          [channel]
//   mean, inverse  [image][unit]
//
// Host side: src/ops/layer_norm.rs. Appended: shared/index.wgsl, shared/elem_*.wgsl.

struct Params { images: u32, channels: u32, units: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<Elem>;
@group(0) @binding(5) var<storage, read> inverse: array<Elem>;
@group(0) @binding(6) var<storage, read_write> dx: array<Elem>;

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
    let middle = mean[at];
    let scale = inverse[at];
    var sum = Elem(0.0);
    var products = Elem(0.0);
    for (var c = 0u; c < params.channels; c++) {
        let i = first + c * params.units;
        let g = dy[i] * gamma[c];
        sum += g;
        products += g * ((x[i] - middle) * scale);
    }
    sum /= count;
    products /= count;
    for (var c = 0u; c < params.channels; c++) {
        let i = first + c * params.units;
        dx[i] = scale * (dy[i] * gamma[c] - sum - (x[i] - middle) * scale * products);
    }
}
