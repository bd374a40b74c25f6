// Reads dy one 32-bit word at a time for conv2d_weights_gemm.wgsl, where rows of dy are not whole quads (four columns), and
// declares x as single words, which shared/conv2d_patch.wgsl reads.

@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

struct Eight { d0: vec4f, d1: vec4f, d2: vec4f, d3: vec4f, d4: vec4f, d5: vec4f, d6: vec4f, d7: vec4f }

// Four columns of a row of one channel of one image; 0 for columns beyond the row.
fn dy_at(plane: u32, row: u32, column: u32, there: bool) -> vec4f {
    let columns = column + vec4u(0u, 1u, 2u, 3u);
    let line = select(0u, (plane * params.out_height + row) * params.out_width, there);
    let at = line + min(columns, vec4u(params.out_width - 1u));
    let values = vec4f(dy[at.x], dy[at.y], dy[at.z], dy[at.w]);
    return select(vec4f(0.0), values, vec4<bool>(there) & (columns < vec4u(params.out_width)));
}
