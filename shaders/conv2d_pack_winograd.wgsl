// Weights of 3x3 kernels as conv2d_winograd.wgsl reads them: transformed, eight output channels side by side, zeros beyond
// the last.
//
//     packed[b][i][6r + c][k] = (G w[8b + k][i] G^T)[r][c]       forward
//     packed[b][o][6r + c][k] = (G flipped w[o][8b + k] G^T)[r][c]   TRANSPOSED: for the derivative for x
//
//   grid    one invocation per pair of channels, see shared/index.wgsl
//   w       [out channel][in channel][row][column]
//
// G is that of the points 0, +-1/sqrt(2), +-sqrt(2) and infinity.
// Host side: src/ops/pack_weights.rs. Appended: shared/index.wgsl.

override TRANSPOSED: bool = false;

const ROOT: f32 = 1.4142135623730951;

struct Params { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<f32>;

struct Six { k0: vec3f, k1: vec3f, k2: vec3f, k3: vec3f, k4: vec3f, k5: vec3f }

// G of three values.
fn transformed(g0: vec3f, g1: vec3f, g2: vec3f) -> Six {
    let a = -(2.0 * g0 + g2) / 3.0;
    let b = -ROOT * g1 / 3.0;
    let c = (g0 + 2.0 * g2) / 6.0;
    let d = ROOT * g1 / 6.0;
    return Six(g0, a + b, a - b, c + d, c - d, g2);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    let many = select(params.outputs, params.inputs, TRANSPOSED); // the channels that go eight by eight
    let other = select(params.inputs, params.outputs, TRANSPOSED);
    if at >= (many + 7u) / 8u * 8u * other { return; }
    let k = at % 8u;
    let j = at / 8u % other;
    let m = at / (8u * other) * 8u + k;
    let o = select(m, j, TRANSPOSED);
    let i = select(j, m, TRANSPOSED);
    var g = mat3x3f();
    if m < many {
        for (var tap = 0u; tap < 9u; tap++) {
            let source = select(tap, 8u - tap, TRANSPOSED);
            g[tap / 3u][tap % 3u] = w[(o * params.inputs + i) * 9u + source];
        }
    }
    // Rows first: three columns at once. Then each row's six values are those of its three columns.
    let rows = transformed(g[0], g[1], g[2]);
    let six = array(rows.k0, rows.k1, rows.k2, rows.k3, rows.k4, rows.k5);
    for (var r = 0u; r < 6u; r++) {
        let row = six[r];
        let values = transformed(vec3f(row.x), vec3f(row.y), vec3f(row.z));
        let first = (at / 8u * 36u + 6u * r) * 8u + k;
        packed[first] = values.k0.x;
        packed[first + 8u] = values.k1.x;
        packed[first + 16u] = values.k2.x;
        packed[first + 24u] = values.k3.x;
        packed[first + 32u] = values.k4.x;
        packed[first + 40u] = values.k5.x;
    }
}
