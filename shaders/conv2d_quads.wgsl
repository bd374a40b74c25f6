// 3x3 cross-correlation of stride 1 and padding 1 over rows of whole quads, with what follows it in the network
// done before the store (shared/epilogue.wgsl). With transposed and flipped weights: its derivative for x.
//
//   grid     x: one invocation per pair of quads of a plane, for the images of the launch;
//            y: one workgroup per 8 output channels
//   x, y     [image][channel][row][column], width divisible by 8, or 4 (NARROW) with an even height
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][row][column][out channel % 8]
//   mask, residual  as y
//
// An invocation holds 8 columns of a row (or two rows of 4) by 8 channels in registers: a quad is loaded once for all
// three kernel columns and eight channels. Nothing is indexed by a loop: that would put it in memory.
// Host side: src/ops/packed_conv2d.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_*.wgsl, shared/epilogue.wgsl.

// Rows of one quad, taken two at a time.
override NARROW: bool = false;
// Output channels that are not padding: what lies beyond 1 or 4 is left out.
override CHANNELS: u32 = 8u;

@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

fn store(o: u32, at: u32, value: vec4f) {
    if o >= params.outputs { return; }
    var rest = vec4f(0.0);
    if RESIDUAL > 0u { rest = residual_quad(at); }
    var kept = vec4f(1.0);
    if MASK { kept = select(vec4f(0.0), vec4f(1.0), mask_quad(at) > vec4f(0.0)); }
    y[at / 4u] = epilogue(o, value, rest, kept);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let plane = params.width * params.height;
    let pairs = plane / 8u;
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last pair compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * pairs;
    let pair = min(flat, params.images * pairs - 1u);
    let n = params.first_image + pair / pairs;
    let place = pair % pairs * 8u; // of the first quad in the plane
    let row = place / params.width;
    let column = place % params.width;
    let block = params.first_block + workgroup.y;
    let has_left = select(0.0, 1.0, column > 0u);
    let has_right = select(0.0, 1.0, column + 8u < params.width);
    // Neighbours outside the row are read at its own edge and made zero.
    let to_left = select(0u, 4u, column > 0u);
    let to_right = select(4u, 8u, column + 8u < params.width);

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
    var tap = block * params.inputs * 9u;
    for (var i = 0u; i < params.inputs; i++) {
        let first = (n * params.inputs + i) * plane;
        for (var r = 0u; r < 3u; r++) {
            // Rows are counted from the padding; one outside is read at the edge and made zero.
            let row_a = row + r;
            let inside_a = select(0.0, 1.0, row_a >= 1u && row_a <= params.height);
            let line_a = first + (clamp(row_a, 1u, params.height) - 1u) * params.width;
            var la: vec4f;
            var ma: vec4f;
            var ra: vec4f;
            var lb: vec4f;
            var mb: vec4f;
            var rb: vec4f;
            if NARROW {
                let row_b = row_a + 1u;
                let inside_b = select(0.0, 1.0, row_b <= params.height);
                ma = x_quad(line_a) * inside_a;
                mb = x_quad(first + (min(row_b, params.height) - 1u) * params.width) * inside_b;
                la = vec4f(0.0, ma.xyz);
                ra = vec4f(ma.yzw, 0.0);
                lb = vec4f(0.0, mb.xyz);
                rb = vec4f(mb.yzw, 0.0);
            } else {
                let at = line_a + column;
                ma = x_quad(at) * inside_a;
                mb = x_quad(at + 4u) * inside_a;
                la = vec4f(x_quad(at - to_left).w * (inside_a * has_left), ma.xyz);
                ra = vec4f(ma.yzw, mb.x);
                lb = vec4f(ma.w, mb.xyz);
                rb = vec4f(mb.yzw, x_quad(at + to_right).x * (inside_a * has_right));
            }
            let taps = octets(tap, lane);
            tap += 3u;
            a0 += taps.first.low.x * la + taps.second.low.x * ma + taps.third.low.x * ra;
            b0 += taps.first.low.x * lb + taps.second.low.x * mb + taps.third.low.x * rb;
            if CHANNELS > 1u {
                a1 += taps.first.low.y * la + taps.second.low.y * ma + taps.third.low.y * ra;
                b1 += taps.first.low.y * lb + taps.second.low.y * mb + taps.third.low.y * rb;
                a2 += taps.first.low.z * la + taps.second.low.z * ma + taps.third.low.z * ra;
                b2 += taps.first.low.z * lb + taps.second.low.z * mb + taps.third.low.z * rb;
                a3 += taps.first.low.w * la + taps.second.low.w * ma + taps.third.low.w * ra;
                b3 += taps.first.low.w * lb + taps.second.low.w * mb + taps.third.low.w * rb;
            }
            if CHANNELS > 4u {
                a4 += taps.first.high.x * la + taps.second.high.x * ma + taps.third.high.x * ra;
                b4 += taps.first.high.x * lb + taps.second.high.x * mb + taps.third.high.x * rb;
                a5 += taps.first.high.y * la + taps.second.high.y * ma + taps.third.high.y * ra;
                b5 += taps.first.high.y * lb + taps.second.high.y * mb + taps.third.high.y * rb;
                a6 += taps.first.high.z * la + taps.second.high.z * ma + taps.third.high.z * ra;
                b6 += taps.first.high.z * lb + taps.second.high.z * mb + taps.third.high.z * rb;
                a7 += taps.first.high.w * la + taps.second.high.w * ma + taps.third.high.w * ra;
                b7 += taps.first.high.w * lb + taps.second.high.w * mb + taps.third.high.w * rb;
            }
        }
    }
    if !inside { return; }
    let o = block * 8u;
    let at = (n * params.outputs + o) * plane + place;
    store(o + 0u, at + 0u * plane, a0);
    store(o + 0u, at + 0u * plane + 4u, b0);
    store(o + 1u, at + 1u * plane, a1);
    store(o + 1u, at + 1u * plane + 4u, b1);
    store(o + 2u, at + 2u * plane, a2);
    store(o + 2u, at + 2u * plane + 4u, b2);
    store(o + 3u, at + 3u * plane, a3);
    store(o + 3u, at + 3u * plane + 4u, b3);
    store(o + 4u, at + 4u * plane, a4);
    store(o + 4u, at + 4u * plane + 4u, b4);
    store(o + 5u, at + 5u * plane, a5);
    store(o + 5u, at + 5u * plane + 4u, b5);
    store(o + 6u, at + 6u * plane, a6);
    store(o + 6u, at + 6u * plane + 4u, b6);
    store(o + 7u, at + 7u * plane, a7);
    store(o + 7u, at + 7u * plane + 4u, b7);
}
