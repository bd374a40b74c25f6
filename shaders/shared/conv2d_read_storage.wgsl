// Declares the storage buffers of a convolution with packed weights and reads them, on GPUs. Positions are words from the
// buffer's start. Weights are read by shared/conv2d_octet.wgsl.

@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> affine: array<f32>; // [scale, shift][out channel]
@group(0) @binding(5) var<storage, read> residual: array<vec4f>;

struct Octet { low: vec4f, high: vec4f }

// The weights of one input channel in a 3x3 kernel, for 8 channels of y.
struct Taps { w0: Octet, w1: Octet, w2: Octet, w3: Octet, w4: Octet, w5: Octet, w6: Octet, w7: Octet, w8: Octet }

fn x_quad(at: u32) -> vec4f { return x[at / 4u]; }
fn x_word(at: u32) -> f32 { return x[at / 4u][at % 4u]; }
fn affine_at(i: u32) -> f32 { return affine[i]; }
fn residual_quad(at: u32) -> vec4f { return residual[at / 4u]; }
fn residual_word(at: u32) -> f32 { return residual[at / 4u][at % 4u]; }

fn taps_at(tap: u32, lane: u32) -> Taps {
    return Taps(
        octet(tap, lane),
        octet(tap + 1u, lane),
        octet(tap + 2u, lane),
        octet(tap + 3u, lane),
        octet(tap + 4u, lane),
        octet(tap + 5u, lane),
        octet(tap + 6u, lane),
        octet(tap + 7u, lane),
        octet(tap + 8u, lane),
    );
}
