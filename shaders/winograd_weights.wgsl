// Weights of 3x3 kernels as the batched product of Winograd's filtering reads them, zeros beyond the last out channel:
//
//     U[p][i][o] = (G w[o][i] G^T)[r][c]             forward, p = r * POINTS + c
//     U[p][o][i] = (G flipped w[o][i] G^T)[r][c]     TRANSPOSED: for the derivative for x
//
//   grid    one invocation per pair of channels, see shared/index.wgsl
//   w       [out channel][in channel][row][column]
//   u       [point][channel that is summed over][channel of the result, up to a multiple of 8]
//
// G is that of the points 0, +-1 and infinity (TWO: F(2x2, 3x3)), or 0, +-1/sqrt(2), +-sqrt(2) and infinity (F(4x4, 3x3)).
// Host side: src/ops/pack_weights.rs. Appended: shared/index.wgsl.

override TRANSPOSED: bool = false;
override TWO: bool = false;

const ROOT: f32 = 1.4142135623730951;

struct Params { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<f32>;

// G of three rows; the last two are not there if TWO.
fn transformed(g0: vec3f, g1: vec3f, g2: vec3f) -> array<vec3f, 6> {
    if TWO {
        let a = 0.5 * (g0 + g2);
        let b = 0.5 * g1;
        return array(g0, a + b, a - b, g2, vec3f(0.0), vec3f(0.0));
    }
    let a = -(2.0 * g0 + g2) / 3.0;
    let b = -ROOT * g1 / 3.0;
    let c = (g0 + 2.0 * g2) / 6.0;
    let d = ROOT * g1 / 6.0;
    return array(g0, a + b, a - b, c + d, c - d, g2);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    let many = select(params.outputs, params.inputs, TRANSPOSED); // channels of the result
    let other = select(params.inputs, params.outputs, TRANSPOSED);
    let padded = (many + 7u) / 8u * 8u;
    if at >= padded * other { return; }
    let result = at % padded;
    let summed = at / padded;
    let o = select(result, summed, TRANSPOSED);
    let i = select(summed, result, TRANSPOSED);
    var g = mat3x3f();
    if result < many {
        for (var tap = 0u; tap < 9u; tap++) {
            let source = select(tap, 8u - tap, TRANSPOSED);
            g[tap / 3u][tap % 3u] = w[(o * params.inputs + i) * 9u + source];
        }
    }
    // Rows first: three columns at once. Then each row's values are those of its three columns.
    let points = select(6u, 4u, TWO);
    var rows = transformed(g[0], g[1], g[2]);
    for (var r = 0u; r < points; r++) {
        let row = rows[r];
        var values = transformed(vec3f(row.x), vec3f(row.y), vec3f(row.z));
        for (var c = 0u; c < points; c++) {
            u[(r * points + c) * other * padded + at] = values[c].x;
        }
    }
}
