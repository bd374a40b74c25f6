// The sums that one invocation of a convolution with packed weights holds: eight channels of quads (four columns each), to which
// products are added a kernel row at a time. Nothing is indexed by a loop, because that would put the sums in memory. The
// function that stores a channel, keep_channel, is in another file that is appended to the same shader.

// Output channels that are not padding: for 1 or 4 the code of the other channels is left out.
override CHANNELS: u32 = 8u;

// Four columns of eight channels.
struct Tile { c0: vec4f, c1: vec4f, c2: vec4f, c3: vec4f, c4: vec4f, c5: vec4f, c6: vec4f, c7: vec4f }

// The values of x that the left, middle and right column of the kernel multiply, for four columns of the result.
struct Line { left: vec4f, middle: vec4f, right: vec4f }

// The products of all three taps are added in one expression, so that the sum is stored and loaded once.
fn add_row(tile: ptr<function, Tile>, a: Octet, b: Octet, c: Octet, by: Line) {
    (*tile).c0 = fma(vec4f(a.low.x), by.left, fma(vec4f(b.low.x), by.middle, fma(vec4f(c.low.x), by.right, (*tile).c0)));
    if CHANNELS > 1u {
        (*tile).c1 = fma(vec4f(a.low.y), by.left, fma(vec4f(b.low.y), by.middle, fma(vec4f(c.low.y), by.right, (*tile).c1)));
        (*tile).c2 = fma(vec4f(a.low.z), by.left, fma(vec4f(b.low.z), by.middle, fma(vec4f(c.low.z), by.right, (*tile).c2)));
        (*tile).c3 = fma(vec4f(a.low.w), by.left, fma(vec4f(b.low.w), by.middle, fma(vec4f(c.low.w), by.right, (*tile).c3)));
    }
    if CHANNELS > 4u {
        (*tile).c4 = fma(vec4f(a.high.x), by.left, fma(vec4f(b.high.x), by.middle, fma(vec4f(c.high.x), by.right, (*tile).c4)));
        (*tile).c5 = fma(vec4f(a.high.y), by.left, fma(vec4f(b.high.y), by.middle, fma(vec4f(c.high.y), by.right, (*tile).c5)));
        (*tile).c6 = fma(vec4f(a.high.z), by.left, fma(vec4f(b.high.z), by.middle, fma(vec4f(c.high.z), by.right, (*tile).c6)));
        (*tile).c7 = fma(vec4f(a.high.w), by.left, fma(vec4f(b.high.w), by.middle, fma(vec4f(c.high.w), by.right, (*tile).c7)));
    }
}

fn add_two(tile: ptr<function, Tile>, a: Octet, x: vec4f, b: Octet, y: vec4f) {
    (*tile).c0 = fma(vec4f(a.low.x), x, fma(vec4f(b.low.x), y, (*tile).c0));
    if CHANNELS > 1u {
        (*tile).c1 = fma(vec4f(a.low.y), x, fma(vec4f(b.low.y), y, (*tile).c1));
        (*tile).c2 = fma(vec4f(a.low.z), x, fma(vec4f(b.low.z), y, (*tile).c2));
        (*tile).c3 = fma(vec4f(a.low.w), x, fma(vec4f(b.low.w), y, (*tile).c3));
    }
    if CHANNELS > 4u {
        (*tile).c4 = fma(vec4f(a.high.x), x, fma(vec4f(b.high.x), y, (*tile).c4));
        (*tile).c5 = fma(vec4f(a.high.y), x, fma(vec4f(b.high.y), y, (*tile).c5));
        (*tile).c6 = fma(vec4f(a.high.z), x, fma(vec4f(b.high.z), y, (*tile).c6));
        (*tile).c7 = fma(vec4f(a.high.w), x, fma(vec4f(b.high.w), y, (*tile).c7));
    }
}

fn add_one(tile: ptr<function, Tile>, w: Octet, by: vec4f) {
    (*tile).c0 = fma(vec4f(w.low.x), by, (*tile).c0);
    if CHANNELS > 1u {
        (*tile).c1 = fma(vec4f(w.low.y), by, (*tile).c1);
        (*tile).c2 = fma(vec4f(w.low.z), by, (*tile).c2);
        (*tile).c3 = fma(vec4f(w.low.w), by, (*tile).c3);
    }
    if CHANNELS > 4u {
        (*tile).c4 = fma(vec4f(w.high.x), by, (*tile).c4);
        (*tile).c5 = fma(vec4f(w.high.y), by, (*tile).c5);
        (*tile).c6 = fma(vec4f(w.high.z), by, (*tile).c6);
        (*tile).c7 = fma(vec4f(w.high.w), by, (*tile).c7);
    }
}

// Stores channels `o` and up at the word `at`, after the epilogue. It is a loop, because eight copies of the store would be
// most of a kernel's code, and of the time that it takes to compile.
fn keep(tile: Tile, o: u32, at: u32, plane: u32, through: u32) -> u32 {
    var above = 0u;
    for (var c = 0u; c < 8u; c++) {
        var value = tile.c0;
        switch c {
            case 1u: { value = tile.c1; }
            case 2u: { value = tile.c2; }
            case 3u: { value = tile.c3; }
            case 4u: { value = tile.c4; }
            case 5u: { value = tile.c5; }
            case 6u: { value = tile.c6; }
            case 7u: { value = tile.c7; }
            default: {}
        }
        above |= keep_channel(o + c, at + c * plane, value, through >> (4u * c)) << (4u * c);
    }
    return above;
}

// Stores as `keep` does, with the mask's and the bits' word at `word`.
fn keep_at(tile: Tile, o: u32, at: u32, plane: u32, word: u32) {
    keep_word(word, keep(tile, o, at, plane, mask_word(word)));
}
