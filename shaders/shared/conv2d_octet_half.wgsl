// Reads the weights of eight output channels as shared/conv2d_octet_full.wgsl does, from half precision, two weights in a word
// (conv2d_pack_half.wgsl). The arithmetic stays in single precision.

@group(0) @binding(2) var<storage, read> w: array<vec4u>;

fn octet(tap: u32, lane: u32) -> Octet {
    let eight = w[tap - params.w_skip / 4u];
    return Octet(
        vec4f(unpack2x16float(eight.x), unpack2x16float(eight.y)),
        vec4f(unpack2x16float(eight.z), unpack2x16float(eight.w)),
    );
}
