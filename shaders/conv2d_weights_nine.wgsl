// Derivative of a 3x3 cross-correlation with padding 1 for its weights, with stride 1 or, if the constant HALVE is true, with
// stride 2 that halves both sides, as partial sums over ranges of images (parts). One invocation holds all nine weights of an
// input channel for eight out channels, where conv2d_weights.wgsl holds one, and walks down the rows: a row of x is loaded once
// for the three kernel rows that multiply it. params.lines counts columns of quads of dy (a quad is four columns, one vec4).
//
//   grid      x: one invocation per input channel; y: one workgroup per 8 output channels; z: parts of
//             part_images each
//   x, dy     [image][channel][row][column]; dy's width divisible by 4, x's height and width dy's or twice dy's
//   partials  [params.first_part + part][out channel][in channel][row][column]; where params.epilogue is 1 the sums are
//             added to what is there
//
// Host side: src/ops/conv/weights.rs. Appended: shared/conv2d_launch.wgsl, shared/conv2d_pair_*.wgsl,
// shared/conv2d_weight_sums.wgsl.

override HALVE: bool = false;

@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

// The values of x that the left, middle and right column of the kernel multiply, for four columns of dy.
struct Line { left: vec4f, middle: vec4f, right: vec4f }

// Rows above and below x are read at its edge and made zero.
fn line(first: u32, row: u32, column: u32) -> Line {
    let inside = select(0.0, 1.0, row < params.height);
    let at = first + min(row, params.height - 1u) * params.width + column;
    let has_left = column > 0u;
    let before = x_word(at - select(0u, 1u, has_left)) * select(0.0, inside, has_left);
    let a = x_quad(at) * inside;
    if HALVE {
        let b = x_quad(at + 4u) * inside;
        return Line(vec4f(before, a.yw, b.y), vec4f(a.xz, b.xz), vec4f(a.yw, b.yw));
    }
    let has_right = column + 4u < params.width;
    let after = x_word(at + select(3u, 4u, has_right)) * select(0.0, inside, has_right);
    return Line(vec4f(before, a.xyz), a, vec4f(a.yzw, after));
}

fn keep_one(part: u32, o: u32, i: u32, weight: u32, value: f32) {
    if o < params.outputs {
        let at = (((params.first_part + part) * params.outputs + o) * params.inputs + i) * 9u + weight;
        var sum = value;
        if params.epilogue == 1u { sum += partials[at]; }
        partials[at] = sum;
    }
}

fn keep(sums: Sums, part: u32, o: u32, i: u32, weight: u32) {
    keep_one(part, o + 0u, i, weight, sums.s0);
    keep_one(part, o + 1u, i, weight, sums.s1);
    keep_one(part, o + 2u, i, weight, sums.s2);
    keep_one(part, o + 3u, i, weight, sums.s3);
    keep_one(part, o + 4u, i, weight, sums.s4);
    keep_one(part, o + 5u, i, weight, sums.s5);
    keep_one(part, o + 6u, i, weight, sums.s6);
    keep_one(part, o + 7u, i, weight, sums.s7);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last channel compute it too and store nothing: broadcasts need all lanes.
    let i = min(flat, params.inputs - 1u);
    let o = (params.first_block + workgroup.y) * 8u;
    let plane = params.height * params.width;
    let out_plane = params.out_height * params.out_width;
    let stride = select(1u, 2u, HALVE);

    var w0 = Sums();
    var w1 = Sums();
    var w2 = Sums();
    var w3 = Sums();
    var w4 = Sums();
    var w5 = Sums();
    var w6 = Sums();
    var w7 = Sums();
    var w8 = Sums();
    let first_n = workgroup.z * params.part_images;
    let last_n = min(first_n + params.part_images, params.images);
    for (var n = params.first_image + first_n; n < params.first_image + last_n; n++) {
        let first = (n * params.inputs + i) * plane;
        let first_dy = (n * params.outputs + o) * out_plane;
        for (var quad = params.first_line; quad < params.first_line + params.lines; quad++) {
            let u = quad * 4u;
            let column = u * stride;
            // The row above the image, and at stride 1 the first one.
            var above = Line();
            var middle = line(first, 0u, column);
            for (var v = 0u; v < params.out_height; v++) {
                if HALVE { middle = line(first, v * 2u, column); }
                let below = line(first, v * stride + 1u, column);
                let d = quads(first_dy + v * params.out_width + u, out_plane, lane);
                add(&w0, d, above.left);
                add(&w1, d, above.middle);
                add(&w2, d, above.right);
                add(&w3, d, middle.left);
                add(&w4, d, middle.middle);
                add(&w5, d, middle.right);
                add(&w6, d, below.left);
                add(&w7, d, below.middle);
                add(&w8, d, below.right);
                if HALVE {
                    above = below;
                } else {
                    above = middle;
                    middle = below;
                }
            }
        }
    }
    if flat >= params.inputs { return; }
    keep(w0, workgroup.z, o, i, 0u);
    keep(w1, workgroup.z, o, i, 1u);
    keep(w2, workgroup.z, o, i, 2u);
    keep(w3, workgroup.z, o, i, 3u);
    keep(w4, workgroup.z, o, i, 4u);
    keep(w5, workgroup.z, o, i, 5u);
    keep(w6, workgroup.z, o, i, 6u);
    keep(w7, workgroup.z, o, i, 7u);
    keep(w8, workgroup.z, o, i, 8u);
}
