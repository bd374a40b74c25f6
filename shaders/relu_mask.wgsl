// Makes a mask of one bit for each value of a ReLU's result y: whether it is above 0.
//
//   grid     one invocation per word, see shared/index.wgsl
//   y        [image][channel][row][column]
//   mask     laid out as shared/mask_bits.wgsl says
//
// Used where the kernel that computes y does not write the mask along with it. Host side: src/ops/masks.rs.
// Appended: shared/index.wgsl, shared/mask_bits.wgsl.

struct Params { words: u32, channels: u32, height: u32, width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> mask: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.words { return; }
    let across = (params.width + 3u) / 4u;
    let blocks = (params.channels + 7u) / 8u;
    let column = i % across * 4u;
    let row = i / across % params.height;
    let block = i / across / params.height;
    let o = block % blocks * 8u;
    let plane = params.height * params.width;
    let first = (block / blocks * params.channels + o) * plane + row * params.width + column;
    let columns = min(params.width - column, 4u);
    var all = 0u;
    for (var c = 0u; c < min(params.channels - o, 8u); c++) {
        var value = vec4f(0.0);
        for (var j = 0u; j < columns; j++) { value[j] = y[first + c * plane + j]; }
        all |= above_zero(value) << (4u * c);
    }
    mask[i] = all;
}
