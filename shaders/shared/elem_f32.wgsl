// Defines Elem, what one invocation of a kernel reads and writes at a time, as a single f32. Kernels are made with this file or
// with elem_vec4.wgsl, which defines it as four.

alias Elem = f32;
alias Bits = u32;
alias Truth = bool;
const WIDTH = 1u;

// Whether the last bit is set.
fn is_set(bits: u32) -> bool { return (bits & 1u) != 0u; }

fn total(e: Elem) -> f32 { return e; }

fn peak(e: Elem) -> f32 { return abs(e); }
