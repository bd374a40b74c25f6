// Derivative of copying consecutive images out of a batch:  dx[first + i] = dy[i], 0 for all other images
//
//   grid  one invocation per word of dx, see shared/index.wgsl
//   dy    `words` words; `first` is the number of words before the range
//   dx    `all` words
//
// Host side: src/ops/images.rs. Appended: shared/index.wgsl.

struct Params { first: u32, words: u32, all: u32 }

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
    if i >= params.all { return; }
    var value = 0.0;
    if i >= params.first && i < params.first + params.words { value = dy[i - params.first]; }
    dx[i] = value;
}
