//! The table of all ways to compute a convolution, one in each row: its kernel, and the conditions under which it can be used.
//! Without tuning, the first row is chosen that can compute the convolution and is [`Standing::Usual`] on the adapter. Tuning
//! also measures rows that are [`Standing::Tried`] there, each with the weights packed in its own order. `docs/kernels.md` has
//! the table as text.
//!
//! A new way is a WGSL file, its kernel in `kernels.rs`, and a row here.

use super::kernels::*;
use super::pack::WeightLayout;
use super::problem::{ConvRole, Problem};
use super::problems::*;
use super::tiling::*;
use super::winograd::Winograd;
use crate::gpu::{
    Adapter, AdapterKind, Choices, Filtering, Kernel, Precision, Preferences, Question,
    has_all_shaders,
};
use crate::{Error, Result};

/// A row of the table of convolution kernels: a way to compute a convolution in some roles.
#[derive(Debug)]
pub struct Way {
    /// The row's unique name, for tables and for measurements.
    pub name: &'static str,
    /// The roles (convolution, derivative for x or for the weights) that the row's kernel computes.
    pub roles: &'static [ConvRole],
    /// The order in which the row's kernel reads packed weights.
    pub layout: WeightLayout,
    /// The convolutions that the row's kernel can compute, in words and as a test.
    pub problems: Problems,
    /// The adapters that the row's kernel runs on, in words and as a test.
    pub adapters: Adapters,
    /// The allowed sizes of its workgroups: invocations for most ways, the static choice first.
    sizes: fn(&Problem, &Adapter) -> &'static [u32],
    /// Whether the row's kernel writes mask bits ([`Epilogue`](super::Epilogue)) even where rows are not a multiple of 4 columns.
    pub any_width: bool,
    /// Whether the row's kernel can sum input channels in slices, which one more launch adds up: see `slices`.
    pub slices: bool,
    /// The side of the cooperative matrices that the row's kernel multiplies, which the adapter must have; 0 for none.
    pub cooperative: u32,
    /// Whether the row's kernel computes the derivative for x as a convolution with weights that are packed flipped.
    pub flips: bool,
    pub(super) launch: Launching,
}

/// Whether a row of the table of convolution kernels is used on an adapter, given a user's preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The row's kernel cannot run on the adapter, is known to be slower than another, or is not what the preferences ask for.
    Never,
    /// The row's kernel is measured by tuning, and not used without it.
    Tried,
    /// The row's kernel is used without tuning, unless an earlier row that can compute the convolution is usual too.
    Usual,
}

#[derive(Debug)]
pub(super) enum Launching {
    /// A kernel over tiles.
    Tiles(&'static Kernel, Tile),
    /// The three launches of a filter.
    Filter(Winograd),
}

/// A row of the table of convolution kernels, with the size of its workgroups.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The chosen row of the table of convolution kernels.
    pub way: &'static Way,
    /// The size of a workgroup, one of those that the row allows.
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

const FORWARD: &[ConvRole] = &[ConvRole::Forward];
const BACKWARD: &[ConvRole] = &[ConvRole::InputGradient];
const BOTH: &[ConvRole] = &[ConvRole::Forward, ConvRole::InputGradient];
const WEIGHTS: &[ConvRole] = &[ConvRole::WeightGradient];

/// A class of adapters: its description in words, and a function that returns a row's standing on an adapter, for a convolution
/// and a user's preferences.
pub type Adapters = (&'static str, fn(&Problem, &Adapter, &Preferences) -> Standing);

const fn tiles(
    name: &'static str,
    roles: &'static [ConvRole],
    problems: Problems,
    adapters: Adapters,
    sizes: fn(&Problem, &Adapter) -> &'static [u32],
    kernel: &'static Kernel,
    tiling: Tile,
) -> Way {
    Way {
        name,
        roles,
        layout: WeightLayout::Octets,
        problems,
        adapters,
        sizes,
        any_width: false,
        slices: false,
        cooperative: 0,
        flips: false,
        launch: Launching::Tiles(kernel, tiling),
    }
}

impl Way {
    /// Returns the allowed sizes of workgroups for a problem on an adapter, the static choice first: numbers of
    /// invocations, but for Winograd's filters in three launches the output channels of a workgroup of the product.
    pub fn sizes(&self, problem: &Problem, adapter: &Adapter) -> &'static [u32] {
        (self.sizes)(problem, adapter)
    }

    /// Returns the row of the table of convolution kernels that has this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        WAYS.iter().find(|way| way.name == name)
    }

    /// Returns whether the invocations of a workgroup compute together, which is for GPUs.
    pub fn launches_groups(&self) -> bool {
        self.adapters.0 == GPUS
            || self.cooperative > 0
            || matches!(self.launch, Launching::Filter(_))
    }

    /// Returns the number of sums that a workgroup makes, if its invocations compute together; none if each computes by itself.
    pub(super) fn sums(&self, size: u32) -> Option<u32> {
        match self.launch {
            Launching::Tiles(..) if self.cooperative > 0 => {
                Some(32 * self.cooperative * self.cooperative)
            }
            Launching::Tiles(..) if self.launches_groups() => Some(64 * size),
            _ => None,
        }
    }

    /// Returns whether the row can compute this convolution, or this derivative of it, on some adapter.
    pub fn computes(&self, problem: &Problem, role: ConvRole) -> bool {
        self.roles.contains(&role) && (self.problems.1)(problem, role)
    }

    /// Returns the largest allowed difference of the row's results from the plain kernel's, as a share of the largest result.
    /// Sums in another order are off by some 1e-5, filters round as [`Winograd`] says, and cooperative matrices round both of
    /// their factors to half precision, by up to 2^-11.
    pub fn bound(&self) -> f32 {
        if self.cooperative > 0 { 4e-3 } else { 1e-4 }
    }

    /// By cooperative matrices of this side.
    const fn multiplying(self, side: u32) -> Self {
        Self { cooperative: side, ..self }
    }

    /// The derivative for x is a forward pass of flipped weights.
    const fn flipping(self) -> Self {
        Self { flips: true, ..self }
    }

    /// In slices of the input channels.
    const fn sliced(self) -> Self {
        Self { slices: true, ..self }
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
    Way { layout: WeightLayout::Winograd(winograd), sizes, launch, ..way }
}

/// All rows of the table of convolution kernels, in the order of preference.
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
    // By cooperative matrices, which multiply halves.
    tiles("cooperative 16", BOTH, MATRICES, SIXTEENS, subgroups, &COOPERATIVE_16, cooperative::<16>).any_width().multiplying(16),
    tiles("cooperative 8", BOTH, MATRICES, EIGHTS, subgroups, &COOPERATIVE_8, cooperative::<8>).any_width().multiplying(8),
    // GPUs: whole workgroups share what they load.
    tiles("block 64 sliced", BOTH, FEW_NINES, GROUPS, groups, &BLOCK, block::<8>).flipping().sliced(),
    tiles("block 64", BOTH, MANY_OUTPUTS, GROUPS, groups, &BLOCK, block::<8>).flipping(),
    tiles("block 32", BOTH, NINE, GROUPS, groups, &BLOCK, block::<4>).flipping(),
    tiles("point block 64 sliced", BOTH, FEW_POINTS, GROUPS, groups, &POINT_BLOCK, point_block::<8>).sliced(),
    tiles("point block 64", BOTH, MANY_POINTS, GROUPS, groups, &POINT_BLOCK, point_block::<8>),
    tiles("point block 32", BOTH, PLANES, GROUPS, groups, &POINT_BLOCK, point_block::<4>),
    tiles("gemm 64x64 sliced", BOTH, FEW_QUAD_TILES, GROUPS, groups, &GEMM, gemm::<8>).sliced(),
    tiles("gemm 64x64", BOTH, MANY_QUADS, GROUPS, groups, &GEMM, gemm::<8>),
    tiles("gemm 16x256", BOTH, FEW_QUADS, GROUPS, groups, &GEMM, gemm::<2>),
    tiles("gemm 32x128", BOTH, QUAD_ROWS, GROUPS, groups, &GEMM, gemm::<4>),
    tiles("gemm words 64x64 sliced", BOTH, FEW_WORD_TILES, GROUPS, groups, &GEMM_WORDS, gemm::<8>).any_width().sliced(),
    tiles("gemm words 64x64", BOTH, MANY_WORDS, GROUPS, groups, &GEMM_WORDS, gemm::<8>).any_width(),
    tiles("gemm words 16x256", BOTH, FEW_WORDS, GROUPS, groups, &GEMM_WORDS, gemm::<2>).any_width(),
    tiles("gemm words 32x128", BOTH, OTHER_ROWS, GROUPS, groups, &GEMM_WORDS, gemm::<4>).any_width(),
    // Every invocation by itself, from buffers.
    tiles("quads", BOTH, SQUARE_THREE, BUFFERS, lanes, &QUADS.storage, quads).flipping(),
    tiles("point", BOTH, POINTS, BUFFERS, lanes, &POINT.storage, point),
    tiles("halve", FORWARD, HALVED, BUFFERS, lanes, &HALVE.storage, halve),
    tiles("double", BACKWARD, DOUBLED, BUFFERS, lanes, &DOUBLE.storage, double),
    tiles("taps", BOTH, ANY, BUFFERS, lanes, &TAPS.storage, taps).any_width(),
    // Derivatives for the weights.
    tiles("weights nine texels", WEIGHTS, NINE_WEIGHTS, TEXELS, lanes, &WEIGHTS_NINE_TEXELS, nine_weights),
    tiles("weights taps texels", WEIGHTS, QUAD_ROWS, TEXELS, lanes, &WEIGHTS_TAPS_TEXELS, taps_weights),
    tiles("weights cooperative 16", WEIGHTS, MATRICES, SIXTEENS, subgroups, &WEIGHTS_COOPERATIVE_16, cooperative_weights::<16>).multiplying(16),
    tiles("weights cooperative 8", WEIGHTS, MATRICES, EIGHTS, subgroups, &WEIGHTS_COOPERATIVE_8, cooperative_weights::<8>).multiplying(8),
    tiles("weights block 64", WEIGHTS, MANY_OUTPUTS, GROUPS, groups, &WEIGHTS_BLOCK, block_weights::<8>),
    tiles("weights block 32", WEIGHTS, NINE, GROUPS, groups, &WEIGHTS_BLOCK, block_weights::<4>),
    tiles("weights point gemm", WEIGHTS, PLANES, GROUPS, groups, &WEIGHTS_GEMM_POINTS, gemm_weights),
    tiles("weights gemm", WEIGHTS, QUAD_ROWS, GROUPS, groups, &WEIGHTS_GEMM, gemm_weights),
    tiles("weights gemm words", WEIGHTS, ANY, GROUPS, groups, &WEIGHTS_GEMM_WORDS, gemm_weights),
    tiles("weights nine", WEIGHTS, NINE_WEIGHTS, FETCHED, lanes, &WEIGHTS_NINE, nine_weights),
    tiles("weights taps", WEIGHTS, QUAD_ROWS, BUFFERS, lanes, &WEIGHTS_TAPS, taps_weights),
];

// Adapters.

/// Whether reading texels is faster on this adapter: on CPU rasterisers with subgroups to share loads; not in browsers,
/// whose wgpu has no subgroups.
pub fn reads_texels(adapter: &Adapter) -> bool {
    let subgroups = adapter.subgroup.is_some_and(|size| size >= 8);
    NATIVE && adapter.kind == AdapterKind::Cpu && subgroups
}

fn usual(usual: bool) -> Standing {
    if usual { Standing::Usual } else { Standing::Never }
}

const TEXELS: Adapters = ("CPU rasterisers with subgroups", |_, a, _| usual(reads_texels(a)));
const TALLS: Adapters = ("other CPU rasterisers", |_, a, _| {
    usual(a.kind == AdapterKind::Cpu && !reads_texels(a) && has_all_shaders())
});
const BUFFERS: Adapters = ("all that read buffers", |_, a, _| usual(!reads_texels(a)));
/// Rows that read buffers and whose text pages fetch.
const FETCHED: Adapters = (BUFFERS.0, |_, a, _| usual(!reads_texels(a) && has_all_shaders()));
const SIXTEENS: Adapters = (
    "GPUs with cooperative matrices of 16 by 16, where half precision is asked for",
    |_, a, wish| usual(multiplies_halves(a, wish, 16)),
);
const EIGHTS: Adapters = (
    "GPUs with cooperative matrices of 8 by 8, where half precision is asked for",
    |_, a, wish| usual(multiplies_halves(a, wish, 8)),
);
const GPUS: &str = "GPUs";
const GROUPS: Adapters = (GPUS, |_, a, _| usual(groups_pay(a)));
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

/// Whether cooperative matrices of this side are used: on GPUs that have them, where half precision is asked for.
fn multiplies_halves(a: &Adapter, wish: &Preferences, side: u32) -> bool {
    groups_pay(a) && wish.precision != Precision::Single && a.cooperative == Some(side)
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
        Filtering::Auto if groups_pay(a) && wish.precision == Precision::Single => Standing::Tried,
        _ => Standing::Never,
    }
}

/// Fewest channels on either side that are filtered: with fewer the transforms take what the product saves, and the
/// rounding tells more.
const LEAST_CHANNELS: u32 = 32;

/// Whether Winograd's filtering is worthwhile: there are enough channels, and the transformed weights fit a binding.
fn filter_pays(p: &Problem, adapter: &Adapter, by: Winograd) -> bool {
    let (outputs, inputs) = (p.w.images(), p.w.channels());
    let most = u64::from(outputs.max(inputs));
    let words = most.next_multiple_of(8) * most.max(64) * u64::from(by.points() * by.points());
    words * 4 <= adapter.max_binding && outputs.min(inputs) >= LEAST_CHANNELS
}

// Sizes of workgroups.

/// The sizes of workgroups: on CPU rasterisers one or two of their subgroups, so that all threads have work.
fn lanes(_: &Problem, adapter: &Adapter) -> &'static [u32] {
    if adapter.kind == AdapterKind::Cpu { &[8, 16, 32] } else { &[32, 64, 128] }
}

fn groups(_: &Problem, _: &Adapter) -> &'static [u32] {
    &[64]
}

/// Invocations of four subgroups, of a size that is known where cooperative matrices are used.
fn subgroups(_: &Problem, adapter: &Adapter) -> &'static [u32] {
    match adapter.subgroup {
        Some(8) => &[32],
        Some(16) => &[64],
        Some(64) => &[256],
        _ => &[128],
    }
}

/// Output channels of a workgroup of the filters' product.
fn products(problem: &Problem, _: &Adapter) -> &'static [u32] {
    if problem.w.images() > 32 { &[64, 32, 128] } else { &[32, 64, 128] }
}

/// Returns the kernels of the convolution table that can compute a convolution of these shapes on an adapter, each with the
/// workgroup sizes that it may have, and whether it is used there by default or only tried by tuning.
pub fn candidates(
    problem: &Problem,
    role: ConvRole,
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

/// Chooses the kernel of the convolution table that computes a convolution of these shapes: the fastest by tuning, or the
/// default where nothing was measured. Returns it with the question that tuning has to answer and with all kernels to choose
/// from. `affordable` says whether the packed weights of a kernel fit the memory set for them. `None` where the plain kernel is
/// all that there is.
pub fn choose(
    problem: &Problem,
    role: ConvRole,
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
    let none = || Error::bug("conv2d", "the chosen kernel is not among the candidates");
    let choice = *all.get(question.answer(choices)).ok_or_else(none)?;
    Ok(Some((choice, question, all)))
}
