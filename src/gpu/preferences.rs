//! The user's preferences for how programs are made for a device: tuning, Winograd filters, half precision, shader checks. What
//! the hardware can do is in [`Adapter`](super::Adapter).

use std::time::Duration;

/// The Winograd filters by which programs may compute 3x3 convolutions. They take fewer products, round differently, and
/// store 16 or 36 words of transformed weights instead of 9. Browsers have none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// F(4x4, 3x3) on CPU rasterisers on which kernels read buffers through textures (Mesa's lavapipe); elsewhere direct
    /// convolutions, unless tuning finds a filter faster.
    #[default]
    Auto,
    /// No Winograd filter: all convolutions are computed directly.
    Off,
    /// The Winograd filter F(2x2, 3x3) on any adapter; slow on CPU rasterisers.
    Two,
    /// The Winograd filter F(4x4, 3x3) on any adapter.
    Four,
}

/// Whether making a program times the kernels that could compute each of its shapes, and takes the fastest (autotuning):
/// `docs/tuning.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tune {
    /// Never measure: default kernels, which compute the same bits at every start.
    #[default]
    Off,
    /// Measure which kernels are the fastest, and use those, on GPUs, but not on CPU rasterisers.
    Auto,
    /// Measure which kernels are the fastest, and use those, on any adapter.
    On,
}

/// Says which kernels run with the checks that wgpu adds to shaders: of indices, of loops that may not end, of divisors.
/// They cost up to a sixth of the instructions of a convolution's innermost loop (`docs/gpu.md`). Browsers check all
/// kernels in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShaderChecks {
    /// Only kernels from outside the library run with wgpu's checks; the library's own are trusted.
    #[default]
    Foreign,
    /// All kernels run with the checks that wgpu adds.
    All,
    /// All kernels run with wgpu's checks, and each index, texel and division is tested too: after a kernel went out of an array's
    /// bounds or divided by zero, reading results from the device is an error that names the kernel. Slow; for those who write
    /// kernels.
    Report,
}

/// How exactly programs compute. What is read back, losses, statistics, sums, weights under training and images under attack
/// are in single precision in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Everything is in single precision.
    #[default]
    Single,
    /// The copy of convolutions' weights that kernels read is in half precision: half its memory and traffic, and logits that
    /// differ by some 5e-4 of their size; gradients for images differ by some 5 %, because the inputs of some rectifiers change
    /// sign. CPU rasterisers, web pages and adapters without half precision ignore it.
    HalfWeights,
    /// Mixed precision: activations, their derivatives and the weights' copies lie in memory in half precision (11 significant
    /// bits, at most 65,504). Kernels widen what they read, and sum in single precision. Needs an adapter that has half
    /// precision ([`Adapter::f16`](super::Adapter)). See `docs/precision.md`.
    ///
    /// With this and with `HalfWeights`, a device that has cooperative matrices ("tensor cores") is opened with them, and
    /// convolutions multiply halves by these ([`Adapter::cooperative`](super::Adapter)).
    Mixed,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::HalfWeights => "half-weights",
            Self::Mixed => "mixed",
        })
    }
}

/// The time that measuring may take, where nothing else is asked for: of a whole network, and in a page.
const BUDGET: Duration = Duration::from_secs(if cfg!(target_arch = "wasm32") { 3 } else { 15 });

/// Whether computation graphs are rewritten into faster ones before they run on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lowering {
    /// Rewrites graphs: folds and fuses nodes, and takes the kernels and layouts of weights that are fast on the adapter.
    #[default]
    Full,
    /// Every node runs as the graph has it, with the simplest kernels: slow; tests compare rewritten graphs with it.
    Plain,
}

/// The user's preferences for how programs are made for a device: kernels, tuning, half precision, shader checks. They are given
/// in [`Options`](super::Options) where the library opens the device, or to [`Gpu::preferring`](super::Gpu::preferring).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// The most bytes that a program may use for weights transformed for Winograd's filtering. Transformed weights take four
    /// times the bytes of the layers' weights, or 16/9 times for F(2x2, 3x3), once for the forward pass and once for the
    /// derivatives. Layers beyond the limit are convolved directly. `u64::MAX`, the default, sets no limit.
    pub most_transformed: u64,
    /// The precision that programs compute in.
    pub precision: Precision,
    /// The Winograd filters by which a program may compute 3x3 convolutions.
    pub filtering: Filtering,
    /// Whether graphs are rewritten into faster ones. Leave it `Full`, unless results are to be compared with the simplest
    /// kernels.
    pub lowering: Lowering,
    /// The kernels that run with the checks that wgpu adds to shaders.
    pub shader_checks: ShaderChecks,
    /// Whether making a program measures which kernels are the fastest.
    pub tuning: Tune,
    /// The device time that measuring kernels may take in all; by default 15 s, and 3 s in a web page. Shapes that are not
    /// measured in it keep their default kernels and are measured at a later start.
    pub tuning_budget: Duration,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            most_transformed: u64::MAX,
            precision: Precision::Single,
            filtering: Filtering::Auto,
            lowering: Lowering::Full,
            shader_checks: ShaderChecks::Foreign,
            tuning: Tune::Off,
            tuning_budget: BUDGET,
        }
    }
}
