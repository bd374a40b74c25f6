// Parameters of the kernels of a Winograd convolution. A unit is four columns of as many rows as a tile of the result has: one
// tile of F(4x4, 3x3), or two tiles of F(2x2, 3x3) side by side. Units are numbered through rows and images.

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

// The first pixel of a unit with this many rows.
fn place_of(unit: u32, rows: u32) -> Place {
    let across = params.width / 4u;
    let units = across * ((params.height + rows - 1u) / rows);
    return Place(unit / units, unit % units / across * rows, unit % across * 4u);
}

// The position in a row of V or M of the first of the two tiles of unit `at`; the second tile is 32 further. So neighbouring
// lanes read and write neighbouring words, of the first tiles and of the second.
fn first_of_two(at: u32) -> u32 { return at / 32u * 64u + at % 32u; }
