// Adds up the partial sums of a convolution whose input channels were divided among several workgroups (slices), in the order of
// the slices. The ops that follow the convolution in the network are done before the store (shared/epilogue.wgsl). For GPUs.
//
//     y[n][o][p] = sum over s of x[s][n][o][p]
//
//   grid     x: an invocation per quad (four columns) of all images, rows filled up to whole quads; y: per 8 output channels
//   x        [slice][image][channel][row][column], a slice slice_words behind the one before; residual, y as one slice
//   mask, bits  shared/mask_bits.wgsl
//
// Host side: src/ops/conv/packed.rs. Appended: shared/conv2d_launch.wgsl, shared/epilogue.wgsl, and
// shared/conv2d_read_storage.wgsl, shared/conv2d_store_quads.wgsl and shared/conv2d_slice_quads.wgsl; or, where rows are not
// whole quads, shared/conv2d_read_words.wgsl, shared/conv2d_store_words.wgsl, shared/conv2d_gemm_words.wgsl and
// shared/conv2d_slice_words.wgsl.

const LANES: u32 = 64u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let across = words_across();
    let quads = across * params.out_height;
    let number = workgroup.x * LANES + lane;
    let n = number / quads;
    if n >= params.images { return; }
    let row = number % quads / across;
    let column = number % quads % across * 4u;
    let plane = params.out_height * params.out_width;
    let place = row * params.out_width + column;
    let first = first_word(n, workgroup.y);
    let through = mask_of(first, place, plane, 1u);
    let slices = (params.inputs + params.slice_inputs - 1u) / params.slice_inputs;
    var above = 0u;
    for (var c = 0u; c < 8u; c++) {
        let o = workgroup.y * 8u + c;
        let at = (n * params.outputs + min(o, params.outputs - 1u)) * plane + place;
        var sum = slice_quad(at, column);
        for (var slice = 1u; slice < slices; slice++) { sum += slice_quad(slice * params.slice_words + at, column); }
        above |= keep_channel(o, at, sum, through >> (4u * c)) << (4u * c);
    }
    keep_word(first + row * across + column / 4u, above);
}
