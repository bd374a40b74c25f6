// One part of a concatenation along the images:  y[first + i] = x[i]
//
//   grid  one invocation per word of x, see shared/index.wgsl; one launch per part
//   x     `words` words
//   y     words of all parts; `first` is the number of words before this one
//
// Single words: a part need not start at a whole vec4. Moves any 4-byte values.
// Host side: src/ops/concat.rs. Appended: shared/index.wgsl.

struct Params { first: u32, words: u32 }

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
    y[params.first + i] = x[i];
}
