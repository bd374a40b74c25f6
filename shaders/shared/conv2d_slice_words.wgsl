// Reads four columns of partial sums for conv2d_sum_slices.wgsl where rows have any width; beyond the row it repeats the last column.

fn apart() -> u32 { return 1u; }

fn slice_quad(at: u32, column: u32) -> vec4f {
    let places = at + min(vec4u(0u, 1u, 2u, 3u), vec4u(params.out_width - 1u - column));
    return vec4f(x[places.x], x[places.y], x[places.z], x[places.w]);
}
