// Plain derivative of a 2-D cross-correlation for its weights: an invocation computes that of one weight by itself. The tests
// compare the tiled kernels with it.
//
//     dw[o,i,r,c] = sum over n,v,u of dy[n,o,v,u] * x[n, i, v*stride_y + r - pad_y, u*stride_x + c - pad_x]
//
//   grid       one invocation per weight, see shared/index.wgsl; the launches of all slices of images add up one sum in
//              one order: where params.epilogue is 1 a launch adds to the sum of the one before. params.lines
//              counts rows of dy
//   dy, x, dw  as y, x, w in conv2d.wgsl
//
// Host side: src/ops/conv/plain.rs. Appended: shared/conv2d_params.wgsl, shared/index.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    let window = params.kernel_height * params.kernel_width;
    if at >= params.outputs * params.inputs * window { return; }
    let c = at % params.kernel_width;
    let r = at / params.kernel_width % params.kernel_height;
    let i = at / window % params.inputs;
    let o = at / (window * params.inputs);
    var sum = 0.0;
    if params.epilogue == 1u { sum = dw[at]; }
    for (var n = params.first_image; n < params.first_image + params.images; n++) {
        for (var v = params.first_line; v < params.first_line + params.lines; v++) {
            let row = v * params.stride_y + r - params.pad_y;
            if row >= params.height { continue; }
            for (var u = 0u; u < params.out_width; u++) {
                let column = u * params.stride_x + c - params.pad_x;
                if column >= params.width { continue; }
                let source = ((n * params.inputs + i) * params.height + row) * params.width + column;
                sum += dy[((n * params.outputs + o) * params.out_height + v) * params.out_width + u] * x[source];
            }
        }
    }
    dw[at] = sum;
}
