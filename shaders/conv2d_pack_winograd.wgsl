// Transforms the weights of 3x3 kernels for conv2d_winograd.wgsl: eight output channels side by side, zeros beyond the last.
//
//     packed[b][i][6r + c][k] = (G w[8b + k][i] G^T)[r][c]       forward
//     packed[b][o][6r + c][k] = (G flipped w[o][8b + k] G^T)[r][c]   TRANSPOSED: for the derivative for x
//
//   grid    one invocation per pair of channels, see shared/index.wgsl
//   w       [out channel][in channel][row][column]
//
// G is the kernel's transform for the points 0, +-1/sqrt(2), +-sqrt(2) and infinity.
// Host side: src/ops/conv/pack.rs. Appended: shared/winograd_kernel.wgsl, shared/index.wgsl.

@group(0) @binding(2) var<storage, read_write> packed: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if at >= (many() + 7u) / 8u * 8u * other() { return; }
    let k = at % 8u;
    let g = kernel_of(at / (8u * other()) * 8u + k, at / 8u % other());
    // Rows first: three columns at once. Then each row's six values are those of its three columns.
    let rows = six_of(g[0], g[1], g[2]);
    let six = array(rows.k0, rows.k1, rows.k2, rows.k3, rows.k4, rows.k5);
    for (var r = 0u; r < 6u; r++) {
        let row = six[r];
        let values = six_of(vec3f(row.x), vec3f(row.y), vec3f(row.z));
        let first = (at / 8u * 36u + 6u * r) * 8u + k;
        packed[first] = values.k0.x;
        packed[first + 8u] = values.k1.x;
        packed[first + 16u] = values.k2.x;
        packed[first + 24u] = values.k3.x;
        packed[first + 32u] = values.k4.x;
        packed[first + 40u] = values.k5.x;
    }
}
