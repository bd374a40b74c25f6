// Plain 2-D cross-correlation: an invocation computes one output by itself. The tests compare the tiled kernels with it.
//
//     y[n,o,v,u] = sum over i,r,c of w[o,i,r,c] * x[n, i, v*stride_y + r - pad_y, u*stride_x + c - pad_x]
//
//   grid  one invocation per output of the launch's images, see shared/index.wgsl
//   x     [image][channel][row][column],  w  [out channel][in channel][row][column],  y  as x
//
// Host side: src/ops/conv/plain.rs. Appended: shared/conv2d_params.wgsl, shared/index.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = params.outputs * params.out_height * params.out_width;
    let at = params.first_image * image + flat_index(workgroup, workgroups, lane);
    if at >= (params.first_image + params.images) * image { return; }
    let u = at % params.out_width;
    let v = at / params.out_width % params.out_height;
    let o = at / (params.out_width * params.out_height) % params.outputs;
    let n = at / image;
    var sum = 0.0;
    for (var i = 0u; i < params.inputs; i++) {
        for (var r = 0u; r < params.kernel_height; r++) {
            // A row above the image wraps to a large number and is skipped with those below it.
            let row = v * params.stride_y + r - params.pad_y;
            if row >= params.height { continue; }
            for (var c = 0u; c < params.kernel_width; c++) {
                let column = u * params.stride_x + c - params.pad_x;
                if column >= params.width { continue; }
                let source = ((n * params.inputs + i) * params.height + row) * params.width + column;
                let weight = ((o * params.inputs + i) * params.kernel_height + r) * params.kernel_width + c;
                sum += w[weight] * x[source];
            }
        }
    }
    y[at] = sum;
}
