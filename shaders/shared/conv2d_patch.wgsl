// What four columns of y meet of x at one tap of the kernel, whatever its stride and padding: part of a matrix that is
// never in memory.

// Where a tap is: the plane of its in channel in an image of x, and its row and column beside those that the quad's first
// column would meet at the tap 0.
struct Place { plane: u32, row: u32, column: u32 }

// Beside this row none is inside, whatever is added.
const OUTSIDE: u32 = 0x40000000u;

// `x_step()` words from one column to the next. Above and left of x rows and columns wrap to large numbers.
fn patch_at(place: Place, image: u32, first_row: u32, first_column: u32) -> vec4f {
    let row = first_row + place.row;
    let column = first_column + place.column;
    if row >= params.height { return vec4f(0.0); }
    let line = image + place.plane + row * params.width;
    let whole = x_step() == 1u && column < params.width && column + 3u < params.width;
    if whole && (line + column) % 4u == 0u { return x_quad(line + column); }
    let columns = column + vec4u(0u, 1u, 2u, 3u) * x_step();
    let at = line + min(columns, vec4u(params.width - 1u));
    let values = vec4f(x_word(at.x), x_word(at.y), x_word(at.z), x_word(at.w));
    return select(vec4f(0.0), values, columns < vec4u(params.width));
}
