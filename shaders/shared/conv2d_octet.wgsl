// Reads the weights of eight output channels from a storage buffer, or from the part of it that is bound. All lanes read the same
// address, which GPUs serve in one access.

@group(0) @binding(2) var<storage, read> w: array<vec4f>;

fn octet(tap: u32, lane: u32) -> Octet {
    let at = 2u * tap - params.w_skip / 4u;
    return Octet(w[at], w[at + 1u]);
}
