// Reads a 3x3 kernel g for Winograd's filtering, forward or for the derivative for x, and for F(4x4, 3x3) multiplies it by the
// matrix G on one side; the whole transform is G g G^T.

override TRANSPOSED: bool = false;

const ROOT: f32 = 1.4142135623730951;

struct Params { outputs: u32, inputs: u32, kernel_height: u32, kernel_width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;

// Channels of the result, and those that are summed over.
fn many() -> u32 { return select(params.outputs, params.inputs, TRANSPOSED); }
fn other() -> u32 { return select(params.inputs, params.outputs, TRANSPOSED); }

// Of channel `m` of the result and channel `j` of the sum, turned by half if TRANSPOSED; zeros beyond the last channel.
fn kernel_of(m: u32, j: u32) -> mat3x3f {
    var g = mat3x3f();
    if m >= many() { return g; }
    let o = select(m, j, TRANSPOSED);
    let i = select(j, m, TRANSPOSED);
    for (var tap = 0u; tap < 9u; tap++) {
        let source = select(tap, 8u - tap, TRANSPOSED);
        g[tap / 3u][tap % 3u] = w[(o * params.inputs + i) * 9u + source];
    }
    return g;
}

struct Six { k0: vec3f, k1: vec3f, k2: vec3f, k3: vec3f, k4: vec3f, k5: vec3f }

// G of three values, for the points 0, +-1/sqrt(2), +-sqrt(2) and infinity.
fn six_of(g0: vec3f, g1: vec3f, g2: vec3f) -> Six {
    let a = -(2.0 * g0 + g2) / 3.0;
    let b = -ROOT * g1 / 3.0;
    let c = (g0 + 2.0 * g2) / 6.0;
    let d = ROOT * g1 / 6.0;
    return Six(g0, a + b, a - b, c + d, c - d, g2);
}
