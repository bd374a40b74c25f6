// Reads the four values of x that one kernel tap multiplies for four columns of y, for any stride and padding. They are part
// of a matrix that is never in memory. x is bound as words, because columns that are not neighbours are read one by one, and
// a driver that sees vec4s would load one and choose among its words by branches.

// `plane` is one channel of one image, which exists if `there`; `x_step()` words lie from one column to the next. Above and
// left of x, rows and columns wrap to large numbers. No branches: loads of several patches are on their way at once.
fn patch_at(plane: u32, row: u32, column: u32, there: bool) -> vec4f {
    let inside = there & (row < params.height);
    let columns = column + vec4u(0u, 1u, 2u, 3u) * x_step();
    let line = select(0u, (plane * params.height + row) * params.width, inside);
    let at = line + min(columns, vec4u(params.width - 1u));
    let values = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
    return select(vec4f(0.0), values, vec4<bool>(inside) & (columns < vec4u(params.width)));
}
