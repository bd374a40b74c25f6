//! The examples, as they are shown, run.

use pollster::block_on;

macro_rules! example {
    ($name:ident, $path:literal) => {
        #[path = $path]
        #[allow(dead_code, reason = "main prints what run returns")]
        mod $name;
    };
}
example!(embed_compute, "../../examples/embed_compute.rs");
example!(custom_op, "../../examples/custom_op.rs");
example!(custom_model, "../../examples/custom_model.rs");

#[test]
fn samples_are_made_between_a_hosts_own_passes() {
    let right = block_on(embed_compute::run()).unwrap();
    assert!(right >= 9, "{right} of 10");
}

#[test]
fn an_op_from_outside_has_the_right_derivative() {
    let worst = block_on(custom_op::run()).unwrap();
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn an_architecture_from_outside_is_attacked() {
    let [before, after] = block_on(custom_model::run()).unwrap();
    assert!(after > before + 1e-4, "{before} {after}");
}
