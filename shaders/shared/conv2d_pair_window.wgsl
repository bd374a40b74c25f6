// The two maps a weight gradient reads, from uniform windows: for CPU rasterisers, see shared/conv2d_read_window.wgsl.
// Eight lanes load the quad of one output channel each and broadcast it. Needs subgroups of 8 or more.

@group(0) @binding(1) var<uniform> dy: array<vec4f, 4096>;
@group(0) @binding(2) var<uniform> x: array<vec4f, 4096>;

struct Eight { d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f, d5: vec4f, d6: vec4f, d7: vec4f }

fn x_quad(at: u32) -> vec4f { return x[(at - params.x_skip) / 4u]; }
fn x_word(at: u32) -> f32 { let i = at - params.x_skip; return x[i / 4u][i % 4u]; }

// The quads of eight channels, `plane` words apart. Channels beyond the last are read inside the window and not used.
fn quads(at: u32, plane: u32, lane: u32) -> Eight {
    let own = dy[min((at + lane % 8u * plane - params.y_skip) / 4u, 4095u)];
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
