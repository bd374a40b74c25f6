// Scales and shifts each channel and applies the rectifier,  y = max(x * scale[c] + shift[c], 0),  and writes as a mask of bits
// which values of y are above 0.
//
//   grid     one invocation per word of the mask, see shared/index.wgsl
//   x, y     [image][channel][row][column], width divisible by 4
//   affine   [2][channel]: scales, then shifts
//   mask     a bit where y is above 0, laid out as shared/mask_bits.wgsl says
//
// An invocation computes eight channels of four columns, which share a word of the mask. Host side: src/ops/masks.rs.
// Appended: shared/index.wgsl, shared/mask_bits.wgsl, shared/overflow.wgsl, shared/elem_vec4.wgsl.

struct Params { words: u32, channels: u32, quads: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> affine: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> mask: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.words { return; }
    let blocks = (params.channels + 7u) / 8u;
    let quad = i % params.quads;
    let block = i / params.quads;
    let o = block % blocks * 8u;
    let first = (block / blocks * params.channels + o) * params.quads + quad;
    var all = 0u;
    for (var c = 0u; c < min(params.channels - o, 8u); c++) {
        let at = first + c * params.quads;
        let value = rectified(x[at] * affine[o + c] + affine[params.channels + o + c]);
        y[at] = value;
        all |= above_zero(value) << (4u * c);
    }
    mask[i] = all;
}
