//! What a kernel is: WGSL and the contract it is launched under. tests/kernels.rs compares the two.

/// Words that a [`Access::Window`] shows: the 64 KiB WebGPU guarantees a uniform binding.
pub const WINDOW_WORDS: u32 = 16_384;

/// Words that windows begin at multiples of: the 256 bytes WebGPU guarantees.
pub const WINDOW_ALIGNMENT: u32 = 64;

/// How a kernel uses a buffer: `var<storage, read>`, `var<storage, read_write>` or `var<uniform>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only, through a window of [`WINDOW_WORDS`] as `var<uniform> name: array<vec4f, 4096>`.
    ///
    /// Mesa's lavapipe reads storage buffers in a loop over lanes with stores between, 8 ns a value
    /// (2026-11-22, EPYC 2.6 GHz), and uniform ones in straight code, 0.5 ns.
    Window,
    /// Read only.
    Read,
    /// Written, or read and written in place.
    Write,
}

/// Byte layout of a `Params` struct.
#[derive(Debug)]
pub struct Layout {
    /// Bytes of the whole struct.
    pub size: usize,
    /// Name, type and byte offset of each field.
    pub fields: &'static [(&'static str, &'static str, usize)],
}

/// A compute shader with entry point `main`. Numbers a launch fixes at compile time are `override`s.
#[derive(Debug)]
pub struct Kernel {
    /// Unique; the shader file's stem, with a suffix where one file makes several kernels.
    pub name: &'static str,
    /// The shader file and the shared files behind it. Parts, so that a program holds a shared one once.
    pub source: &'static [&'static str],
    /// Binding 0, a uniform named `params`.
    pub params: Layout,
    /// Bindings 1 and up.
    pub bindings: &'static [(&'static str, Access)],
    /// Smallest subgroup it runs on; 0 if it uses no subgroup operations.
    pub subgroup: u32,
}

impl Kernel {
    /// All of its WGSL.
    pub fn text(&self) -> String {
        self.source.concat()
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
