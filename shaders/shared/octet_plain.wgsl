// Eight weights that all lanes use, loaded by each lane: GPUs answer equal addresses at once.

@group(0) @binding(2) var<storage, read> w: array<vec4f>;

struct Octet { low: vec4f, high: vec4f }

fn octet(number: u32, _lane: u32) -> Octet {
    return Octet(w[2u * number], w[2u * number + 1u]);
}
