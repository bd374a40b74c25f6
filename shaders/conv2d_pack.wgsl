// Copies a convolution's weights into the order in which the tiled kernels read them: eight output channels side by side,
// zeros beyond the last.
//
//     packed[b][i][r][c][k] = w[8b + k][i][r][c]                          forward
//     packed[b][o][r][c][k] = w[o][8b + k][last row - r][last column - c]  TRANSPOSED and FLIPPED: with these the
//                             forward kernel computes the derivative for x of a convolution of stride 1
//
//   grid    one invocation per packed weight, see shared/index.wgsl
//   w       [out channel][in channel][row][column]
//
// Host side: src/ops/conv/pack.rs. Appended: shared/packed_weight.wgsl, shared/index.wgsl.

@group(0) @binding(2) var<storage, read_write> packed: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at < packed_weights() { packed[at] = packed_weight(at); }
}
