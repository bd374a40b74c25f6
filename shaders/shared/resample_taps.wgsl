// Positions and weights of the input values that one resized value is made of: half-pixel centres, with a triangle or Keys' cubic
// as the filter.
//
// Without antialiasing the filter spans neighbours in the source, and taps beyond an edge read the edge. With antialiasing the
// filter is stretched by the factor of shrinking, taps beyond an edge are left out, and the others are scaled to sum to 1.
// Keys' constant is -0.75 without antialiasing and -0.5 with it, as in PyTorch.

struct Params { outer: u32, length: u32, inner: u32, out_length: u32, cubic: u32, antialias: u32 }

@group(0) @binding(0) var<uniform> params: Params;

struct Taps { first: i32, end: i32, centre: f32, squeeze: f32, total: f32 }

// Taps on either side of a centre, in values of the source.
fn reach() -> f32 {
    let support = select(1.0, 2.0, params.cubic > 0u);
    return support * max(1.0, select(1.0, f32(params.length) / f32(params.out_length), params.antialias > 0u));
}

fn taps(at: u32) -> Taps {
    let centre = f32((2u * at + 1u) * params.length) / f32(2u * params.out_length);
    let far = reach();
    var found = Taps(i32(floor(centre - far + 0.5)), i32(floor(centre + far + 0.5)), centre, 1.0, 1.0);
    if params.antialias > 0u {
        found.first = max(found.first, 0);
        found.end = min(found.end, i32(params.length));
        found.squeeze = min(1.0, f32(params.out_length) / f32(params.length));
        var sum = 0.0;
        for (var j = found.first; j < found.end; j++) { sum += weight(found, j); }
        found.total = sum;
    }
    return found;
}

fn weight(found: Taps, j: i32) -> f32 {
    let d = abs((f32(j) + 0.5 - found.centre) * found.squeeze);
    if params.cubic == 0u { return max(0.0, 1.0 - d) / found.total; }
    let a = select(-0.75, -0.5, params.antialias > 0u);
    if d < 1.0 { return (((a + 2.0) * d - (a + 3.0)) * d * d + 1.0) / found.total; }
    if d < 2.0 { return ((((d - 5.0) * d + 8.0) * d - 4.0) * a) / found.total; }
    return 0.0;
}

// The value of the source that a tap reads.
fn source(j: i32) -> u32 { return u32(clamp(j, 0, i32(params.length) - 1)); }
