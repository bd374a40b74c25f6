// What four columns of y meet of x at one tap of the kernel, whatever its stride and padding: part of a matrix that is
// never in memory. x is bound as words: columns apart are read one by one, and a driver that sees quads would load one and
// choose among its words by branches.

// `plane` is one channel of one image, if it is there; `x_step()` words from one column to the next. Above and left of x rows
// and columns wrap to large numbers. No branches: loads of several patches are on their way at once.
fn patch_at(plane: u32, row: u32, column: u32, there: bool) -> vec4f {
    let inside = there & (row < params.height);
    let columns = column + vec4u(0u, 1u, 2u, 3u) * x_step();
    let line = select(0u, (plane * params.height + row) * params.width, inside);
    let at = line + min(columns, vec4u(params.width - 1u));
    let values = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
    return select(vec4f(0.0), values, vec4<bool>(inside) & (columns < vec4u(params.width)));
}
