// Four columns of conv2d_sum_slices.wgsl, of rows of whole quads.

fn slice_quad(at: u32, column: u32) -> vec4f { return x_quad(at); }
