//! The kernels of the packed convolution, and what each is for: [`PackedConv2d`](super::PackedConv2d) chooses.

use super::conv2d_launch::{Params, natively, text};
use crate::gpu::{Access::*, Kernel};

macro_rules! packed {
    ($name:literal, $stem:literal, $read:literal, $flags:literal, $access:expr, $subgroup:literal $(, $tile:literal)*) => {
        Kernel {
            name: $name,
            source: text(&[
                include_str!(concat!("../../shaders/", $stem, ".wgsl")),
                include_str!("../../shaders/shared/conv2d_launch.wgsl"),
                include_str!(concat!("../../shaders/shared/conv2d_read_", $read, ".wgsl")),
                include_str!("../../shaders/shared/epilogue.wgsl"),
                include_str!("../../shaders/shared/conv2d_mask.wgsl"),
                include_str!("../../shaders/shared/mask_bits.wgsl"),
                include_str!(concat!("../../shaders/shared/epilogue_", $flags, ".wgsl")),
                $(include_str!(concat!("../../shaders/shared/", $tile, ".wgsl")),)*
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
        }
    };
}

/// One shader file as three kernels.
macro_rules! reads {
    ($stem:literal, $half:literal, $texels:literal $(, $tile:literal)*) => {
        Reads {
            storage: packed!($stem, $stem, "storage", "params", Read, 0, "conv2d_octet_full" $(, $tile)*),
            half: natively(packed!($half, $stem, "storage", "params", Read, 0, "conv2d_octet_half" $(, $tile)*)),
            texels: packed!($texels, $stem, "texels", "constants", Texels, 8 $(, $tile)*),
        }
    };
}

/// One way of computing, as the kernels that read buffers and the one that reads copies of them.
#[derive(Debug)]
pub struct Reads {
    /// Through storage bindings.
    pub storage: Kernel,
    /// The same with weights in half precision; not in pages.
    pub half: Kernel,
    /// Through textures.
    pub texels: Kernel,
}

/// 3x3, stride 1, padding 1, rows of whole quads, either direction: by Winograd's filtering, on CPU rasterisers.
pub static WINOGRAD: Kernel = packed!(
    "conv2d_winograd",
    "conv2d_winograd",
    "texels",
    "constants",
    Texels,
    8,
    "conv2d_tile",
    "conv2d_store_quads"
);
/// The same directly.
pub static QUADS: Reads = reads!(
    "conv2d_quads",
    "conv2d_quads_half",
    "conv2d_quads_texels",
    "conv2d_tile",
    "conv2d_store_quads"
);
/// A kernel of CPU rasterisers without subgroups.
macro_rules! tall {
    ($stem:literal $(, $more:literal)*) => {
        packed!($stem, $stem, "storage", "params", Read, 0, "conv2d_octet_full", "conv2d_tile", "conv2d_store_quads", "conv2d_channels" $(, $more)*)
    };
}

/// As [`QUADS`] on CPU rasterisers without subgroups, rows and columns of whole eights.
pub static TALL: Kernel = tall!("conv2d_tall", "conv2d_nine");
/// As [`HALVE`] on them.
pub static HALVE_TALL: Kernel = tall!("conv2d_halve_tall", "conv2d_nine", "conv2d_halve_line");
/// As [`DOUBLE`] on them, of 3x3.
pub static DOUBLE_TALL: Kernel = tall!("conv2d_double_tall", "conv2d_nine", "conv2d_shifted");
/// 1x1, stride 1 in either direction, or stride 2 that halves both sides.
pub static POINT: Reads = reads!(
    "conv2d_point",
    "conv2d_point_half",
    "conv2d_point_texels",
    "conv2d_tile",
    "conv2d_store_quads"
);
/// 3x3, stride 2 that halves both sides.
pub static HALVE: Reads = reads!(
    "conv2d_halve",
    "conv2d_halve_half",
    "conv2d_halve_texels",
    "conv2d_tile",
    "conv2d_store_quads",
    "conv2d_halve_line"
);
/// Its derivative for x, and that of 1x1.
pub static DOUBLE: Reads = reads!(
    "conv2d_double",
    "conv2d_double_half",
    "conv2d_double_texels",
    "conv2d_tile",
    "conv2d_store_quads",
    "conv2d_shifted"
);
/// Any kernel, stride and padding, either direction.
pub static TAPS: Reads =
    reads!("conv2d_taps", "conv2d_taps_half", "conv2d_taps_texels", "conv2d_store_words");

macro_rules! gemm {
    ($name:literal $(, $store:literal)*) => {
        natively(packed!($name, "conv2d_gemm", "storage", "params", Read, 0, "conv2d_octet_full", "conv2d_tile", "conv2d_patch" $(, $store)*))
    };
}

/// What all of the above compute, by whole workgroups, for rows of whole quads.
pub static GEMM: Kernel = gemm!("conv2d_gemm", "conv2d_store_quads");
/// The same for rows of any width, and where the columns of a phase are not beside each other.
pub static GEMM_WORDS: Kernel =
    gemm!("conv2d_gemm_words", "conv2d_store_words", "conv2d_gemm_words");
