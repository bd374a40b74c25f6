// Transforms the weights of 3x3 kernels for the batched product of Winograd's filtering; zeros beyond the last out channel:
//
//     U[p][i][o] = (G w[o][i] G^T)[r][c]             forward, p = r * POINTS + c
//     U[p][o][i] = (G flipped w[o][i] G^T)[r][c]     TRANSPOSED: for the derivative for x
//
//   grid    one invocation per pair of channels, see shared/index.wgsl
//   w       [out channel][in channel][row][column]
//   u       [point][channel that is summed over][channel of the result, up to a multiple of 8]
//
// G is the kernel's transform for the points 0, +-1 and infinity (TWO: F(2x2, 3x3)), or 0, +-1/sqrt(2), +-sqrt(2) and
// infinity (F(4x4, 3x3)). Host side: src/ops/conv/pack.rs. Appended: shared/winograd_kernel.wgsl, shared/index.wgsl.

override TWO: bool = false;

@group(0) @binding(2) var<storage, read_write> u: array<f32>;

// G of three rows; the last two are not there if TWO.
fn transformed(g0: vec3f, g1: vec3f, g2: vec3f) -> array<vec3f, 6> {
    if TWO {
        let a = 0.5 * (g0 + g2);
        let b = 0.5 * g1;
        return array(g0, a + b, a - b, g2, vec3f(0.0), vec3f(0.0));
    }
    let six = six_of(g0, g1, g2);
    return array(six.k0, six.k1, six.k2, six.k3, six.k4, six.k5);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    let padded = (many() + 7u) / 8u * 8u;
    if at >= padded * other() { return; }
    let g = kernel_of(at % padded, at / padded);
    // Rows first: three columns at once. Then each row's values are those of its three columns.
    let points = select(6u, 4u, TWO);
    var rows = transformed(g[0], g[1], g[2]);
    for (var r = 0u; r < points; r++) {
        let row = rows[r];
        var values = transformed(vec3f(row.x), vec3f(row.y), vec3f(row.z));
        for (var c = 0u; c < points; c++) {
            u[(r * points + c) * other() * padded + at] = values[c].x;
        }
    }
}
