// What a packed convolution reads, from storage buffers: for GPUs. Positions are words from the buffer's start.
// All lanes ask for the same weights, and GPUs answer equal addresses at once.

@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
@group(0) @binding(5) var<storage, read> residual: array<vec4f>;

struct Octet { low: vec4f, high: vec4f }

fn x_quad(at: u32) -> vec4f { return x[at / 4u]; }
fn x_word(at: u32) -> f32 { return x[at / 4u][at % 4u]; }
fn residual_quad(at: u32) -> vec4f { return residual[at / 4u]; }
fn residual_word(at: u32) -> f32 { return residual[at / 4u][at % 4u]; }
// Every launch adds up all channels of x.
fn sums_quad(at: u32) -> vec4f { return vec4f(0.0); }
fn sums_word(at: u32) -> f32 { return 0.0; }

// Weights alone may be more than a binding shows.
fn octet(tap: u32, lane: u32) -> Octet {
    let at = 2u * tap - params.w_skip / 4u;
    return Octet(w[at], w[at + 1u]);
}
