// Reads x and dy for conv2d_weights_gemm.wgsl where the kernel is 1x1 with stride 1: rows of both are whole quads (four
// columns, one vec4), and the values of x that a quad of dy is multiplied by are a quad, too.

@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;

struct Eight { d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f, d5: vec4f, d6: vec4f, d7: vec4f }

fn quad_at(plane: u32, row: u32, column: u32, there: bool) -> u32 {
    return select(0u, ((plane * params.out_height + row) * params.out_width + column) / 4u, there);
}

fn dy_at(plane: u32, row: u32, column: u32, there: bool) -> vec4f {
    return select(vec4f(0.0), dy[quad_at(plane, row, column, there)], there);
}

fn patch_at(plane: u32, row: u32, column: u32, there: bool) -> vec4f {
    return select(vec4f(0.0), x[quad_at(plane, row, column, there)], there);
}
