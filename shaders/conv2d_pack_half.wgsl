// Copies a convolution's weights into the order of conv2d_pack.wgsl in half precision, two in a word. Weights beyond the range
// of half precision become its largest number. No feature of the device is needed: every WGSL has pack2x16float.
//
//   grid    one invocation per pair of packed weights, see shared/index.wgsl
//   w       [out channel][in channel][row][column]
//
// Host side: src/ops/conv/pack.rs. Appended: shared/packed_weight.wgsl, shared/index.wgsl.

@group(0) @binding(2) var<storage, read_write> packed: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat_index(workgroup, workgroups, lane);
    if 2u * at >= packed_weights() { return; }
    let pair = vec2f(packed_weight(2u * at), packed_weight(2u * at + 1u));
    packed[at] = pack2x16float(clamp(pair, vec2f(-65504.0), vec2f(65504.0)));
}
