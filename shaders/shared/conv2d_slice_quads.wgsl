// Reads four columns of partial sums for conv2d_sum_slices.wgsl, where rows are whole quads (four columns, one vec4).

fn slice_quad(at: u32, column: u32) -> vec4f { return x_quad(at); }
