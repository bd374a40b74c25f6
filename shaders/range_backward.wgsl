// Derivative of copying consecutive images out of a batch, or consecutive channels out of each image:
// dx[n, first + j] = dy[n, j],  and all other dx are 0
//
//   grid  one invocation per word of dx, see shared/index.wgsl
//   dy    `run` words an image; in a range of images all of dy counts as one image
//   dx    `words` words, `stride` of them an image, in which the range begins at word `first`
//
// Host side: src/ops/ranges.rs. Appended: shared/index.wgsl.

struct Params { words: u32, run: u32, stride: u32, first: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) workgroups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_index(workgroup, workgroups, lane);
    if i >= params.words { return; }
    let place = i % params.stride;
    var value = 0.0;
    if place >= params.first && place < params.first + params.run {
        value = dy[i / params.stride * params.run + place - params.first];
    }
    dx[i] = value;
}
