// What a packed convolution reads, from uniform windows: for CPU rasterisers, which read those 16 times faster than
// storage buffers (src/gpu/kernel.rs). Positions are words from the buffer's start, as if all of it were there.
// A load is a gather lane by lane, so eight lanes load one weight each and broadcast it. Needs subgroups of 8 or more.

@group(0) @binding(1) var<uniform> x: array<vec4f, 4096>;
@group(0) @binding(2) var<uniform> w: array<vec4f, 4096>;
@group(0) @binding(5) var<uniform> residual: array<vec4f, 4096>;
@group(0) @binding(8) var<uniform> sums: array<vec4f, 4096>; // what earlier launches added up, as y

struct Octet { low: vec4f, high: vec4f }

fn x_quad(at: u32) -> vec4f { return x[(at - params.x_skip) / 4u]; }
fn x_word(at: u32) -> f32 { let i = at - params.x_skip; return x[i / 4u][i % 4u]; }
fn residual_quad(at: u32) -> vec4f { return residual[(at - params.y_skip) / 4u]; }
fn residual_word(at: u32) -> f32 { let i = at - params.y_skip; return residual[i / 4u][i % 4u]; }
fn sums_quad(at: u32) -> vec4f { return sums[(at - params.y_skip) / 4u]; }
fn sums_word(at: u32) -> f32 { let i = at - params.y_skip; return sums[i / 4u][i % 4u]; }
fn octet(tap: u32, lane: u32) -> Octet {
    let i = 8u * tap + lane % 8u - params.w_skip;
    let own = w[i / 4u][i % 4u];
    return Octet(
        vec4f(
            subgroupBroadcast(own, 0u),
            subgroupBroadcast(own, 1u),
            subgroupBroadcast(own, 2u),
            subgroupBroadcast(own, 3u),
        ),
        vec4f(
            subgroupBroadcast(own, 4u),
            subgroupBroadcast(own, 5u),
            subgroupBroadcast(own, 6u),
            subgroupBroadcast(own, 7u),
        ),
    );
}
