// The result of Winograd's filtering F(2x2, 3x3) from the batched product's sums. The ops that follow the convolution in
// the network are done before the store (shared/epilogue.wgsl).
//
//   Y = A^T M A     M: 4x4 sums of an out channel and a tile, Y: 2x2 of y
//
//   grid     x: one invocation per two tiles side by side; y: one workgroup per 8 out channels
//   m        [point][out channel][tile]; a channel's tiles are params.pitch words, and the two of an invocation are 32 apart
//            (first_of_two in shared/winograd_launch.wgsl)
//   y        [image][channel][row][column]; rows of a tile that lie below the image are not stored
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// Host side: src/ops/conv/winograd.rs. Appended: shared/winograd_launch.wgsl, shared/winograd_output.wgsl, shared/epilogue.wgsl,
// shared/epilogue_params.wgsl, shared/mask_bits.wgsl.

// A row of M times A, of both tiles.
fn across(at: u32, step: u32) -> vec4f {
    let m0 = vec2f(m[at], m[at + 32u]);
    let m1 = vec2f(m[at + step], m[at + step + 32u]);
    let m2 = vec2f(m[at + 2u * step], m[at + 2u * step + 32u]);
    let m3 = vec2f(m[at + 3u * step], m[at + 3u * step + 32u]);
    let even = m0 + m1 + m2;
    let odd = m1 - m2 - m3;
    return vec4f(even.x, odd.x, even.y, odd.y);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let unit = workgroup.x * 64u + lane;
    if unit >= params.units { return; }
    let place = place_of(params.first_unit + unit, 2u);
    let block = workgroup.y;
    let plane = params.height * params.width;
    let step = point_words();
    let has_second = place.row + 1u < params.height;
    let word = word_of(place, block);
    let below = word + select(0u, params.width / 4u, has_second);
    let through = mask_word(word);
    let through_below = mask_word(below);
    var above = 0u;
    var above_below = 0u;
    let channels = min(8u, params.outputs - block * 8u);
    for (var c = 0u; c < channels; c++) {
        let o = block * 8u + c;
        let start = o * params.pitch + first_of_two(unit);
        let q0 = across(start, step);
        let q1 = across(start + 4u * step, step);
        let q2 = across(start + 8u * step, step);
        let q3 = across(start + 12u * step, step);
        let at = (place.image * params.outputs + o) * plane + place.row * params.width + place.column;
        let shift = 4u * c;
        above |= keep_channel(o, at, q0 + q1 + q2, through >> shift) << shift;
        if has_second {
            let value = q1 - q2 - q3;
            above_below |= keep_channel(o, at + params.width, value, through_below >> shift) << shift;
        }
    }
    keep_word(word, above);
    if has_second { keep_word(below, above_below); }
}
