//! Describes a compute kernel as data: its WGSL text, and the declaration of its parameters and bindings, which tests/kernels.rs
//! compares with that text.

use super::fetched::text;

/// The number of texels in a row of a texture that [`Access::Texels`] binds.
pub const TEXEL_COLUMNS: u32 = 2048;

/// The number of 4-byte words of which the start of a bound part of a buffer is a multiple: the 256 bytes WebGPU guarantees.
pub const PART_ALIGNMENT: u32 = 64;

/// The way in which a kernel uses a binding: `var name: texture_2d<f32>`, `var<storage, read>` or `var<storage,
/// read_write>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The kernel reads the buffer through a texture, four numbers a texel and [`TEXEL_COLUMNS`] texels a row, to which the buffer
    /// is copied before the launch. At least seven texels of undefined content follow the copied ones.
    ///
    /// Mesa's lavapipe reads storage buffers in a loop over lanes with stores between, 285 ns for the vec4s of eight
    /// lanes (2026-11-23, EPYC 2.6 GHz), texels in straight code, 22 ns, and copies 16 GB/s. Uniform buffers are as fast
    /// as texels, but show 64 KiB.
    Texels,
    /// The kernel only reads the buffer.
    Read,
    /// The kernel writes the binding, or reads and writes it in place.
    Write,
}

/// The byte layout of a kernel's `Params` struct, the uniform that it gets its numbers from.
#[derive(Debug)]
pub struct Layout {
    /// The size of the whole struct in bytes.
    pub size: usize,
    /// The name, WGSL type and byte offset of each field.
    pub fields: &'static [(&'static str, &'static str, usize)],
}

/// Whether a kernel's text is trusted to index inside its arrays, to end its loops and not to divide by zero. Only the library's
/// own kernels are trusted: its tests run them with each index tested ([`ShaderChecks`](super::ShaderChecks)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust(pub(super) bool);

impl Trust {
    /// The trust in kernels from outside: none, so wgpu adds its checks to their text.
    pub const NONE: Self = Self(false);
    /// The trust in the library's own kernels.
    pub(crate) const OWN: Self = Self(true);
}

/// A compute shader with the entry point `main`, and the declaration of its parameters and bindings. Numbers that a launch fixes
/// at compile time are WGSL's `override`s.
#[derive(Debug)]
pub struct Kernel {
    /// The kernel's unique name: the shader file's name without its ending, and a suffix where one file makes several kernels.
    pub name: &'static str,
    /// The WGSL text in parts: the shader's own file, then the shared files that it uses. It is kept in parts, so that the
    /// executable holds a shared file only once. In pages a part may be the name of a file in angle brackets, whose text is
    /// fetched (`fetched.rs`).
    pub source: &'static [&'static str],
    /// The layout of the kernel's parameters, which are binding 0, a uniform named `params`.
    pub params: Layout,
    /// The name and access of each buffer that the kernel binds, from binding 1 on.
    pub bindings: &'static [(&'static str, Access)],
    /// The smallest subgroup (invocations that run in step) on which the kernel works; 0 if it uses no subgroup operations.
    pub subgroup: u32,
    /// Whether the kernel runs without the checks of indices and loops that wgpu adds to shaders, unless they are asked for.
    pub trust: Trust,
}

impl Kernel {
    /// Returns the whole WGSL text of the kernel.
    pub fn text(&self) -> String {
        self.source.iter().map(|part| text(part)).collect()
    }
}

/// Declares the host's twin of a shader's `Params` and records its layout. Fields are u32, i32 or
/// f32, which have the same size and alignment on both sides; bytemuck refuses padding.
macro_rules! uniform {
    ($vis:vis struct $Name:ident { $($field:ident: $ty:ident),* $(,)? }) => {
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $Name { $(pub $field: $ty),* }

        impl $Name {
            pub const LAYOUT: $crate::gpu::Layout = $crate::gpu::Layout {
                size: size_of::<$Name>(),
                fields: &[$(
                    (stringify!($field), stringify!($ty), std::mem::offset_of!($Name, $field))
                ),*],
            };
        }
    };
}
pub(crate) use uniform;
