// 3x3 cross-correlation of stride 1 and padding 1 over rows of whole quads, derivative for the weights: the share of the
// images of one launch. As conv2d_weights.wgsl, but one invocation holds the three columns of a kernel row, which
// see the same quad of x shifted by one.
//
//   grid      x: one invocation per (in channel, kernel row); y: one workgroup per 8 output channels
//   x, dy     [image][channel][row][column], width divisible by 4
//   partials  [part w_skip of the launch][out channel][in channel][row][column]
//
// Host side: src/ops/packed_weight_gradient.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_pair_*.wgsl.

@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

fn store(o: u32, t: u32, all: u32, value: vec3f) {
    if o >= params.outputs { return; }
    let at = ((params.w_skip * params.outputs + o) * all + t) * 3u;
    partials[at] = value.x;
    partials[at + 1u] = value.y;
    partials[at + 2u] = value.z;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let all = params.inputs * 3u;
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last position compute it too and store nothing: broadcasts need all lanes.
    let t = min(flat, all - 1u);
    let i = t / 3u;
    let r = t % 3u;
    let o = (params.first_block + workgroup.y) * 8u;
    let plane = params.height * params.width;

    var l0 = 0.0;
    var m0 = 0.0;
    var r0 = 0.0;
    var l1 = 0.0;
    var m1 = 0.0;
    var r1 = 0.0;
    var l2 = 0.0;
    var m2 = 0.0;
    var r2 = 0.0;
    var l3 = 0.0;
    var m3 = 0.0;
    var r3 = 0.0;
    var l4 = 0.0;
    var m4 = 0.0;
    var r4 = 0.0;
    var l5 = 0.0;
    var m5 = 0.0;
    var r5 = 0.0;
    var l6 = 0.0;
    var m6 = 0.0;
    var r6 = 0.0;
    var l7 = 0.0;
    var m7 = 0.0;
    var r7 = 0.0;
    for (var n = params.first_image; n < params.first_image + params.images; n++) {
        let first = (n * params.inputs + i) * plane;
        for (var v = 0u; v < params.height; v++) {
            let row = v + r - 1u; // wraps above the image and is then too large
            let inside = select(0.0, 1.0, row < params.height);
            let line = first + min(row, params.height - 1u) * params.width;
            var before = 0.0;
            for (var u = 0u; u < params.width; u += 4u) {
                let middle = x_quad(line + u) * inside;
                let beyond = u + 4u >= params.width;
                let after = select(inside * x_word(line + min(u + 4u, params.width - 1u)), 0.0, beyond);
                let left = vec4f(before, middle.xyz);
                let right = vec4f(middle.yzw, after);
                before = middle.w;
                let eight = quads((n * params.outputs + o) * plane + v * params.width + u, plane, lane);
                l0 += dot(eight.d0, left);
                m0 += dot(eight.d0, middle);
                r0 += dot(eight.d0, right);
                l1 += dot(eight.d1, left);
                m1 += dot(eight.d1, middle);
                r1 += dot(eight.d1, right);
                l2 += dot(eight.d2, left);
                m2 += dot(eight.d2, middle);
                r2 += dot(eight.d2, right);
                l3 += dot(eight.d3, left);
                m3 += dot(eight.d3, middle);
                r3 += dot(eight.d3, right);
                l4 += dot(eight.d4, left);
                m4 += dot(eight.d4, middle);
                r4 += dot(eight.d4, right);
                l5 += dot(eight.d5, left);
                m5 += dot(eight.d5, middle);
                r5 += dot(eight.d5, right);
                l6 += dot(eight.d6, left);
                m6 += dot(eight.d6, middle);
                r6 += dot(eight.d6, right);
                l7 += dot(eight.d7, left);
                m7 += dot(eight.d7, middle);
                r7 += dot(eight.d7, right);
            }
        }
    }
    if flat >= all { return; }
    store(o + 0u, t, all, vec3f(l0, m0, r0));
    store(o + 1u, t, all, vec3f(l1, m1, r1));
    store(o + 2u, t, all, vec3f(l2, m2, r2));
    store(o + 3u, t, all, vec3f(l3, m3, r3));
    store(o + 4u, t, all, vec3f(l4, m4, r4));
    store(o + 5u, t, all, vec3f(l5, m5, r5));
    store(o + 6u, t, all, vec3f(l6, m6, r6));
    store(o + 7u, t, all, vec3f(l7, m7, r7));
}
