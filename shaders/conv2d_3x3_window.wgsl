// 3x3 cross-correlation of stride 1 and padding 1, for CPU rasterisers, with what follows it in the network
// done before the store:
//
//     y = relu?( affine?( x * w [+ residual] ) [+ residual] )          the forward pass
//     y = ( x * w [+ residual] ) * scale where mask > 0 [+ residual]   derivatives for x
//
//   grid      x: one invocation per pair of quads of a plane, 64 to a workgroup, for the images of the window;
//             y: one workgroup per 8 output channels of the window
//   x, y      [image][channel][row][column / 4] of vec4f over columns; mask and residual as y
//   w         packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//   affine    [scale, shift][out channel]; what the flags leave out is bound to any buffer
//
// Everything read lies in uniform windows of 64 KiB, because lavapipe reads those 16 times faster than storage
// buffers (src/gpu/kernel.rs); one launch covers the images and channels its windows show.
// An invocation holds 8 columns of a row (or two rows of 4: NARROW) by 8 channels in registers. A load is a gather
// lane by lane, so a quad is loaded once for all three kernel columns and eight channels, and 8 weights are loaded
// by 8 lanes and broadcast. Nothing is indexed by a loop: that would put it in memory.
// Host side: src/ops/conv2d_window.rs. Appended: shared/epilogue.wgsl.

// Rows of one quad, taken two at a time.
override NARROW: bool = false;

struct Params {
    inputs: u32,
    outputs: u32,
    height: u32,
    quads: u32, // in a row
    first_image: u32,
    images: u32, // of this launch
    first_block: u32,
    x_skip: u32, // vec4s before each window
    w_skip: u32,
    y_skip: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> x: array<vec4f, 4096>;
@group(0) @binding(2) var<uniform> w: array<vec4f, 4096>;
@group(0) @binding(4) var<uniform> mask: array<vec4f, 4096>;
@group(0) @binding(5) var<uniform> residual: array<vec4f, 4096>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

fn store(o: u32, at: u32, value: vec4f) {
    if o >= params.outputs { return; }
    var rest = vec4f(0.0);
    if RESIDUAL > 0u { rest = residual[at - params.y_skip]; }
    var kept = vec4f(1.0);
    if MASK { kept = select(vec4f(0.0), vec4f(1.0), mask[at - params.y_skip] > vec4f(0.0)); }
    y[at] = epilogue(o, value, rest, kept);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let quads = params.quads;
    let plane = quads * params.height;
    let pairs = plane / 2u;
    let flat = workgroup.x * 64u + lane;
    // Lanes beyond the last pair compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * pairs;
    let pair = min(flat, params.images * pairs - 1u);
    let n = pair / pairs;
    let quad = (pair - n * pairs) * 2u;
    let row = quad / quads;
    let column = quad - row * quads; // the first quad's
    let block = params.first_block + workgroup.y;
    let has_left = select(0.0, 1.0, column > 0u);
    let has_right = select(0.0, 1.0, column + 2u < quads);

    var a0 = vec4f(0.0);
    var a1 = vec4f(0.0);
    var a2 = vec4f(0.0);
    var a3 = vec4f(0.0);
    var a4 = vec4f(0.0);
    var a5 = vec4f(0.0);
    var a6 = vec4f(0.0);
    var a7 = vec4f(0.0);
    var b0 = vec4f(0.0);
    var b1 = vec4f(0.0);
    var b2 = vec4f(0.0);
    var b3 = vec4f(0.0);
    var b4 = vec4f(0.0);
    var b5 = vec4f(0.0);
    var b6 = vec4f(0.0);
    var b7 = vec4f(0.0);
    var tap = block * params.inputs * 18u + lane % 8u / 4u - params.w_skip; // in vec4s, two to a tap
    for (var i = 0u; i < params.inputs; i++) {
        let first = ((params.first_image + n) * params.inputs + i) * plane - params.x_skip;
        for (var r = 0u; r < 3u; r++) {
            // Rows are counted from the padding; what lies outside is read at the edge and made zero.
            let row_a = row + r;
            let inside_a = select(0.0, 1.0, row_a >= 1u && row_a <= params.height);
            let line_a = first + (clamp(row_a, 1u, params.height) - 1u) * quads;
            var la: vec4f;
            var ma: vec4f;
            var ra: vec4f;
            var lb: vec4f;
            var mb: vec4f;
            var rb: vec4f;
            if NARROW {
                let row_b = row_a + 1u;
                let inside_b = select(0.0, 1.0, row_b <= params.height);
                let line_b = first + min(row_b, params.height) - 1u;
                ma = x[line_a] * inside_a;
                mb = x[line_b] * inside_b;
                la = vec4f(0.0, ma.xyz);
                ra = vec4f(ma.yzw, 0.0);
                lb = vec4f(0.0, mb.xyz);
                rb = vec4f(mb.yzw, 0.0);
            } else {
                let at = line_a + column;
                ma = x[at] * inside_a;
                mb = x[at + 1u] * inside_a;
                let before = x[max(at, 1u) - 1u].w * (inside_a * has_left);
                let after = x[min(at + 2u, 4095u)].x * (inside_a * has_right);
                la = vec4f(before, ma.xyz);
                ra = vec4f(ma.yzw, mb.x);
                lb = vec4f(ma.w, mb.xyz);
                rb = vec4f(mb.yzw, after);
            }
            let w0 = w[tap][lane % 4u];
            let w1 = w[tap + 2u][lane % 4u];
            let w2 = w[tap + 4u][lane % 4u];
            tap += 6u;
            let p0 = subgroupBroadcast(w0, 0u);
            let q0 = subgroupBroadcast(w1, 0u);
            let s0 = subgroupBroadcast(w2, 0u);
            a0 += p0 * la + q0 * ma + s0 * ra;
            b0 += p0 * lb + q0 * mb + s0 * rb;
            let p1 = subgroupBroadcast(w0, 1u);
            let q1 = subgroupBroadcast(w1, 1u);
            let s1 = subgroupBroadcast(w2, 1u);
            a1 += p1 * la + q1 * ma + s1 * ra;
            b1 += p1 * lb + q1 * mb + s1 * rb;
            let p2 = subgroupBroadcast(w0, 2u);
            let q2 = subgroupBroadcast(w1, 2u);
            let s2 = subgroupBroadcast(w2, 2u);
            a2 += p2 * la + q2 * ma + s2 * ra;
            b2 += p2 * lb + q2 * mb + s2 * rb;
            let p3 = subgroupBroadcast(w0, 3u);
            let q3 = subgroupBroadcast(w1, 3u);
            let s3 = subgroupBroadcast(w2, 3u);
            a3 += p3 * la + q3 * ma + s3 * ra;
            b3 += p3 * lb + q3 * mb + s3 * rb;
            let p4 = subgroupBroadcast(w0, 4u);
            let q4 = subgroupBroadcast(w1, 4u);
            let s4 = subgroupBroadcast(w2, 4u);
            a4 += p4 * la + q4 * ma + s4 * ra;
            b4 += p4 * lb + q4 * mb + s4 * rb;
            let p5 = subgroupBroadcast(w0, 5u);
            let q5 = subgroupBroadcast(w1, 5u);
            let s5 = subgroupBroadcast(w2, 5u);
            a5 += p5 * la + q5 * ma + s5 * ra;
            b5 += p5 * lb + q5 * mb + s5 * rb;
            let p6 = subgroupBroadcast(w0, 6u);
            let q6 = subgroupBroadcast(w1, 6u);
            let s6 = subgroupBroadcast(w2, 6u);
            a6 += p6 * la + q6 * ma + s6 * ra;
            b6 += p6 * lb + q6 * mb + s6 * rb;
            let p7 = subgroupBroadcast(w0, 7u);
            let q7 = subgroupBroadcast(w1, 7u);
            let s7 = subgroupBroadcast(w2, 7u);
            a7 += p7 * la + q7 * ma + s7 * ra;
            b7 += p7 * lb + q7 * mb + s7 * rb;
        }
    }
    if !inside { return; }
    let o = block * 8u;
    let at = ((params.first_image + n) * params.outputs + o) * plane + quad;
    store(o + 0u, at + 0u * plane, a0);
    store(o + 0u, at + 0u * plane + 1u, b0);
    store(o + 1u, at + 1u * plane, a1);
    store(o + 1u, at + 1u * plane + 1u, b1);
    store(o + 2u, at + 2u * plane, a2);
    store(o + 2u, at + 2u * plane + 1u, b2);
    store(o + 3u, at + 3u * plane, a3);
    store(o + 3u, at + 3u * plane + 1u, b3);
    store(o + 4u, at + 4u * plane, a4);
    store(o + 4u, at + 4u * plane + 1u, b4);
    store(o + 5u, at + 5u * plane, a5);
    store(o + 5u, at + 5u * plane + 1u, b5);
    store(o + 6u, at + 6u * plane, a6);
    store(o + 6u, at + 6u * plane + 1u, b6);
    store(o + 7u, at + 7u * plane, a7);
    store(o + 7u, at + 7u * plane + 1u, b7);
}
