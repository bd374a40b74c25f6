// One of the launches of Winograd's filtering. A unit is four columns of as many rows as a tile of the result has: one tile
// of F(4x4, 3x3), or two of F(2x2, 3x3) side by side. Units are numbered through rows and images.

struct Params {
    inputs: u32, // channels
    outputs: u32,
    height: u32,
    width: u32, // divisible by 4
    first_unit: u32,
    units: u32, // of this launch
    pitch: u32, // tiles in a row of V and of M, divisible by 64
    epilogue: u32, // flags of epilogue_params.wgsl
}

@group(0) @binding(0) var<uniform> params: Params;

struct Place { image: u32, row: u32, column: u32 }

// Where a unit begins that has so many rows.
fn place_of(unit: u32, rows: u32) -> Place {
    let across = params.width / 4u;
    let units = across * ((params.height + rows - 1u) / rows);
    return Place(unit / units, unit % units / across * rows, unit % across * 4u);
}

// Of the two tiles of the unit `at` of this launch the first one's place in a row; the other's is 32 behind. So lanes in a
// row have words in a row of either.
fn first_of_two(at: u32) -> u32 { return at / 32u * 64u + at % 32u; }
