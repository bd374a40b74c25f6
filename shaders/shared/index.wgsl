// Which piece of the work is this one's, in a launch whose workgroups src/gpu/recording.rs spread over x and y row by
// row, because one dimension holds 65,535 of them. The last row may be longer than what is left: kernels skip numbers
// at or beyond their count.

// The number of a workgroup: for kernels that give a row, an image or a channel a workgroup each. The same for all of
// its lanes, so that a kernel may return by it and still use barriers.
fn flat_group(workgroup: vec3u, workgroups: vec3u) -> u32 {
    return workgroup.y * workgroups.x + workgroup.x;
}

// The number of an invocation, in workgroups of 64.
fn flat_index(workgroup: vec3u, workgroups: vec3u, lane: u32) -> u32 {
    return flat_group(workgroup, workgroups) * 64u + lane;
}
