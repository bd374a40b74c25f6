// Reads dy in whole quads (four columns, one vec4) for conv2d_weights_gemm.wgsl, and declares x as single words, which
// shared/conv2d_patch.wgsl reads.

@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

struct Eight { d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f, d5: vec4f, d6: vec4f, d7: vec4f }

// Four columns of a row of one channel of one image, if they are there.
fn dy_at(plane: u32, row: u32, column: u32, there: bool) -> vec4f {
    let at = ((plane * params.out_height + row) * params.out_width + column) / 4u;
    return select(vec4f(0.0), dy[select(0u, at, there)], there);
}
