// Defines Elem, what one invocation of a kernel reads and writes at a time, as a vec4. Where values do not come in whole vec4s,
// kernels are made with elem_f32.wgsl, which defines it as one value.

alias Elem = vec4f;
alias Bits = vec4u;
alias Truth = vec4<bool>;
const WIDTH = 4u;

// Which of the last four bits are set.
fn is_set(bits: u32) -> vec4<bool> { return (vec4u(bits) & vec4u(1u, 2u, 4u, 8u)) != vec4u(0u); }

fn total(e: Elem) -> f32 { return (e.x + e.y) + (e.z + e.w); }

fn peak(e: Elem) -> f32 {
    let size = abs(e);
    return max(max(size.x, size.y), max(size.z, size.w));
}
