// Declares the textures of a convolution with packed weights and reads them, for CPU rasterisers, which read storage buffers in
// a loop over the lanes and textures without one (src/gpu/kernel.rs). Positions are words from the buffer's start, as if all of it
// were bound. All lanes need the same weights: each loads one of eight texels, and broadcasts it. Needs subgroups of 8 or more.

@group(0) @binding(1) var x: texture_2d<f32>;
@group(0) @binding(2) var w: texture_2d<f32>;
@group(0) @binding(3) var affine: texture_2d<f32>; // [scale, shift][out channel]
@group(0) @binding(5) var residual: texture_2d<f32>;

const TEXEL_COLUMNS: u32 = 2048u;

struct Octet { low: vec4f, high: vec4f }

// The weights of one input channel in a 3x3 kernel, for 8 channels of y.
struct Taps { w0: Octet, w1: Octet, w2: Octet, w3: Octet, w4: Octet, w5: Octet, w6: Octet, w7: Octet, w8: Octet }

fn place(texel: u32) -> vec2u { return vec2u(texel % TEXEL_COLUMNS, texel / TEXEL_COLUMNS); }

fn x_quad(at: u32) -> vec4f { return textureLoad(x, place((at - params.x_skip) / 4u), 0); }
fn x_word(at: u32) -> f32 { return x_quad(at)[(at - params.x_skip) % 4u]; }
fn affine_at(i: u32) -> f32 { return textureLoad(affine, place(i / 4u), 0)[i % 4u]; }
fn residual_quad(at: u32) -> vec4f { return textureLoad(residual, place((at - params.y_skip) / 4u), 0); }
fn residual_word(at: u32) -> f32 { return residual_quad(at)[(at - params.y_skip) % 4u]; }

// The texel at `texel`, counted from the weights that are there, and the seven behind it: one a lane.
fn w_eight(texel: u32, lane: u32) -> vec4f { return textureLoad(w, place(texel + lane % 8u), 0); }

// The n-th pair of those texels, in all lanes: eight weights. Lanes are named, as the language wants.
fn pair_0(own: vec4f) -> Octet {
    return Octet(
        vec4f(
            subgroupBroadcast(own.x, 0u),
            subgroupBroadcast(own.y, 0u),
            subgroupBroadcast(own.z, 0u),
            subgroupBroadcast(own.w, 0u),
        ),
        vec4f(
            subgroupBroadcast(own.x, 1u),
            subgroupBroadcast(own.y, 1u),
            subgroupBroadcast(own.z, 1u),
            subgroupBroadcast(own.w, 1u),
        ),
    );
}

fn pair_1(own: vec4f) -> Octet {
    return Octet(
        vec4f(
            subgroupBroadcast(own.x, 2u),
            subgroupBroadcast(own.y, 2u),
            subgroupBroadcast(own.z, 2u),
            subgroupBroadcast(own.w, 2u),
        ),
        vec4f(
            subgroupBroadcast(own.x, 3u),
            subgroupBroadcast(own.y, 3u),
            subgroupBroadcast(own.z, 3u),
            subgroupBroadcast(own.w, 3u),
        ),
    );
}

fn pair_2(own: vec4f) -> Octet {
    return Octet(
        vec4f(
            subgroupBroadcast(own.x, 4u),
            subgroupBroadcast(own.y, 4u),
            subgroupBroadcast(own.z, 4u),
            subgroupBroadcast(own.w, 4u),
        ),
        vec4f(
            subgroupBroadcast(own.x, 5u),
            subgroupBroadcast(own.y, 5u),
            subgroupBroadcast(own.z, 5u),
            subgroupBroadcast(own.w, 5u),
        ),
    );
}

fn pair_3(own: vec4f) -> Octet {
    return Octet(
        vec4f(
            subgroupBroadcast(own.x, 6u),
            subgroupBroadcast(own.y, 6u),
            subgroupBroadcast(own.z, 6u),
            subgroupBroadcast(own.w, 6u),
        ),
        vec4f(
            subgroupBroadcast(own.x, 7u),
            subgroupBroadcast(own.y, 7u),
            subgroupBroadcast(own.z, 7u),
            subgroupBroadcast(own.w, 7u),
        ),
    );
}

fn octet(tap: u32, lane: u32) -> Octet { return pair_0(w_eight(2u * tap - params.w_skip / 4u, lane)); }

fn taps_at(tap: u32, lane: u32) -> Taps {
    let at = 2u * tap - params.w_skip / 4u;
    let a = w_eight(at, lane);
    let b = w_eight(at + 8u, lane);
    let c = w_eight(at + 16u, lane);
    return Taps(pair_0(a), pair_1(a), pair_2(a), pair_3(a), pair_0(b), pair_1(b), pair_2(b), pair_3(b), pair_0(c));
}
