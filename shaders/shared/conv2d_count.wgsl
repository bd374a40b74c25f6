// Counting on from place to place, without dividing.

// A place: of a k its in channel and which of a phase's taps, of a quad its image, row and place in the row.
struct Place { i: u32, r: u32, c: u32 }

// That of a number, the last of the three counted first.
fn place_of(k: u32, rows: u32, columns: u32) -> Place {
    let across = max(columns, 1u);
    let window = max(rows * columns, 1u);
    return Place(k / window, k % window / across, k % window % across);
}

// The place that is `by` behind another one. No branches: loads of several places are on their way at once.
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
