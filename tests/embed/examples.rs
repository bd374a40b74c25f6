//! Runs the examples that embed the library in another app, as they are in the repository.

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
example!(train_tiny, "../../examples/train_tiny.rs");
example!(energy_2d, "../../examples/energy_2d.rs");

#[test]
fn samples_are_made_between_a_hosts_own_passes() {
    // One would be chance; which of the others depends on the starts.
    let right = block_on(embed_compute::run()).unwrap();
    assert!(right >= 5, "{right} of 10");
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

#[test]
fn a_few_steps_teach_something() {
    let (losses, accuracy) = block_on(train_tiny::run()).unwrap();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (before, after) = (mean(&losses[..5]), mean(&losses[losses.len() - 5..]));
    assert!(after < 0.7 * before && accuracy > 0.3, "{before} {after} {accuracy}");
}

/// Points of the moons lie deeper than the corners and the middle of the plane.
#[test]
fn the_moons_are_valleys() {
    let energy = block_on(energy_2d::run(150)).unwrap();
    let at = |[x, y]: [f32; 2]| {
        let side = energy_2d::SIDE as usize;
        let pixel = |v: f32| (v.clamp(0.0, 0.999) * side as f32) as usize;
        energy[pixel(y) * side + pixel(x)]
    };
    let mut random = lapidary::data::Random::new(2, "test", 0, 0);
    let points = (0..500).map(|_| at(energy_2d::moon(&mut random).0)).sum::<f32>() / 500.0;
    let all = energy.iter().sum::<f32>() / energy.len() as f32;
    assert!(energy.iter().all(|each| each.is_finite()));
    for corner in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]] {
        assert!(points < at(corner), "{points} {corner:?} {}", at(corner));
    }
    assert!(points < all - 1.0, "{points} {all}");
}

/// The guide's code is the example's, line by line.
#[test]
fn the_guide_shows_what_runs() {
    let guide = include_str!("../../docs/embed.md");
    let example = include_str!("../../examples/embed_compute.rs");
    let known: Vec<_> = example.lines().map(str::trim).collect();
    let blocks = guide.split("```").skip(1).step_by(2);
    let blocks: Vec<_> = blocks.filter(|block| block.starts_with("rust")).collect();
    assert_eq!(blocks.len(), 4);
    for line in blocks.iter().flat_map(|block| block.lines().skip(1)) {
        assert!(known.contains(&line.trim()), "{line}");
    }
}
