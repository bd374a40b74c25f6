// Declares the buffers of the kernels that transform the input of a Winograd convolution, and reads them. Rows are counted from
// the padding row above the image; outside the image, the edge is read and replaced by zeros.

@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;

// Six columns of a row of x.
struct Row { left: f32, middle: vec4f, right: f32 }

fn row_of(first: u32, row: u32, column: u32) -> Row {
    let inside = select(0.0, 1.0, row >= 1u && row <= params.height);
    let at = (first + (clamp(row, 1u, params.height) - 1u) * params.width + column) / 4u;
    let has_left = column > 0u;
    let has_right = column + 4u < params.width;
    let left = x[at - select(0u, 1u, has_left)].w;
    let right = x[at + select(0u, 1u, has_right)].x;
    return Row(select(0.0, left * inside, has_left), x[at] * inside, select(0.0, right * inside, has_right));
}
