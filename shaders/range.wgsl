// Copies consecutive images, or consecutive channels of each image:  y[n, j] = x[n, first + j]
//
//   grid  one invocation per word of y, see shared/index.wgsl
//   x     `stride` words an image, in which the range begins at word `first`
//   y     `words` words, `run` of them an image; in a range of images all of y counts as one image
//
// Copies single words: a range need not start at a whole vec4. Moves any 4-byte values.
// Host side: src/ops/ranges.rs. Appended: shared/index.wgsl.

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
    y[i] = x[i / params.run * params.stride + params.first + i % params.run];
}
