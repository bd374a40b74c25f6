// Which ops follow a convolution inside its kernel (its epilogue), as constants of the pipeline: ops that are not there are not
// compiled. For lavapipe (Mesa's Vulkan driver for CPUs), whose branches cost loads and stores.

override AFFINE: bool = false;
override MASK: bool = false;
override RELU: bool = false;
override RESIDUAL: u32 = 0u;
override BITS: bool = false;

fn has_affine() -> bool { return AFFINE; }
fn has_mask() -> bool { return MASK; }
fn has_relu() -> bool { return RELU; }
fn residual_place() -> u32 { return RESIDUAL; }
fn has_bits() -> bool { return BITS; }
