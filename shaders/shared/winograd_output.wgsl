// Declares the buffers of the kernels that transform products back to the output of a Winograd convolution, and stores it;
// the ops that follow the convolution inside its kernel, and their masks, are those of the other fast convolutions.

@group(0) @binding(1) var<storage, read> m: array<f32>;
@group(0) @binding(2) var<storage, read> affine: array<f32>; // [scale, shift][out channel]
@group(0) @binding(3) var<storage, read> mask: array<u32>; // of y
@group(0) @binding(4) var<storage, read> residual: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> bits: array<u32>; // where y is above 0

fn affine_at(i: u32) -> f32 { return affine[i]; }

// Words of M between one point of the transformed tiles and the next.
fn point_words() -> u32 { return (params.outputs + 7u) / 8u * 8u * params.pitch; }

// The mask's word of eight channels and four columns of a row.
fn word_of(place: Place, block: u32) -> u32 {
    let row = (place.image * ((params.outputs + 7u) / 8u) + block) * params.height + place.row;
    return (row * params.width + place.column) / 4u;
}

// The mask's word; without a mask all bits are set.
fn mask_word(word: u32) -> u32 {
    if !has_mask() { return 0xffffffffu; }
    return mask[word];
}

fn keep_word(word: u32, all: u32) {
    if has_bits() { bits[word] = all; }
}

// Four columns of channel `o` at the word `at`; returns where the result is above 0.
fn keep_channel(o: u32, at: u32, value: vec4f, through: u32) -> u32 {
    var rest = vec4f(0.0);
    if residual_place() > 0u { rest = residual[at / 4u]; }
    let result = epilogue(o, value, rest, let_through(through));
    y[at / 4u] = result;
    return above_zero(result);
}
