// Copies one of the inputs of a concatenation, along the channels or the images, to its place:  y[n, first + j] = x[n, j]
//
//   grid  one invocation per word of x, see shared/index.wgsl; one launch per input
//   x     `run` words an image; in a concatenation along the images all of x counts as one image
//   y     `stride` words an image, in which this input begins at word `first`
//
// Copies single words: an input need not start at a whole vec4. Moves any 4-byte values.
// Host side: src/ops/concat.rs. Appended: shared/index.wgsl.

struct Params { words: u32, run: u32, stride: u32, first: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.words { return; }
    y[i / params.run * params.stride + params.first + i % params.run] = x[i];
}
