//! Declares the kernels of the fast convolutions, which work on packed weights in tiles. `table.rs` chooses the one
//! for each convolution.

use super::problem::Params;
use crate::gpu::{Access::*, Adapter, AdapterKind, Kernel, Trust, has_all_shaders};

/// Whether this build has all kernels. Pages are built without Winograd's filtering and cooperative matrices, to keep their file
/// small.
pub(super) const NATIVE: bool = !cfg!(target_arch = "wasm32");

/// Whether kernels of whole workgroups are used: on GPUs, once their text is there ([`fetched`]).
pub(super) fn groups_pay(adapter: &Adapter) -> bool {
    adapter.kind != AdapterKind::Cpu && has_all_shaders()
}

/// Returns the kernel, in pages without its text.
pub(super) const fn natively(kernel: Kernel) -> Kernel {
    Kernel { source: if NATIVE { kernel.source } else { &[] }, ..kernel }
}

/// Returns a kernel's text, or none where it cannot run, which keeps a page's file small. wgpu gives browsers no subgroups.
pub(super) const fn text(
    source: &'static [&'static str],
    subgroup: u32,
) -> &'static [&'static str] {
    if NATIVE || subgroup == 0 { source } else { &[] }
}

/// The text of `shaders/$file.wgsl`.
macro_rules! shader {
    ($($file:expr),+) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $($file,)+ ".wgsl"))
    };
}
pub(super) use shader;

/// The text of `shaders/$file.wgsl`; in pages the file's name in angle brackets, whose text they fetch while the device opens. For
/// kernels that others can stand in for, more slowly.
#[cfg(not(target_arch = "wasm32"))]
macro_rules! fetched {
    ($($file:expr),+) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $($file,)+ ".wgsl"))
    };
}
#[cfg(target_arch = "wasm32")]
macro_rules! fetched {
    ($($file:expr),+) => { concat!("<", $($file,)+ ">") };
}
pub(super) use fetched;

macro_rules! packed {
    ($part:ident, $name:literal, $stem:literal, $read:literal, $flags:literal, $access:expr, $subgroup:literal $(, $tile:literal)*) => {
        Kernel {
            name: $name,
            source: text(&[
                $part!($stem),
                $part!("shared/conv2d_launch"),
                $part!("shared/conv2d_params"),
                $part!("shared/conv2d_read_", $read),
                $part!("shared/epilogue"),
                $part!("shared/overflow"),
                $part!("shared/elem_vec4"),
                $part!("shared/conv2d_mask"),
                $part!("shared/mask_bits"),
                $part!("shared/epilogue_", $flags),
                $($part!("shared/", $tile),)*
            ], $subgroup),
            params: Params::LAYOUT,
            bindings: &[
                ("x", $access),
                ("w", $access),
                ("affine", $access),
                ("mask", Read),
                ("residual", $access),
                ("y", Write),
                ("bits", Write),
            ],
            subgroup: $subgroup,
            trust: Trust::OWN,
        }
    };
}

/// Declares two kernels of one shader file.
macro_rules! reads {
    ($stem:literal, $texels:literal $(, $tile:literal)*) => {
        Reads {
            storage: packed!(shader, $stem, $stem, "storage", "params", Read, 0, "conv2d_octet" $(, $tile)*),
            texels: packed!(shader, $texels, $stem, "texels", "constants", Texels, 8 $(, $tile)*),
        }
    };
}

/// A way to compute a convolution, as a kernel that reads buffers and one that reads copies of the buffers in textures.
#[derive(Debug)]
pub struct Reads {
    /// The kernel that reads buffers directly.
    pub storage: Kernel,
    /// The kernel that reads copies of buffers in textures.
    pub texels: Kernel,
}

/// A 3x3 convolution (stride and padding 1, rows of a multiple of 4 values) or its derivative for x, by Winograd's filtering,
/// on CPU rasterisers.
pub static WINOGRAD: Kernel = packed!(
    shader,
    "conv2d_winograd",
    "conv2d_winograd",
    "texels",
    "constants",
    Texels,
    8,
    "conv2d_tile",
    "conv2d_store_quads"
);
/// A 3x3 convolution (stride and padding 1, rows of a multiple of 4 values) or its derivative for x, directly, four columns at a
/// time.
pub static QUADS: Reads =
    reads!("conv2d_quads", "conv2d_quads_texels", "conv2d_tile", "conv2d_store_quads");
/// A kernel of CPU rasterisers without subgroups.
macro_rules! tall {
    ($stem:literal $(, $more:literal)*) => {
        packed!(fetched, $stem, $stem, "storage", "params", Read, 0, "conv2d_octet", "conv2d_tile", "conv2d_store_quads", "conv2d_channels" $(, $more)*)
    };
}

/// A 3x3 convolution or its derivative for x, as [`QUADS`], for CPU rasterisers without subgroups; the numbers of rows and of
/// columns are multiples of 8.
pub static TALL: Kernel = tall!("conv2d_tall", "conv2d_nine");
/// A 3x3 convolution of stride 2 that halves both sides, as [`HALVE`], for CPU rasterisers without subgroups.
pub static HALVE_TALL: Kernel = tall!("conv2d_halve_tall", "conv2d_nine", "conv2d_halve_line");
/// The derivative for x of a 3x3 convolution of stride 2, as [`DOUBLE`], for CPU rasterisers without subgroups.
pub static DOUBLE_TALL: Kernel = tall!("conv2d_double_tall", "conv2d_nine", "conv2d_shifted");
/// A 1x1 convolution of stride 1 or its derivative for x, or a 1x1 convolution of stride 2 that halves both sides.
pub static POINT: Reads =
    reads!("conv2d_point", "conv2d_point_texels", "conv2d_tile", "conv2d_store_quads");
/// A 3x3 convolution of stride 2 that halves both sides.
pub static HALVE: Reads = reads!(
    "conv2d_halve",
    "conv2d_halve_texels",
    "conv2d_tile",
    "conv2d_store_quads",
    "conv2d_halve_line"
);
/// The derivative for x of a 3x3 convolution that halves both sides ([`HALVE`]), or of a strided 1x1 convolution.
pub static DOUBLE: Reads = reads!(
    "conv2d_double",
    "conv2d_double_texels",
    "conv2d_tile",
    "conv2d_store_quads",
    "conv2d_shifted"
);
/// A convolution of any filter size, stride and padding, or its derivative for x.
pub static TAPS: Reads = reads!("conv2d_taps", "conv2d_taps_texels", "conv2d_store_words");

macro_rules! gemm {
    ($name:literal $(, $store:literal)*) => {
        packed!(fetched, $name, "conv2d_gemm", "words", "params", Read, 0, "conv2d_octet", "conv2d_tile", "conv2d_places", "conv2d_count", "conv2d_patch" $(, $store)*)
    };
}

/// A convolution of any filter size, stride and padding, or its derivative for x, by whole workgroups, for a multiple of 4
/// columns.
pub static GEMM: Kernel = gemm!("conv2d_gemm", "conv2d_store_quads");
/// A convolution of any filter size, stride and padding, or its derivative for x, by whole workgroups, for rows of any width, and
/// where the columns of a phase are not neighbours.
pub static GEMM_WORDS: Kernel =
    gemm!("conv2d_gemm_words", "conv2d_store_words", "conv2d_gemm_words");

/// A 3x3 convolution (stride 1, padding 1) or its derivative for x, by whole workgroups: rows of a multiple of 4 values, input
/// channels divisible by four.
pub static BLOCK: Kernel = packed!(
    fetched,
    "conv2d_block",
    "conv2d_block",
    "storage",
    "params",
    Read,
    0,
    "conv2d_octet",
    "conv2d_tile",
    "conv2d_store_quads"
);

/// A 1x1 convolution of stride 1 or its derivative for x, by whole workgroups: planes of a multiple of 4 pixels.
pub static POINT_BLOCK: Kernel = packed!(
    fetched,
    "conv2d_point_block",
    "conv2d_point_block",
    "storage",
    "params",
    Read,
    0,
    "conv2d_octet",
    "conv2d_tile",
    "conv2d_store_quads"
);

macro_rules! cooperative {
    ($name:literal, $side:literal) => {
        natively(packed!(
            shader,
            $name,
            "conv2d_cooperative",
            "words",
            "params",
            Read,
            8,
            "conv2d_octet",
            "conv2d_places",
            "conv2d_count",
            "conv2d_patch",
            "conv2d_store_words",
            "conv2d_gemm_words",
            $side
        ))
    };
}

/// A convolution of any filter size, stride and padding, or its derivative for x, by cooperative matrices of 16 by 16.
pub static COOPERATIVE_16: Kernel = cooperative!("conv2d_cooperative_16", "cooperative_16");
/// A convolution of any filter size, stride and padding, or its derivative for x, by cooperative matrices of 8 by 8.
pub static COOPERATIVE_8: Kernel = cooperative!("conv2d_cooperative_8", "cooperative_8");

/// Adds up a convolution's sums over slices of the input channels: rows of a multiple of 4 values.
pub static SUM_SLICES: Kernel = packed!(
    fetched,
    "conv2d_sum_slices",
    "conv2d_sum_slices",
    "storage",
    "params",
    Read,
    0,
    "conv2d_octet",
    "conv2d_store_quads",
    "conv2d_slice_quads"
);
/// Adds up a convolution's sums over slices of the input channels: rows of any width.
pub static SUM_SLICES_WORDS: Kernel = packed!(
    fetched,
    "conv2d_sum_slices_words",
    "conv2d_sum_slices",
    "words",
    "params",
    Read,
    0,
    "conv2d_octet",
    "conv2d_store_words",
    "conv2d_gemm_words",
    "conv2d_slice_words"
);

macro_rules! weights {
    ($part:ident, $name:literal, $file:literal, $read:literal, $access:expr, $subgroup:literal $(, $more:literal)*) => {
        Kernel {
            name: $name,
            source: text(
                &[
                    $part!($file),
                    $part!("shared/conv2d_launch"),
                    $part!("shared/conv2d_params"),
                    $part!("shared/conv2d_pair_", $read),
                    $($part!("shared/", $more),)*
                ],
                $subgroup,
            ),
            params: Params::LAYOUT,
            bindings: &[("dy", $access), ("x", $access), ("partials", Write)],
            subgroup: $subgroup,
            trust: Trust::OWN,
        }
    };
}

/// Partial sums of a convolution's weight derivative dw: any filter size, stride and padding.
pub static WEIGHTS_TAPS: Kernel =
    weights!(shader, "conv2d_weights", "conv2d_weights", "storage", Read, 0);
/// Partial sums of a convolution's weight derivative dw: any filter size, stride and padding, through textures.
pub static WEIGHTS_TAPS_TEXELS: Kernel =
    weights!(shader, "conv2d_weights_texels", "conv2d_weights", "texels", Texels, 8);
/// Partial sums of a convolution's weight derivative dw: 3x3, padding 1, stride 1 or 2.
pub static WEIGHTS_NINE: Kernel = weights!(
    fetched,
    "conv2d_weights_nine",
    "conv2d_weights_nine",
    "storage",
    Read,
    0,
    "conv2d_weight_sums"
);
/// Partial sums of a convolution's weight derivative dw: 3x3, padding 1, stride 1 or 2, through textures.
pub static WEIGHTS_NINE_TEXELS: Kernel = weights!(
    shader,
    "conv2d_weights_nine_texels",
    "conv2d_weights_nine",
    "texels",
    Texels,
    8,
    "conv2d_weight_sums"
);
macro_rules! weights_gemm {
    ($name:literal, $read:literal $(, $more:literal)*) => {
        weights!(
            fetched,
            $name,
            "conv2d_weights_gemm",
            $read,
            Read,
            0,
            "conv2d_weight_sums",
            "conv2d_weight_products"
            $(, $more)*
        )
    };
}

/// Partial sums of a convolution's weight derivative dw: any filter size, stride and padding, by whole workgroups; dy of rows of
/// a multiple of 4 values.
pub static WEIGHTS_GEMM: Kernel = weights_gemm!("conv2d_weights_gemm", "quads", "conv2d_patch");
/// Partial sums of a convolution's weight derivative dw: any filter size, stride and padding, by whole workgroups; dy of rows of
/// any width.
pub static WEIGHTS_GEMM_WORDS: Kernel =
    weights_gemm!("conv2d_weights_gemm_words", "words", "conv2d_patch");
/// Partial sums of a convolution's weight derivative dw: 1x1 filters of stride 1, by whole workgroups; x and dy of rows of a
/// multiple of 4 values.
pub static WEIGHTS_GEMM_POINTS: Kernel = weights_gemm!("conv2d_weights_gemm_points", "points");

macro_rules! weights_cooperative {
    ($name:literal, $side:literal) => {
        natively(weights!(
            shader,
            $name,
            "conv2d_weights_cooperative",
            "words",
            Read,
            8,
            "conv2d_patch",
            "conv2d_count",
            $side
        ))
    };
}

/// Partial sums of a convolution's weight derivative dw: any filter size, stride and padding, by cooperative matrices of 16 by
/// 16.
pub static WEIGHTS_COOPERATIVE_16: Kernel =
    weights_cooperative!("conv2d_weights_cooperative_16", "cooperative_16");
/// Partial sums of a convolution's weight derivative dw: any filter size, stride and padding, by cooperative matrices of 8 by 8.
pub static WEIGHTS_COOPERATIVE_8: Kernel =
    weights_cooperative!("conv2d_weights_cooperative_8", "cooperative_8");

/// Partial sums of a convolution's weight derivative dw: 3x3, stride 1, padding 1, by whole workgroups.
pub static WEIGHTS_BLOCK: Kernel = weights!(
    fetched,
    "conv2d_weights_block",
    "conv2d_weights_block",
    "storage",
    Read,
    0,
    "conv2d_weight_sums",
    "conv2d_weight_products"
);
