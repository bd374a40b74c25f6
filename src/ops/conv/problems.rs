//! Conditions on a convolution (its shapes, stride and padding) under which a kernel of `table.rs` can compute it, each as a text
//! and as a function that checks it; and a check for convolutions too small to fill a GPU.

use super::problem::{ConvRole, Problem};

/// A class of convolutions: its description in words, and a function that says whether a convolution in a role is among them.
pub type Problems = (&'static str, fn(&Problem, ConvRole) -> bool);

pub(super) const ANY: Problems = ("any", |_, _| true);
pub(super) const NINE: Problems = ("3x3, stride 1, padding 1, rows of whole quads", |p, _| {
    p.is(3, 1, 1) && p.x.width().is_multiple_of(4)
});
pub(super) const MANY_OUTPUTS: Problems = (
    "3x3, stride 1, padding 1, rows of whole quads, channels to write that fill tiles of 64",
    |p, role| {
        // Tiles of 32 channels have 16 rows instead of 8, and those of weights 16 input channels.
        let along = if role == ConvRole::WeightGradient { p.x.channels() } else { p.x.height() };
        NINE.1(p, role) && fills_64(p, role, along.next_multiple_of(8), along.next_multiple_of(16))
    },
);
pub(super) const SQUARE_THREE: Problems =
    ("3x3, stride 1, padding 1, rows of whole eights or of four", |p, _| {
        p.is(3, 1, 1) && (p.x.width().is_multiple_of(8) || p.x.width() == 4)
    });
pub(super) const SQUARES_OF_EIGHT: Problems =
    ("3x3, stride 1, padding 1, both sides whole eights", |p, _| {
        p.is(3, 1, 1) && p.x.width().is_multiple_of(8) && p.x.height().is_multiple_of(8)
    });
pub(super) const PLANES: Problems = ("1x1, stride 1, planes of whole quads", |p, _| {
    p.is(1, 1, 0) && p.x.pixels().is_multiple_of(4)
});
pub(super) const MANY_POINTS: Problems =
    ("1x1, stride 1, planes of whole quads, channels to write that fill tiles of 64", |p, role| {
        PLANES.1(p, role) && fills_64(p, role, 1, 1)
    });
pub(super) const POINTS: Problems =
    ("1x1, stride 1 with planes of whole quads, or halving both sides", |p, role| {
        PLANES.1(p, role) || role == ConvRole::Forward && p.is(1, 2, 0) && halves(p)
    });
pub(super) const HALVED: Problems =
    ("3x3, stride 2 that halves both sides", |p, _| p.is(3, 2, 1) && halves(p));
pub(super) const DOUBLED: Problems = ("1x1 and 3x3, stride 2 that halves both sides", |p, _| {
    (p.is(3, 2, 1) || p.is(1, 2, 0)) && halves(p)
});
pub(super) const DOUBLED_THREE: Problems = HALVED;
pub(super) const QUAD_ROWS: Problems = ("rows of whole quads", |p, role| match role {
    ConvRole::InputGradient => p.stride[1] == 1 && p.x.width().is_multiple_of(4),
    _ => p.y.width().is_multiple_of(4),
});
pub(super) const OTHER_ROWS: Problems = ("other rows", |p, role| !QUAD_ROWS.1(p, role));
pub(super) const MANY_QUADS: Problems =
    ("rows of whole quads, channels to write that fill tiles of 64", |p, role| {
        QUAD_ROWS.1(p, role) && fills_64(p, role, 1, 1)
    });
pub(super) const FEW_QUADS: Problems =
    ("rows of whole quads, at most 16 channels to write", |p, role| {
        QUAD_ROWS.1(p, role) && p.ends(role).1.channels() <= 16
    });
pub(super) const MANY_WORDS: Problems =
    ("other rows, channels to write that fill tiles of 64", |p, role| {
        !QUAD_ROWS.1(p, role) && fills_64(p, role, 1, 1)
    });
pub(super) const FEW_WORDS: Problems = ("other rows, at most 16 channels to write", |p, role| {
    !QUAD_ROWS.1(p, role) && p.ends(role).1.channels() <= 16
});
pub(super) const NINE_WEIGHTS: Problems =
    ("3x3, stride 1, or 2 that halves; rows of whole quads", |p, role| {
        QUAD_ROWS.1(p, role) && (p.is(3, 1, 1) || p.is(3, 2, 1) && halves(p))
    });

pub(super) const FEW_NINES: Problems = (
    "3x3, stride 1, padding 1, rows of whole quads, too few tiles of 64 channels to fill a GPU",
    |p, role| NINE.1(p, role) && slices(p, role) > 1,
);
pub(super) const FEW_POINTS: Problems = (
    "1x1, stride 1, planes of whole quads, too few tiles of 64 channels to fill a GPU",
    |p, role| PLANES.1(p, role) && slices(p, role) > 1,
);
pub(super) const FEW_QUAD_TILES: Problems =
    ("rows of whole quads, too few tiles of 64 channels to fill a GPU", |p, role| {
        QUAD_ROWS.1(p, role) && slices(p, role) > 1
    });
pub(super) const FEW_WORD_TILES: Problems =
    ("other rows, too few tiles of 64 channels to fill a GPU", |p, role| {
        !QUAD_ROWS.1(p, role) && slices(p, role) > 1
    });

pub(super) const MATRICES: Problems =
    ("16 channels or more on both sides", |p, _| p.w.images().min(p.w.channels()) >= 16);

/// Workgroups of 64 invocations that fill a GPU: some eight on each multiprocessor of a large one.
pub(super) const FULL: u32 = 1024;
/// In channels of a slice, at least, and how many slices there are at most: their sums are written and read once more.
const LEAST_SLICE: u32 = 64;
const MOST_SLICES: u32 = 8;

/// Returns the number of slices of input channels that fill a GPU with tiles of 64 channels by 64 pixels: 1 where the
/// tiles alone do, where the channels are too few, and where a tile would be half empty.
pub(super) fn slices(p: &Problem, role: ConvRole) -> u32 {
    let (read, written) = p.ends(role);
    if written.channels() <= 32 {
        return 1;
    }
    let pixels = u64::from(written.images()) * u64::from(written.pixels());
    let tiles = pixels.div_ceil(64) * u64::from(written.channels().div_ceil(64));
    let wanted = u64::from(FULL).div_ceil(tiles.max(1));
    let most = (read.channels() / LEAST_SLICE).clamp(1, MOST_SLICES);
    u32::try_from(wanted).unwrap_or(u32::MAX).min(most)
}

/// Whether tiles of 64 channels are to be taken rather than those of 32 channels, which are twice as long along the other
/// dimension. `along` and `along_32` are that dimension's lengths, filled up to whole tiles of either kind. It is true where
/// there are more than 32 channels and tiles of 64 compute at most an eighth more sums than tiles of 32. (160 channels are 192
/// in tiles of 64.)
fn fills_64(p: &Problem, role: ConvRole, along: u32, along_32: u32) -> bool {
    let channels = p.ends(role).1.channels();
    let of_64 = u64::from(channels.next_multiple_of(64)) * u64::from(along);
    let of_32 = u64::from(channels.next_multiple_of(32)) * u64::from(along_32);
    channels > 32 && 8 * of_64 <= 9 * of_32
}

fn halves(p: &Problem) -> bool {
    p.x.width().is_multiple_of(8) && p.x.height().is_multiple_of(2)
}
