// Positions in a convolution as three counters (channel or image, row, column), moved on by additions and carries, because
// integer divisions in the inner loop are slow.

// One position: of a k, its input channel and the row and column among the taps of its phase; of a quad, its image, row and
// quad within the row.
struct Place { i: u32, r: u32, c: u32 }

// The position with number k, columns counted first, then rows.
fn place_of(k: u32, rows: u32, columns: u32) -> Place {
    let across = max(columns, 1u);
    let window = max(rows * columns, 1u);
    return Place(k / window, k % window / across, k % window % across);
}

// The position that is `by` after k. No branches: loads of several positions are on their way at once.
fn onward(k: Place, by: Place, rows: u32, columns: u32) -> Place {
    let c = k.c + by.c;
    let next_row = c >= columns;
    let r = k.r + by.r + select(0u, 1u, next_row);
    let next_channel = r >= rows;
    return Place(
        k.i + by.i + select(0u, 1u, next_channel),
        r - select(0u, rows, next_channel),
        c - select(0u, columns, next_row),
    );
}
