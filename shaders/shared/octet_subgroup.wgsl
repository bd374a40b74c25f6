// Eight weights that all lanes use, loaded by eight lanes, one each, and broadcast: for CPU rasterisers,
// where a load costs as much as its number of lanes. Needs subgroups of at least 8.

@group(0) @binding(2) var<storage, read> w: array<f32>;

struct Octet { low: vec4f, high: vec4f }



fn octet(number: u32, lane: u32) -> Octet {
    let own = w[8u * number + lane % 8u];
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
