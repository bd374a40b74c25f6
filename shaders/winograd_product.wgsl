// The sums over channels of Winograd's filtering, a matrix product for each point of the transformed tiles:
//
//   M[p][o][t] = sum over input channels i of U[p][i][o] V[p][i][t]
//
//   grid    x: one workgroup per 64 tiles; y: per 8 * ROWS out channels, of which those beyond the last are skipped; z: per point
//   u       made by winograd_weights.wgsl: [point][in channel][out channel], zeros up to a multiple of 8 out channels
//   v       made by winograd_input_*.wgsl: [point][in channel][tile]; a channel's tiles are params.pitch words, a multiple of 64
//   m       [point][out channel][tile], as many words a channel, out channels up to a multiple of 8
//
// A workgroup reads 16 input channels of both into its memory at a time, 2 KiB + 256 ROWS words; an invocation keeps 8 out
// channels of 8 tiles in registers: 64 products for four loads of vec4s. Its channels and its tiles are two runs of four, so
// that invocations in a row read vec4s in a row. A tile's sums depend on that tile alone, so words of v beyond the last tile
// may hold anything. Host side: src/ops/conv/winograd.rs. Appended: shared/winograd_launch.wgsl.

override ROWS: u32 = 8u;

const DEPTH: u32 = 16u;

@group(0) @binding(1) var<storage, read> u: array<vec4f>;
@group(0) @binding(2) var<storage, read> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4f>;

var<workgroup> of_u: array<vec4f, 2u * DEPTH * ROWS>;
var<workgroup> of_v: array<vec4f, 16u * DEPTH>;

// One out channel of eight tiles.
struct Sums { low: vec4f, high: vec4f }

fn add(sums: Sums, weight: f32, low: vec4f, high: vec4f) -> Sums {
    return Sums(fma(vec4f(weight), low, sums.low), fma(vec4f(weight), high, sums.high));
}

fn keep(at: u32, sums: Sums) {
    m[at] = sums.low;
    m[at + 8u] = sums.high;
}

@compute @workgroup_size(8, ROWS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let column = lane % 8u;
    let row = lane / 8u;
    // All in vec4s.
    let out_quads = (params.outputs + 7u) / 8u * 2u;
    let tile_quads = params.pitch / 4u;
    let first_out = workgroup.y * 2u * ROWS;
    let first_tile = workgroup.x * 16u;
    let first_in = workgroup.z * params.inputs;
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    var s4 = Sums();
    var s5 = Sums();
    var s6 = Sums();
    var s7 = Sums();
    for (var i = 0u; i < params.inputs; i += DEPTH) {
        for (var at = lane; at < 2u * DEPTH * ROWS; at += 8u * ROWS) {
            let o = first_out + at % (2u * ROWS);
            let channel = i + at / (2u * ROWS);
            var quad = vec4f(0.0);
            if channel < params.inputs && o < out_quads { quad = u[(first_in + channel) * out_quads + o]; }
            of_u[at] = quad;
        }
        for (var at = lane; at < 16u * DEPTH; at += 8u * ROWS) {
            let channel = i + at / 16u;
            var quad = vec4f(0.0);
            if channel < params.inputs { quad = v[(first_in + channel) * tile_quads + first_tile + at % 16u]; }
            of_v[at] = quad;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let a = of_u[k * 2u * ROWS + row];
            let b = of_u[k * 2u * ROWS + ROWS + row];
            let low = of_v[k * 16u + column];
            let high = of_v[k * 16u + 8u + column];
            s0 = add(s0, a.x, low, high);
            s1 = add(s1, a.y, low, high);
            s2 = add(s2, a.z, low, high);
            s3 = add(s3, a.w, low, high);
            s4 = add(s4, b.x, low, high);
            s5 = add(s5, b.y, low, high);
            s6 = add(s6, b.z, low, high);
            s7 = add(s7, b.w, low, high);
        }
        workgroupBarrier();
    }
    let first = workgroup.z * 4u * out_quads * tile_quads + first_tile + column;
    let o = first_out + row;
    if o < out_quads {
        let at = first + 4u * o * tile_quads;
        keep(at, s0);
        keep(at + tile_quads, s1);
        keep(at + 2u * tile_quads, s2);
        keep(at + 3u * tile_quads, s3);
    }
    if o + ROWS < out_quads {
        let at = first + 4u * (o + ROWS) * tile_quads;
        keep(at, s4);
        keep(at + tile_quads, s5);
        keep(at + 2u * tile_quads, s6);
        keep(at + 3u * tile_quads, s7);
    }
}
