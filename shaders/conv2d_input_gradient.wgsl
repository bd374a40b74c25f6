// Plain derivative of a 2-D cross-correlation for x: an invocation computes one value by itself. The tests compare the tiled
// kernels with it.
//
//     dx[n,i,row,column] = sum over o,r,c of w[o,i,r,c] * dy[n,o,v,u]
//                          with v * stride_y + r - pad_y = row and u * stride_x + c - pad_x = column
//
//   grid    one invocation per value of the launch's images, see shared/index.wgsl
//   dx      [image][in channel][row][column],  w, dy  as in conv2d.wgsl
//
// Host side: src/ops/conv/plain.rs. Appended: shared/conv2d_params.wgsl, shared/index.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = params.inputs * params.height * params.width;
    let at = params.first_image * image + flat_index(workgroup, workgroups, lane);
    if at >= (params.first_image + params.images) * image { return; }
    let column = at % params.width;
    let row = at / params.width % params.height;
    let i = at / (params.width * params.height) % params.inputs;
    let n = at / image;
    var sum = 0.0;
    for (var o = 0u; o < params.outputs; o++) {
        for (var r = 0u; r < params.kernel_height; r++) {
            let down = row + params.pad_y - r; // wraps where r is too large, and v is then too large
            let v = down / params.stride_y;
            if down % params.stride_y != 0u || v >= params.out_height { continue; }
            for (var c = 0u; c < params.kernel_width; c++) {
                let right = column + params.pad_x - c;
                let u = right / params.stride_x;
                if right % params.stride_x != 0u || u >= params.out_width { continue; }
                let source = ((n * params.outputs + o) * params.out_height + v) * params.out_width + u;
                let weight = ((o * params.inputs + i) * params.kernel_height + r) * params.kernel_width + c;
                sum += w[weight] * dy[source];
            }
        }
    }
    dx[at] = sum;
}
