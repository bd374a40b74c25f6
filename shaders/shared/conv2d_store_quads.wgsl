// Stores one channel of a tile where rows of y are whole quads (four columns, one vec4).

@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

// Returns where the result is above 0, as bits if these are wanted.
fn keep_channel(o: u32, at: u32, value: vec4f, through: u32) -> u32 {
    if o >= params.outputs { return 0u; }
    var rest = vec4f(0.0);
    if residual_place() > 0u { rest = residual_quad(at); }
    var kept = vec4f(1.0);
    if has_mask() { kept = let_through(through); }
    let result = epilogue(o, value, rest, kept);
    y[at / 4u] = result;
    return select(0u, above_zero(result), has_bits());
}
