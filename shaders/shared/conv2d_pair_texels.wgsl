// Reads x and dy for a weight gradient from textures, on CPU rasterisers (shared/conv2d_read_texels.wgsl says why). Eight
// lanes load the quad of one output channel each and broadcast it. Needs subgroups of 8 or more.

@group(0) @binding(1) var dy: texture_2d<f32>;
@group(0) @binding(2) var x: texture_2d<f32>;

const TEXEL_COLUMNS: u32 = 2048u;

struct Eight { d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f, d5: vec4f, d6: vec4f, d7: vec4f }

fn place(texel: u32) -> vec2u { return vec2u(texel % TEXEL_COLUMNS, texel / TEXEL_COLUMNS); }

fn x_quad(at: u32) -> vec4f { return textureLoad(x, place((at - params.x_skip) / 4u), 0); }
fn x_word(at: u32) -> f32 { return x_quad(at)[(at - params.x_skip) % 4u]; }

// The quads of eight channels, `plane` words apart. Channels beyond the last are read from the next image, or as the last
// texel again, and are not used.
fn quads(at: u32, plane: u32, lane: u32) -> Eight {
    let last = textureDimensions(dy).y * TEXEL_COLUMNS - 1u;
    let own = textureLoad(dy, place(min((at + lane % 8u * plane - params.y_skip) / 4u, last)), 0);
    return Eight(
        subgroupBroadcast(own, 0u),
        subgroupBroadcast(own, 1u),
        subgroupBroadcast(own, 2u),
        subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u),
        subgroupBroadcast(own, 5u),
        subgroupBroadcast(own, 6u),
        subgroupBroadcast(own, 7u),
    );
}
