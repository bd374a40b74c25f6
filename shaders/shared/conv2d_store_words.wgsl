// Stores the output y of conv2d one 32-bit word at a time, up to four columns of a channel at a time: for rows of any width,
// and for columns that lie some words apart, as those of transposed convolutions do.

@group(0) @binding(6) var<storage, read_write> y: array<f32>;

// Four columns, `apart()` words from one to the next. Returns where they are above 0, as bits if these are wanted.
fn store(o: u32, at: u32, columns: u32, value: vec4f, through: u32) -> u32 {
    if o >= params.outputs { return 0u; }
    var rest = vec4f(0.0);
    var kept = vec4f(1.0);
    // Columns that are not stored are read at the last column that is.
    let places = at + min(vec4u(0u, 1u, 2u, 3u), vec4u(columns - 1u)) * apart();
    if residual_place() > 0u {
        rest = vec4f(
            residual_word(places.x),
            residual_word(places.y),
            residual_word(places.z),
            residual_word(places.w),
        );
    }
    if has_mask() { kept = let_through(through); }
    let result = epilogue(o, value, rest, kept);
    y[places.x] = result.x;
    if columns > 1u { y[places.y] = result.y; }
    if columns > 2u { y[places.z] = result.z; }
    if columns > 3u { y[places.w] = result.w; }
    return select(0u, above_zero(result) & ((1u << columns) - 1u), has_bits());
}
