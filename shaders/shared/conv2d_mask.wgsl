// The two bit masks of a fast convolution's epilogue (the ops that follow it inside its kernel). Bits say where a ReLU's result
// is above 0; one mask is read and one written, both laid out as shared/mask_bits.wgsl says. Where the epilogue has no mask, the
// host binds a buffer that is not touched.

@group(0) @binding(4) var<storage, read> mask: array<u32>; // of y
@group(0) @binding(7) var<storage, read_write> bits: array<u32>; // where y is above 0

fn words_across() -> u32 { return (params.out_width + 3u) / 4u; }

// The first word of eight channels of an image; where rows are whole quads, the word of pixel `p` of a plane is p / 4 further.
fn first_word(n: u32, block: u32) -> u32 {
    return (n * ((params.outputs + 7u) / 8u) + block) * params.out_height * words_across();
}

// Four bits each of eight channels; all set without a mask.
fn mask_word(word: u32) -> u32 {
    if !has_mask() { return 0xffffffffu; }
    return mask[word];
}

fn keep_word(word: u32, all: u32) {
    if has_bits() { bits[word] = all; }
}

// The same for the pixels `place`, `place + apart`, ... of planes whose rows are of any width.
fn mask_of(first: u32, place: u32, plane: u32, apart: u32) -> u32 {
    let whole = (apart == 1u && params.out_width % 4u == 0u) || !has_mask();
    var all = select(0u, mask_word(first + place / 4u), whole);
    // No branch: SwiftShader would do both of its sides, but no round of a loop.
    for (var j = 0u; j < select(4u, 0u, whole); j++) {
        let pixel = min(place + j * apart, plane - 1u);
        let column = pixel % params.out_width;
        let word = mask[first + pixel / params.out_width * words_across() + column / 4u];
        all |= ((word >> (column % 4u)) & 0x11111111u) << j;
    }
    return all;
}
