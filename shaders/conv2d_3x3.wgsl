// 3x3 cross-correlation of stride 1 over rows of whole quads (widths divisible by 4), with what follows it
// in the network done before the store:
//
//     y = relu?( affine?( x * w [+ residual] ) [+ residual] )          the forward pass
//     y = ( x * w [+ residual] ) * scale where mask > 0 [+ residual]   derivatives for x
//
//   grid      x, y: one invocation per pair of quads of one image's plane, 64 to a workgroup, images outermost;
//             z: one workgroup per 8 output channels
//   x, y      [image][channel][row][column / 4] of vec4f over columns; mask and residual as y
//   w         packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8],
//             bound in shared/octet_*.wgsl
//   affine    [scale, shift][out channel]; what the flags leave out is bound to any buffer
//
// An invocation holds 8 columns (or 4 of two rows) by 8 channels in registers. A CPU rasteriser spends its
// time in loads, which are gathers lane by lane: a quad is loaded once for all three kernel columns and eight
// channels, and 8 weights are loaded by 8 lanes and broadcast. No workgroup memory, no arrays that loops
// index: those are not unrolled everywhere and then lie in memory.
// Host side: src/ops/conv2d_tiled.rs. Appended: shared/conv2d_params.wgsl, shared/epilogue.wgsl,
// shared/octet_*.wgsl.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read> mask: array<vec4f>;
@group(0) @binding(5) var<storage, read> residual: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

// Four columns with their neighbours: what the three kernel columns see.
struct Window { left: vec4f, middle: vec4f, right: vec4f }

// `first` is the row's first quad, `q` the quad within it; all zeros if the row lies outside.
fn window(first: u32, q: u32, quads: u32, row_inside: bool) -> Window {
    let at = first + q;
    var middle = x[at];
    var before = 0.0;
    var after = 0.0;
    if quads > 1u {
        before = select(0.0, x[at - select(0u, 1u, q > 0u)].w, q > 0u);
        after = select(0.0, x[at + select(0u, 1u, q + 1u < quads)].x, q + 1u < quads);
    }
    let factor = select(0.0, 1.0, row_inside);
    middle *= factor;
    return Window(vec4f(before * factor, middle.xyz), middle, vec4f(middle.yzw, after * factor));
}

fn store(n: u32, o: u32, quad: u32, plane: u32, value: vec4f) {
    if o >= params.outputs { return; }
    let at = (n * params.outputs + o) * plane + quad;
    var result = value;
    var rest = vec4f(0.0);
    if RESIDUAL > 0u { rest = residual[at]; }
    var kept = vec4f(1.0);
    if MASK { kept = select(vec4f(0.0), vec4f(1.0), mask[at] > vec4f(0.0)); }
    y[at] = epilogue(o, result, rest, kept);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = params.width / 4u;
    let plane = quads * params.height; // equals the output's: padding 1, stride 1
    let pairs = (plane + 1u) / 2u;
    let flat = (workgroup.y * workgroups.x + workgroup.x) * 64u + lane;
    // Lanes beyond the last pair compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * pairs;
    let pair = min(flat, params.images * pairs - 1u);
    let n = pair / pairs;
    let quad_a = pair % pairs * 2u;
    let quad_b = min(quad_a + 1u, plane - 1u);
    let block = workgroup.z;
    // Divisions stay out of the loops: a rasteriser does them lane by lane.
    let row_of_a = quad_a / quads;
    let row_of_b = quad_b / quads;
    let column_of_a = quad_a - row_of_a * quads;
    let column_of_b = quad_b - row_of_b * quads;

    var a: array<vec4f, 8>;
    var b: array<vec4f, 8>;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * plane;
        for (var r = 0u; r < 3u; r++) {
            let row_a = row_of_a + r; // one too large: the padding
            let row_b = row_of_b + r;
            let in_a = row_a >= 1u && row_a <= params.height;
            let in_b = row_b >= 1u && row_b <= params.height;
            let xa = window(first + (clamp(row_a, 1u, params.height) - 1u) * quads, column_of_a, quads, in_a);
            let xb = window(first + (clamp(row_b, 1u, params.height) - 1u) * quads, column_of_b, quads, in_b);
            let tap = ((block * params.inputs + i) * 3u + r) * 3u;
            let w0 = octet(tap, lane);
            let w1 = octet(tap + 1u, lane);
            let w2 = octet(tap + 2u, lane);
            a[0] += w0.low.x * xa.left + w1.low.x * xa.middle + w2.low.x * xa.right;
            a[1] += w0.low.y * xa.left + w1.low.y * xa.middle + w2.low.y * xa.right;
            a[2] += w0.low.z * xa.left + w1.low.z * xa.middle + w2.low.z * xa.right;
            a[3] += w0.low.w * xa.left + w1.low.w * xa.middle + w2.low.w * xa.right;
            a[4] += w0.high.x * xa.left + w1.high.x * xa.middle + w2.high.x * xa.right;
            a[5] += w0.high.y * xa.left + w1.high.y * xa.middle + w2.high.y * xa.right;
            a[6] += w0.high.z * xa.left + w1.high.z * xa.middle + w2.high.z * xa.right;
            a[7] += w0.high.w * xa.left + w1.high.w * xa.middle + w2.high.w * xa.right;
            b[0] += w0.low.x * xb.left + w1.low.x * xb.middle + w2.low.x * xb.right;
            b[1] += w0.low.y * xb.left + w1.low.y * xb.middle + w2.low.y * xb.right;
            b[2] += w0.low.z * xb.left + w1.low.z * xb.middle + w2.low.z * xb.right;
            b[3] += w0.low.w * xb.left + w1.low.w * xb.middle + w2.low.w * xb.right;
            b[4] += w0.high.x * xb.left + w1.high.x * xb.middle + w2.high.x * xb.right;
            b[5] += w0.high.y * xb.left + w1.high.y * xb.middle + w2.high.y * xb.right;
            b[6] += w0.high.z * xb.left + w1.high.z * xb.middle + w2.high.z * xb.right;
            b[7] += w0.high.w * xb.left + w1.high.w * xb.middle + w2.high.w * xb.right;
        }
    }
    if !inside { return; }
    let o = block * 8u;
    store(n, o, quad_a, plane, a[0]);
    store(n, o + 1u, quad_a, plane, a[1]);
    store(n, o + 2u, quad_a, plane, a[2]);
    store(n, o + 3u, quad_a, plane, a[3]);
    store(n, o + 4u, quad_a, plane, a[4]);
    store(n, o + 5u, quad_a, plane, a[5]);
    store(n, o + 6u, quad_a, plane, a[6]);
    store(n, o + 7u, quad_a, plane, a[7]);
    if quad_b == quad_a { return; }
    store(n, o, quad_b, plane, b[0]);
    store(n, o + 1u, quad_b, plane, b[1]);
    store(n, o + 2u, quad_b, plane, b[2]);
    store(n, o + 3u, quad_b, plane, b[3]);
    store(n, o + 4u, quad_b, plane, b[4]);
    store(n, o + 5u, quad_b, plane, b[5]);
    store(n, o + 6u, quad_b, plane, b[6]);
    store(n, o + 7u, quad_b, plane, b[7]);
}
