// The flat number of an invocation in a launch that src/gpu/recording.rs spread over x and y:
// workgroups of 64, row by row. Kernels skip numbers beyond their count.

fn flat_index(workgroup: vec3u, workgroups: vec3u, lane: u32) -> u32 {
    return (workgroup.y * workgroups.x + workgroup.x) * 64u + lane;
}
