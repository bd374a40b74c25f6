// Reads the part of a row of x that four neighbouring outputs of a 3x3 convolution of stride 2 and padding 1 need.

// Rows are counted from the padding row above the image, which is read at the image's edge and made zero. The padding row
// below is never needed.
fn line(first: u32, row: u32, column: u32) -> Line {
    let inside = select(0.0, 1.0, row >= 1u && row <= params.height);
    let at = first + (clamp(row, 1u, params.height) - 1u) * params.width + column;
    let has_left = column > 0u;
    let a = x_quad(at) * inside;
    let b = x_quad(at + 4u) * inside;
    let before = x_word(at - select(0u, 1u, has_left)) * select(0.0, inside, has_left);
    return Line(vec4f(before, a.yw, b.y), vec4f(a.xz, b.xz), vec4f(a.yw, b.yw));
}
