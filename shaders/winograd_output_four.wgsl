// The result of Winograd's filtering F(4x4, 3x3) from the batched product's sums. The ops that follow the convolution in
// the network are done before the store (shared/epilogue.wgsl).
//
//   Y = A^T M A     M: 6x6 sums of an out channel and a tile, Y: 4x4 of y
//
//   grid     x: one invocation per tile of this launch; y: one workgroup per 8 out channels
//   m        [point][out channel][tile]; a channel's tiles are params.pitch words
//   y        [image][channel][row][column]; rows of a tile that lie below the image are not stored
//   residual  as y; mask, bits: shared/mask_bits.wgsl
//
// Host side: src/ops/conv/winograd.rs. Appended: shared/winograd_launch.wgsl, shared/winograd_output.wgsl, shared/epilogue.wgsl,
// shared/epilogue_params.wgsl, shared/mask_bits.wgsl.

const ROOT: f32 = 1.4142135623730951;
const HALF_ROOT: f32 = 0.7071067811865476;

// A row of M times A.
fn across(at: u32, step: u32) -> vec4f {
    let m1 = m[at + step];
    let m2 = m[at + 2u * step];
    let m3 = m[at + 3u * step];
    let m4 = m[at + 4u * step];
    let a = m1 + m2;
    let b = m1 - m2;
    let c = m3 + m4;
    let d = m3 - m4;
    return vec4f(
        m[at] + a + c,
        HALF_ROOT * b + ROOT * d,
        0.5 * a + 2.0 * c,
        (0.5 * HALF_ROOT) * b + (2.0 * ROOT) * d + m[at + 5u * step],
    );
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let tile = workgroup.x * 64u + lane;
    if tile >= params.units { return; }
    let place = place_of(params.first_unit + tile, 4u);
    let block = workgroup.y;
    let plane = params.height * params.width;
    let step = point_words();
    let last = params.height - 1u - place.row;
    let word = word_of(place, block);
    let words = params.width / 4u;
    let through0 = mask_word(word);
    let through1 = mask_word(word + min(1u, last) * words);
    let through2 = mask_word(word + min(2u, last) * words);
    let through3 = mask_word(word + min(3u, last) * words);
    var above0 = 0u;
    var above1 = 0u;
    var above2 = 0u;
    var above3 = 0u;
    let channels = min(8u, params.outputs - block * 8u);
    for (var c = 0u; c < channels; c++) {
        let o = block * 8u + c;
        let start = o * params.pitch + tile;
        let q0 = across(start, step);
        let q1 = across(start + 6u * step, step);
        let q2 = across(start + 12u * step, step);
        let q3 = across(start + 18u * step, step);
        let q4 = across(start + 24u * step, step);
        let q5 = across(start + 30u * step, step);
        let a = q1 + q2;
        let b = q1 - q2;
        let e = q3 + q4;
        let d = q3 - q4;
        let at = (place.image * params.outputs + o) * plane + place.row * params.width + place.column;
        let shift = 4u * c;
        above0 |= keep_channel(o, at, q0 + a + e, through0 >> shift) << shift;
        if last >= 1u {
            let value = HALF_ROOT * b + ROOT * d;
            above1 |= keep_channel(o, at + params.width, value, through1 >> shift) << shift;
        }
        if last >= 2u {
            let value = 0.5 * a + 2.0 * e;
            above2 |= keep_channel(o, at + 2u * params.width, value, through2 >> shift) << shift;
        }
        if last >= 3u {
            let value = (0.5 * HALF_ROOT) * b + (2.0 * ROOT) * d + q5;
            above3 |= keep_channel(o, at + 3u * params.width, value, through3 >> shift) << shift;
        }
    }
    keep_word(word, above0);
    if last >= 1u { keep_word(word + words, above1); }
    if last >= 2u { keep_word(word + 2u * words, above2); }
    if last >= 3u { keep_word(word + 3u * words, above3); }
}
