// The masks of a packed convolution, laid out as shared/mask_bits.wgsl says: the one read and the one written. Where the
// epilogue has none, the host binds something that is not touched.

@group(0) @binding(4) var<storage, read> mask: array<u32>; // of y
@group(0) @binding(7) var<storage, read_write> bits: array<u32>; // where y is above 0

fn words_across() -> u32 { return (params.out_width + 3u) / 4u; }

// Where the words of channels `o` to `o + 7` begin, for the image that the word `at` of y lies in.
fn first_word(o: u32, at: u32, plane: u32) -> u32 {
    let n = at / (params.outputs * plane);
    return (n * ((params.outputs + 7u) / 8u) + o / 8u) * params.out_height * words_across();
}

fn mask_word(word: u32) -> u32 {
    if !has_mask() { return 0xffffffffu; }
    return mask[word];
}

fn keep_word(word: u32, all: u32) {
    if has_bits() { bits[word] = all; }
}

// Four bits each of channels `o` to `o + 7`, for the pixels at the words `at`, `at + apart`, ... of channel `o` of y; all
// set without a mask.
fn mask_of(o: u32, at: u32, plane: u32, apart: u32) -> u32 {
    if !has_mask() { return 0xffffffffu; }
    let first = first_word(o, at, plane);
    let place = at % plane;
    if apart == 1u && params.out_width % 4u == 0u { return mask[first + place / 4u]; }
    var all = 0u;
    for (var j = 0u; j < 4u; j++) {
        let pixel = min(place + j * apart, plane - 1u);
        let column = pixel % params.out_width;
        let word = mask[first + pixel / params.out_width * words_across() + column / 4u];
        all |= ((word >> (column % 4u)) & 0x11111111u) << j;
    }
    return all;
}

// Writes what `mask_of` reads, for four columns of a row that begin at a multiple of four.
fn keep_bits(o: u32, at: u32, plane: u32, all: u32) {
    if !has_bits() { return; }
    let place = at % plane;
    let row = place / params.out_width;
    bits[first_word(o, at, plane) + row * words_across() + place % params.out_width / 4u] = all;
}
