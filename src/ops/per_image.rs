//! How kernels are launched that give each image a workgroup, because they need sums over it.

use crate::gpu::{Adapter, AdapterKind, Kernel};
use crate::graph::Shape;

/// Of one shader made for single values and for vec4s: the kernel for these images, and how many of
/// its elements an image has.
pub(super) fn choose(
    [scalar, vec4]: [&'static Kernel; 2],
    images: Shape,
) -> (&'static Kernel, u32) {
    let span = images.elements() / images.images();
    if span.is_multiple_of(4) { (vec4, span / 4) } else { (scalar, span) }
}

/// The shaders' LANES. A GPU hides memory latency behind many; a CPU pays for each at every barrier.
pub(super) fn lanes(adapter: &Adapter) -> (&'static str, f64) {
    ("LANES", if adapter.kind == AdapterKind::Cpu { 64.0 } else { 256.0 })
}

/// The same for kernels that form many sums: on a CPU as many lanes as its vectors have, which wait for nobody.
pub(super) fn few_lanes(adapter: &Adapter) -> (&'static str, f64) {
    match adapter.kind {
        AdapterKind::Cpu => ("LANES", 8.0),
        _ => lanes(adapter),
    }
}
