// Weights in the order the tiled kernels read them: eight output channels side by side, zeros beyond the last.
//
//     packed[b][i][r][c][k] = w[8b + k][i][r][c]                          forward
//     packed[b][o][r][c][k] = w[o][8b + k][last row - r][last column - c]  TRANSPOSED and flipped: with it the
//                             forward kernel computes the derivative for x of a convolution of stride 1
//
//   grid    one invocation per packed weight, see shared/index.wgsl
//   w       [out channel][in channel][row][column]
//
// Host side: src/ops/pack_weights.rs. Appended: shared/index.wgsl.

override TRANSPOSED: bool = false;
override FLIPPED: bool = false;

struct Params { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    let window = params.kernel_height * params.kernel_width;
    let many = select(params.outputs, params.inputs, TRANSPOSED); // the channels that go eight by eight
    let other = select(params.inputs, params.outputs, TRANSPOSED);
    if at >= (many + 7u) / 8u * 8u * other * window { return; }
    let k = at % 8u;
    let tap = at / 8u % window;
    let j = at / (8u * window) % other;
    let m = at / (8u * window * other) * 8u + k;
    let source = select(tap, window - 1u - tap, FLIPPED);
    let o = select(m, j, TRANSPOSED);
    let i = select(j, m, TRANSPOSED);
    var value = 0.0;
    if m < many { value = w[(o * params.inputs + i) * window + source]; }
    packed[at] = value;
}
