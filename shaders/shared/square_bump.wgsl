// The bump eta of the Square attack in L2. A square is cut into two halves across its rows or its columns; one half goes up
// and the other down, each highest in its middle and of length sqrt(1/2):
//
//     eta = +-H(m),  H(m) = sum over c from m to size / 2 of 1 / (c + 1)^2,  m = Chebyshev distance to the half's middle
//
// The shader that this file is appended to declares LANES.

var<workgroup> tail: array<f32, 512>; // H, for squares of up to 1023 rows

// Works out H; call it from uniform control flow, before all else here.
fn tails(lane: u32, size: u32) {
    let levels = min(size / 2u + 1u, 512u);
    for (var m = lane; m < levels; m += LANES) {
        var sum = 0.0;
        for (var c = levels; c > m; c--) { sum += 1.0 / f32(c * c); }
        tail[m] = sum;
    }
    workgroupBarrier();
}

// Lengths that the halves have before they are scaled.
fn half_lengths(size: u32) -> vec2f {
    return vec2f(length_of(size / 2u, size), length_of(size - size / 2u, size));
}

fn length_of(height: u32, width: u32) -> f32 {
    var squares = 0.0;
    var within = 0.0;
    for (var m = 0u; m < min(width / 2u + 1u, 512u); m++) {
        let cells = f32(reach(height, m) * reach(width, m));
        squares += (cells - within) * tail[m] * tail[m];
        within = cells;
    }
    return sqrt(squares);
}

// How many of so many places in a line lie at most m from the middle one.
fn reach(count: u32, m: u32) -> u32 {
    let middle = count / 2u;
    return min(middle + m + 1u, count) - (middle - min(m, middle));
}

fn bump(place: vec2u, size: u32, turned: bool, lengths: vec2f) -> f32 {
    let p = select(place, place.yx, turned);
    let half = size / 2u;
    let lower = p.x >= half;
    let height = select(half, size - half, lower);
    let row = i32(select(p.x, p.x - half, lower)) - i32(height / 2u);
    let column = i32(p.y) - i32(half);
    let height_here = tail[min(u32(max(abs(row), abs(column))), 511u)] / select(lengths.x, lengths.y, lower);
    return select(height_here, -height_here, lower) * select(1.0, 0.70710678, half > 0u);
}
