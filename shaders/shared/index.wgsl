// The index of the invocation or workgroup in the whole launch. src/gpu/recording.rs spreads a launch's workgroups over x and
// y row by row, because one dimension holds 65,535 of them. The last row may be longer than the work that is left: kernels
// skip indices at or beyond their count.

// The index of a workgroup, for kernels with one workgroup for each row, image or channel. It is the same for all lanes of the
// workgroup, so a kernel may return because of it and still use barriers.
fn flat_group(workgroup: vec3u, workgroups: vec3u) -> u32 {
    return workgroup.y * workgroups.x + workgroup.x;
}

// The index of an invocation, in workgroups of 64.
fn flat_index(workgroup: vec3u, workgroups: vec3u, lane: u32) -> u32 {
    return flat_group(workgroup, workgroups) * 64u + lane;
}
