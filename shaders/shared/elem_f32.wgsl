// Defines Elem, what one lane reads and writes at a time, as a single f32. elem_vec4.wgsl defines it as four.

alias Elem = f32;
alias Bits = u32;
alias Truth = bool;
const WIDTH = 1u;

// Whether the last bit is set.
fn is_set(bits: u32) -> bool { return (bits & 1u) != 0u; }

fn total(e: Elem) -> f32 { return e; }

fn peak(e: Elem) -> f32 { return abs(e); }
