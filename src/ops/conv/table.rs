//! Which kernel computes a convolution, and when: one row a way to compute it. Among the rows that fit a problem, the first one
//! that is usual on the adapter is the static choice; tuning may take another one that is tried there, with its own packing of
//! the weights. `docs/kernels.md` has the table as text.
//!
//! A new way is a WGSL file, its kernel in `kernels.rs`, and a row here.

use super::kernels::*;
use super::pack::Layout;
use super::problem::{Params, Problem, Role};
use super::winograd::Winograd;
use crate::gpu::{Adapter, AdapterKind, Choices, Filtering, Kernel, Preferences, Question};
use crate::{Error, Result};

/// One way to compute a convolution in some roles.
#[derive(Debug)]
pub struct Way {
    /// Unique, for tables and for what was measured.
    pub name: &'static str,
    /// What it computes.
    pub roles: &'static [Role],
    /// How it reads weights.
    pub layout: Layout,
    /// The problems that it computes, in words and as a test.
    pub problems: Problems,
    /// Where it runs, in words and as a test.
    pub adapters: Adapters,
    /// What a workgroup may be: invocations for most, the static choice first.
    sizes: fn(&Problem, &Adapter) -> &'static [u32],
    /// Whether it writes bits ([`Epilogue`](super::Epilogue)) also where rows are not whole quads.
    pub any_width: bool,
    /// Whether it computes the derivative for x as a forward pass, with weights that are packed flipped.
    pub flips: bool,
    pub(super) launch: Launching,
}

/// What a way is on an adapter, for a user's preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It cannot run, or is known to lose.
    Never,
    /// Tuning measures it.
    Tried,
    /// The static choice, unless a row above is.
    Usual,
}

#[derive(Debug)]
pub(super) enum Launching {
    /// A kernel over tiles.
    Tiles(&'static Kernel, Tile),
    /// The three launches of a filter.
    Filter(Winograd),
}

/// How a kernel is launched for a problem, whether it computes the derivative for x, and workgroups of a size.
pub(super) type Tile = fn(&Params, bool, u32) -> Tiling;

/// How a kernel is launched.
#[derive(Debug)]
pub(super) struct Tiling {
    pub constants: Vec<(&'static str, f64)>,
    /// What an invocation or a workgroup computes, of an image and eight output channels; of a weight gradient, of a part
    /// of the images.
    pub tiles: u32,
    /// Of those, in a workgroup.
    pub workgroup: u32,
    /// Blocks of eight output channels, in a workgroup.
    pub blocks: u32,
    /// Workgroups in z; of a weight gradient those are the parts.
    pub phases: u32,
}

/// A row, and the size of its workgroups.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The row.
    pub way: &'static Way,
    /// One of the sizes that the row allows.
    pub size: u32,
}

impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        (self.way.name, self.size) == (other.way.name, other.size)
    }
}

impl Eq for Choice {}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {}", self.way.name, self.size)
    }
}

const FORWARD: &[Role] = &[Role::Forward];
const BACKWARD: &[Role] = &[Role::InputGradient];
const BOTH: &[Role] = &[Role::Forward, Role::InputGradient];
const WEIGHTS: &[Role] = &[Role::WeightGradient];

/// Problems in words, and whether one is among them in a role.
pub type Problems = (&'static str, fn(&Problem, Role) -> bool);
/// Adapters in words, and what a row is on one for a problem and a user's preferences.
pub type Adapters = (&'static str, fn(&Problem, &Adapter, &Preferences) -> Standing);

const fn tiles(
    name: &'static str,
    roles: &'static [Role],
    problems: Problems,
    adapters: Adapters,
    sizes: fn(&Problem, &Adapter) -> &'static [u32],
    kernel: &'static Kernel,
    tiling: fn(&Params, bool, u32) -> Tiling,
) -> Way {
    let launch = Launching::Tiles(kernel, tiling);
    let layout = Layout::Octets;
    Way { name, roles, layout, problems, adapters, sizes, any_width: false, flips: false, launch }
}

impl Way {
    /// What its workgroups may be for a problem on an adapter, the static choice first: invocations, but of Winograd's filters
    /// in three launches the output channels of a workgroup of the product.
    pub fn sizes(&self, problem: &Problem, adapter: &Adapter) -> &'static [u32] {
        (self.sizes)(problem, adapter)
    }

    /// The row of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        WAYS.iter().find(|way| way.name == name)
    }

    /// Whether whole workgroups compute together, which is for GPUs.
    pub fn launches_groups(&self) -> bool {
        matches!(self.adapters.0, GPUS | GPUS_BY_TUNING)
            || matches!(self.launch, Launching::Filter(_))
    }

    /// Whether the table has it for this problem, wherever it runs.
    pub fn computes(&self, problem: &Problem, role: Role) -> bool {
        self.roles.contains(&role) && (self.problems.1)(problem, role)
    }

    const fn packed(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// The derivative for x is a forward pass of flipped weights.
    const fn flipping(self) -> Self {
        Self { flips: true, ..self }
    }

    const fn any_width(self) -> Self {
        Self { any_width: true, ..self }
    }
}

const fn filter(name: &'static str, adapters: Adapters, winograd: Winograd) -> Way {
    let way = tiles(name, BOTH, NINE, adapters, products, &WINOGRAD, fused);
    let launch = match winograd {
        Winograd::Fused => Launching::Tiles(&WINOGRAD, fused),
        _ => Launching::Filter(winograd),
    };
    let sizes: fn(&Problem, &Adapter) -> &'static [u32] = match winograd {
        Winograd::Fused => lanes,
        _ => products,
    };
    Way { layout: Layout::Winograd(winograd), sizes, launch, ..way }
}

/// All of them, in the order of preference.
#[rustfmt::skip]
pub static WAYS: &[Way] = &[
    filter("winograd two", FILTER_TWO, Winograd::Two),
    filter("winograd four", FILTER_FOUR, Winograd::Four),
    filter("winograd texels", FILTER_TEXELS, Winograd::Fused),
    // CPU rasterisers with subgroups read copies of buffers as textures.
    tiles("quads texels", BOTH, SQUARE_THREE, TEXELS, lanes, &QUADS.texels, quads).flipping(),
    tiles("point texels", BOTH, POINTS, TEXELS, lanes, &POINT.texels, point),
    tiles("halve texels", FORWARD, HALVED, TEXELS, lanes, &HALVE.texels, halve),
    tiles("double texels", BACKWARD, DOUBLED, TEXELS, lanes, &DOUBLE.texels, double),
    tiles("taps texels", BOTH, ANY, TEXELS, lanes, &TAPS.texels, taps).any_width(),
    // Other ones compile slowly: the same kernel for all layers.
    tiles("quads tall", BOTH, SQUARES_OF_EIGHT, TALLS, lanes, &TALL, tall).flipping(),
    tiles("halve tall", FORWARD, HALVED, TALLS, lanes, &HALVE_TALL, halve_tall),
    tiles("double tall", BACKWARD, DOUBLED_THREE, TALLS, lanes, &DOUBLE_TALL, double_tall),
    // GPUs: whole workgroups share what they load.
    tiles("block 64", BOTH, MANY_OUTPUTS, GROUPS, groups, &BLOCK, block::<8>).flipping(),
    tiles("block 32", BOTH, NINE, GROUPS, groups, &BLOCK, block::<4>).flipping(),
    tiles("point block 64", BOTH, MANY_POINTS, GROUPS, groups, &POINT_BLOCK, point_block::<8>),
    tiles("point block 32", BOTH, PLANES, GROUPS, groups, &POINT_BLOCK, point_block::<4>),
    // Every invocation by itself, from buffers.
    tiles("quads", BOTH, SQUARE_THREE, BUFFERS, lanes, &QUADS.storage, quads).flipping(),
    tiles("point", BOTH, POINTS, BUFFERS, lanes, &POINT.storage, point),
    tiles("halve", FORWARD, HALVED, BUFFERS, lanes, &HALVE.storage, halve),
    tiles("double", BACKWARD, DOUBLED, BUFFERS, lanes, &DOUBLE.storage, double),
    tiles("gemm 64x64", BOTH, QUAD_ROWS, GEMMS, groups, &GEMM, gemm::<8>),
    tiles("gemm 32x128", BOTH, QUAD_ROWS, GEMMS, groups, &GEMM, gemm::<4>),
    tiles("gemm words 64x64", BOTH, OTHER_ROWS, GEMMS, groups, &GEMM_WORDS, gemm::<8>).any_width(),
    tiles("gemm words 32x128", BOTH, OTHER_ROWS, GEMMS, groups, &GEMM_WORDS, gemm::<4>).any_width(),
    tiles("taps", BOTH, ANY, BUFFERS, lanes, &TAPS.storage, taps).any_width(),
    // The same with weights in half precision.
    tiles("quads half", BOTH, SQUARE_THREE, HALVES, lanes, &QUADS.half, quads).flipping().packed(Layout::Halves),
    tiles("point half", BOTH, POINTS, HALVES, lanes, &POINT.half, point).packed(Layout::Halves),
    tiles("halve half", FORWARD, HALVED, HALVES, lanes, &HALVE.half, halve).packed(Layout::Halves),
    tiles("double half", BACKWARD, DOUBLED, HALVES, lanes, &DOUBLE.half, double).packed(Layout::Halves),
    tiles("taps half", BOTH, ANY, HALVES, lanes, &TAPS.half, taps).any_width().packed(Layout::Halves),
    // Derivatives for the weights.
    tiles("weights nine texels", WEIGHTS, NINE_WEIGHTS, TEXELS, lanes, &WEIGHTS_NINE_TEXELS, nine_weights),
    tiles("weights taps texels", WEIGHTS, QUAD_ROWS, TEXELS, lanes, &WEIGHTS_TAPS_TEXELS, taps_weights),
    tiles("weights block 64", WEIGHTS, MANY_OUTPUTS, GROUPS, groups, &WEIGHTS_BLOCK, block_weights::<8>),
    tiles("weights block 32", WEIGHTS, NINE, GROUPS, groups, &WEIGHTS_BLOCK, block_weights::<4>),
    tiles("weights nine", WEIGHTS, NINE_WEIGHTS, BUFFERS_OF_WEIGHTS, lanes, &WEIGHTS_NINE, nine_weights),
    tiles("weights gemm", WEIGHTS, QUAD_ROWS, GEMMS, groups, &WEIGHTS_GEMM, gemm_weights),
    tiles("weights taps", WEIGHTS, QUAD_ROWS, BUFFERS_OF_WEIGHTS, lanes, &WEIGHTS_TAPS, taps_weights),
];

// Problems.

const ANY: Problems = ("any", |_, _| true);
const NINE: Problems = ("3x3, stride 1, padding 1, rows of whole quads", |p, _| {
    p.is(3, 1, 1) && p.x.width().is_multiple_of(4)
});
const MANY_OUTPUTS: Problems =
    ("3x3, stride 1, padding 1, rows of whole quads, more than 32 channels to write", |p, role| {
        NINE.1(p, role) && p.ends(role).1.channels() > 32
    });
const SQUARE_THREE: Problems =
    ("3x3, stride 1, padding 1, rows of whole eights or of four", |p, _| {
        p.is(3, 1, 1) && (p.x.width().is_multiple_of(8) || p.x.width() == 4)
    });
const SQUARES_OF_EIGHT: Problems = ("3x3, stride 1, padding 1, both sides whole eights", |p, _| {
    p.is(3, 1, 1) && p.x.width().is_multiple_of(8) && p.x.height().is_multiple_of(8)
});
const PLANES: Problems = ("1x1, stride 1, planes of whole quads", |p, _| {
    p.is(1, 1, 0) && p.x.pixels().is_multiple_of(4)
});
const MANY_POINTS: Problems =
    ("1x1, stride 1, planes of whole quads, more than 32 channels to write", |p, role| {
        PLANES.1(p, role) && p.ends(role).1.channels() > 32
    });
const POINTS: Problems =
    ("1x1, stride 1 with planes of whole quads, or halving both sides", |p, role| {
        PLANES.1(p, role) || role == Role::Forward && p.is(1, 2, 0) && halves(p)
    });
const HALVED: Problems =
    ("3x3, stride 2 that halves both sides", |p, _| p.is(3, 2, 1) && halves(p));
const DOUBLED: Problems = ("1x1 and 3x3, stride 2 that halves both sides", |p, _| {
    (p.is(3, 2, 1) || p.is(1, 2, 0)) && halves(p)
});
const DOUBLED_THREE: Problems = HALVED;
const QUAD_ROWS: Problems = ("rows of whole quads", |p, role| match role {
    Role::InputGradient => p.stride[1] == 1 && p.x.width().is_multiple_of(4),
    _ => p.y.width().is_multiple_of(4),
});
const OTHER_ROWS: Problems = ("other rows", |p, role| !QUAD_ROWS.1(p, role));
const NINE_WEIGHTS: Problems =
    ("3x3, stride 1, or 2 that halves; rows of whole quads", |p, role| {
        QUAD_ROWS.1(p, role) && (p.is(3, 1, 1) || p.is(3, 2, 1) && halves(p))
    });

fn halves(p: &Problem) -> bool {
    p.x.width().is_multiple_of(8) && p.x.height().is_multiple_of(2)
}

// Adapters.

/// Whether texels pay: on CPU rasterisers with subgroups to share loads; not in browsers, whose wgpu has none of these.
pub fn reads_texels(adapter: &Adapter) -> bool {
    let subgroups = adapter.subgroup.is_some_and(|size| size >= 8);
    NATIVE && adapter.kind == AdapterKind::Cpu && subgroups
}

/// Whether weights are packed in half precision: where that is asked for, but on CPU rasterisers, which convert slowly.
fn is_halved(adapter: &Adapter, preferences: &Preferences) -> bool {
    NATIVE && preferences.half_weights && adapter.kind != AdapterKind::Cpu
}

fn usual(usual: bool) -> Standing {
    if usual { Standing::Usual } else { Standing::Never }
}

const TEXELS: Adapters = ("CPU rasterisers with subgroups", |_, a, _| usual(reads_texels(a)));
const TALLS: Adapters =
    ("other CPU rasterisers", |_, a, _| usual(a.kind == AdapterKind::Cpu && !reads_texels(a)));
const BUFFERS: Adapters =
    ("all that read buffers", |_, a, wish| usual(!reads_texels(a) && !is_halved(a, wish)));
const BUFFERS_OF_WEIGHTS: Adapters = ("all that read buffers", |_, a, _| usual(!reads_texels(a)));
const HALVES: Adapters =
    ("GPUs, where half precision is asked for", |_, a, wish| usual(is_halved(a, wish)));
const GPUS: &str = "GPUs";
const GPUS_BY_TUNING: &str = "GPUs, by tuning";
const GROUPS: Adapters = (GPUS, |_, a, wish| usual(is_gpu(a) && !is_halved(a, wish)));
const GEMMS: Adapters = (GPUS_BY_TUNING, |_, a, wish| {
    if is_gpu(a) && !is_halved(a, wish) { Standing::Tried } else { Standing::Never }
});
const FILTER_TEXELS: Adapters =
    ("CPU rasterisers with subgroups, from 32 channels on", |p, a, wish| {
        let asked = matches!(wish.filtering, Filtering::Auto | Filtering::Four);
        usual(asked && reads_texels(a) && filter_pays(p, a, Winograd::Fused))
    });
const FILTER_TWO: Adapters =
    ("where it is asked for, or by tuning on GPUs; from 32 channels on", |p, a, wish| {
        filtered(p, a, wish, Filtering::Two, Winograd::Two)
    });
const FILTER_FOUR: Adapters =
    ("where it is asked for, or by tuning on GPUs; from 32 channels on", |p, a, wish| {
        if reads_texels(a) {
            return Standing::Never;
        }
        filtered(p, a, wish, Filtering::Four, Winograd::Four)
    });

/// Products by whole workgroups pay on GPUs alone, and pages do without.
fn is_gpu(adapter: &Adapter) -> bool {
    NATIVE && adapter.kind != AdapterKind::Cpu
}

fn filtered(
    p: &Problem,
    a: &Adapter,
    wish: &Preferences,
    asked: Filtering,
    by: Winograd,
) -> Standing {
    match wish.filtering {
        _ if !NATIVE || !filter_pays(p, a, by) => Standing::Never,
        filtering if filtering == asked => Standing::Usual,
        Filtering::Auto if is_gpu(a) && !is_halved(a, wish) => Standing::Tried,
        _ => Standing::Never,
    }
}

/// Fewest channels on either side that are filtered: with fewer the transforms take what the product saves, and the
/// rounding tells more.
const LEAST_CHANNELS: u32 = 32;

/// Whether there are channels enough, and transformed weights are no more than a binding shows.
fn filter_pays(p: &Problem, adapter: &Adapter, by: Winograd) -> bool {
    let (outputs, inputs) = (p.w.images(), p.w.channels());
    let most = u64::from(outputs.max(inputs));
    let words = most.next_multiple_of(8) * most.max(64) * u64::from(by.points() * by.points());
    words * 4 <= adapter.max_binding && outputs.min(inputs) >= LEAST_CHANNELS
}

// Sizes of workgroups.

/// On CPU rasterisers one or two of their subgroups, so that all threads have some.
fn lanes(_: &Problem, adapter: &Adapter) -> &'static [u32] {
    if adapter.kind == AdapterKind::Cpu { &[8, 16, 32] } else { &[32, 64, 128] }
}

fn groups(_: &Problem, _: &Adapter) -> &'static [u32] {
    &[64]
}

/// Output channels of a workgroup of the filters' product.
fn products(problem: &Problem, _: &Adapter) -> &'static [u32] {
    if problem.w.images() > 32 { &[64, 32, 128] } else { &[32, 64, 128] }
}

// Launches.

fn direct(p: &Params, size: u32, tiles: u32, constants: &[(&'static str, f64)]) -> Tiling {
    let own = [("WORKGROUP", f64::from(size)), ("CHANNELS", f64::from(p.outputs.min(8)))];
    let constants = own.iter().chain(constants).copied().collect();
    Tiling { constants, tiles, workgroup: size, blocks: 1, phases: 1 }
}

fn fused(p: &Params, _: bool, size: u32) -> Tiling {
    let across = p.width / 4;
    let neighbours = across.is_multiple_of(8) || 8_u32.checked_rem(across) == Some(0);
    let tiling = direct(p, size, across * p.height.div_ceil(8), &[]);
    let constants = vec![("WORKGROUP", f64::from(size)), ("NEIGHBOURS", f64::from(neighbours))];
    Tiling { constants, ..tiling }
}

fn quads(p: &Params, _: bool, size: u32) -> Tiling {
    let narrow = p.width == 4;
    let [across, high] = if narrow { [1, 4] } else { [p.width / 8, 2] };
    direct(p, size, across * p.height.div_ceil(high), &[("NARROW", f64::from(narrow))])
}

fn point(p: &Params, _: bool, size: u32) -> Tiling {
    let tiles = (p.out_width * p.out_height).div_ceil(8);
    direct(p, size, tiles, &[("STRIDE", f64::from(p.stride_x))])
}

fn halve(p: &Params, _: bool, size: u32) -> Tiling {
    direct(p, size, p.out_width / 4 * p.out_height.div_ceil(2), &[])
}

fn double(p: &Params, _: bool, size: u32) -> Tiling {
    direct(p, size, p.width / 4 * p.height, &[("POINT", f64::from(p.kernel_width == 1))])
}

fn one_for_all(size: u32, tiles: u32) -> Tiling {
    let constants = vec![("WORKGROUP", f64::from(size))];
    Tiling { constants, tiles, workgroup: size, blocks: 1, phases: 1 }
}

fn tall(p: &Params, _: bool, size: u32) -> Tiling {
    one_for_all(size, p.width / 8 * p.height.div_ceil(8))
}

fn halve_tall(p: &Params, _: bool, size: u32) -> Tiling {
    one_for_all(size, p.out_width / 4 * p.out_height.div_ceil(4))
}

fn double_tall(p: &Params, _: bool, size: u32) -> Tiling {
    one_for_all(size, p.width / 4 * p.height.div_ceil(2))
}

/// Quads of an image and eight output channels, of one of so many phases: a strided derivative's rows and columns fall
/// into phases that meet different taps.
fn phases(p: &Params, transposed: bool) -> (u32, u32) {
    let [every_y, every_x] = if transposed { [p.stride_y, p.stride_x] } else { [1, 1] };
    let across = p.out_width.div_ceil(every_x).div_ceil(4);
    (p.out_height.div_ceil(every_y) * across, every_y * every_x)
}

fn taps(p: &Params, transposed: bool, size: u32) -> Tiling {
    let (tiles, phases) = phases(p, transposed);
    let constants = vec![
        ("WORKGROUP", f64::from(size)),
        ("TRANSPOSED", f64::from(transposed)),
        ("STRIDE_Y", f64::from(p.stride_y)),
        ("STRIDE_X", f64::from(p.stride_x)),
    ];
    Tiling { constants, tiles, workgroup: size, blocks: 1, phases }
}

/// A workgroup of 64 invocations computes so many blocks, for the rest of 64 pairs of quads.
fn gemm<const BLOCKS: u32>(p: &Params, transposed: bool, size: u32) -> Tiling {
    let (tiles, phases) = phases(p, transposed);
    let pairs = size / BLOCKS;
    let constants = vec![
        ("TRANSPOSED", f64::from(transposed)),
        ("BLOCKS", f64::from(BLOCKS)),
        ("PAIRS", f64::from(pairs)),
    ];
    Tiling { constants, tiles, workgroup: 2 * pairs, blocks: BLOCKS, phases }
}

fn block<const BLOCKS: u32>(p: &Params, _: bool, size: u32) -> Tiling {
    let tiles = p.width.div_ceil(8) * p.height.div_ceil(size / BLOCKS);
    let constants = vec![("BLOCKS", f64::from(BLOCKS))];
    Tiling { constants, tiles, workgroup: 1, blocks: BLOCKS, phases: 1 }
}

fn point_block<const BLOCKS: u32>(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![("BLOCKS", f64::from(BLOCKS))];
    let workgroup = 2 * size / BLOCKS;
    Tiling { constants, tiles: p.width * p.height / 4, workgroup, blocks: BLOCKS, phases: 1 }
}

fn parts(p: &Params) -> u32 {
    p.images.div_ceil(p.part_images.max(1))
}

fn nine_weights(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![("WORKGROUP", f64::from(size)), ("HALVE", f64::from(p.stride_x == 2))];
    Tiling { constants, tiles: p.inputs, workgroup: size, blocks: 1, phases: parts(p) }
}

fn taps_weights(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![
        ("WORKGROUP", f64::from(size)),
        ("STRIDE_Y", f64::from(p.stride_y)),
        ("STRIDE_X", f64::from(p.stride_x)),
    ];
    let tiles = p.inputs * p.kernel_height * p.kernel_width;
    Tiling { constants, tiles, workgroup: size, blocks: 1, phases: parts(p) }
}

fn gemm_weights(p: &Params, _: bool, size: u32) -> Tiling {
    let tiles = p.inputs * p.kernel_height * p.kernel_width;
    Tiling { constants: Vec::new(), tiles, workgroup: size, blocks: size / 8, phases: parts(p) }
}

fn block_weights<const BLOCKS: u32>(p: &Params, _: bool, size: u32) -> Tiling {
    let constants = vec![("BLOCKS", f64::from(BLOCKS))];
    Tiling {
        constants,
        tiles: p.inputs,
        workgroup: size / BLOCKS,
        blocks: BLOCKS,
        phases: parts(p),
    }
}

/// The rows that compute a problem on an adapter, each with the sizes that its workgroups may have, and what they are there.
pub fn candidates(
    problem: &Problem,
    role: Role,
    adapter: &Adapter,
    preferences: &Preferences,
) -> Vec<(Choice, Standing)> {
    let mut found = Vec::new();
    for way in WAYS.iter().filter(|way| way.computes(problem, role)) {
        let standing = (way.adapters.1)(problem, adapter, preferences);
        if standing != Standing::Never {
            found.extend(
                way.sizes(problem, adapter).iter().map(|&size| (Choice { way, size }, standing)),
            );
        }
    }
    found
}

/// The one decision: the row that computes a problem, the question that was answered, and what it was answered from.
/// `affordable` says whether the packed weights of a row have room. `None` where the plain kernel is all that there is.
pub fn choose(
    problem: &Problem,
    role: Role,
    (adapter, preferences, choices): (&Adapter, &Preferences, &Choices),
    affordable: impl Fn(&'static Way) -> bool,
) -> Result<Option<(Choice, Question, Vec<Choice>)>> {
    let mut found = candidates(problem, role, adapter, preferences);
    found.retain(|(choice, _)| affordable(choice.way));
    let Some(default) = found.iter().position(|(_, standing)| *standing == Standing::Usual) else {
        return Ok(None);
    };
    let names = found.iter().map(|(choice, _)| choice.to_string()).collect();
    let Problem { x, w, stride, padding, .. } = problem;
    let key = format!("conv2d {role:?} {x} by {w}, stride {stride:?}, padding {padding:?}");
    let question = Question { key, candidates: names, default };
    let all: Vec<_> = found.into_iter().map(|(choice, _)| choice).collect();
    let none = || Error::mismatch("conv2d", "no row", "one of its table");
    let choice = *all.get(question.answer(choices)).ok_or_else(none)?;
    Ok(Some((choice, question, all)))
}
