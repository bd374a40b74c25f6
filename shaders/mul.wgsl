// Product of two values of one shape, element by element:  y = a b
//
// Host side: src/ops/elementwise.rs. Appended: shared/map_two.wgsl, shared/index.wgsl.

fn two(a: vec4f, b: vec4f) -> vec4f { return a * b; }
