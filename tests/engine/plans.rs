//! Tests that a computation graph gives the same results before and after the rewrites that make it faster.

use crate::gpu;
use crate::net::{Net, Setting, weights};
use lapidary::attack::Objective;
use lapidary::gpu::{Gpu, Options};
use lapidary::model::{Activation, DeviceWeights};
use pollster::block_on;
use proptest::prelude::*;

/// Largest difference in parts of the largest value. A rectifier near 0 may fall on either side, and a
/// derivative then differs by what it lets through, so those are compared as a whole.
fn assert_near(what: &str, given: &[f32], wanted: &[f32], tolerance: f64) {
    assert_eq!(given.len(), wanted.len(), "{what}");
    assert!(given.iter().chain(wanted).all(|v| v.is_finite()), "{what}");
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let pairs = given.iter().zip(wanted);
    let apart = length(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
    let whole = length(&mut wanted.iter().map(|&v| f64::from(v)));
    // A shift in front of a batch normalisation has a derivative of 0 but for rounding.
    assert!(apart <= tolerance * whole.max(1e-2), "{what}: {apart:e} apart of {whole:e}");
}

fn agree(gpu: &Gpu, setting: Setting, objective: Objective, training: bool, of_weights: bool) {
    let tolerance = if training { 2e-3 } else { 3e-4 };
    agree_within(tolerance, gpu, setting, objective, training, of_weights);
}

fn agree_within(
    tolerance: f64,
    gpu: &Gpu,
    setting: Setting,
    objective: Objective,
    training: bool,
    of_weights: bool,
) {
    let what = format!("{setting:?} {objective:?} training {training}");
    let model = setting.model();
    let net = Net::new(setting, objective, training, of_weights);
    let values = net.values();
    let rewritten = net.rewritten(gpu);
    assert!(rewritten.nodes().len() < net.graph.nodes().len() + 40, "{what}");
    let mut results = Vec::new();
    for graph in [&net.graph, &rewritten] {
        results.push(block_on(async {
            let start = weights(&model, 3);
            let on_device = DeviceWeights::upload(gpu, &model.parameters(), &start).await.unwrap();
            let mut program = net.program(graph, &values, &on_device).await.unwrap();
            let found = net.replay(&mut program, setting, 1, &values).await.unwrap();
            (found, on_device.download().await.unwrap(), start)
        }));
    }
    let [(plain, plain_after, start), (fused, fused_after, _)] = &results[..] else {
        unreachable!()
    };
    for ((name, _), (plain, fused)) in net.wanted.iter().zip(plain.iter().zip(fused)) {
        let tolerance = if name == "logits" || name == "objective" { 2e-5 } else { tolerance };
        assert_near(&format!("{name} of {what}"), fused, plain, tolerance);
    }
    for ((name, plain), (_, fused)) in plain_after.iter().zip(fused_after.iter()) {
        assert_near(&format!("{name} after {what}"), &fused.data, &plain.data, 1e-5);
        let moved = *plain != *start.get(name).unwrap();
        assert_eq!(moved, training && name.contains("running_"), "{name} of {what}");
    }
}

const fn setting(
    [depth, width, channels]: [u32; 3],
    activation: Activation,
    [images, side]: [u32; 2],
) -> Setting {
    Setting { depth, width, channels, activation, images, side }
}

#[test]
fn image_gradients_agree() {
    use Activation::*;
    for (setting, objective) in [
        (setting([10, 1, 1], Relu, [8, 16]), Objective::CrossEntropy),
        (setting([10, 1, 1], Silu, [9, 8]), Objective::CrossEntropyTargeted),
        (setting([10, 2, 3], Relu, [5, 12]), Objective::Joint),
        (setting([10, 1, 1], Relu, [1, 8]), Objective::Joint),
    ] {
        agree(gpu(), setting, objective, false, false);
    }
}

#[test]
fn weight_gradients_agree() {
    use Activation::*;
    for (setting, training) in [
        (setting([10, 1, 1], Relu, [16, 8]), true),
        (setting([10, 1, 1], Relu, [16, 16]), false),
        (setting([10, 2, 3], Silu, [5, 8]), true),
        (setting([16, 1, 3], Silu, [2, 12]), false),
    ] {
        agree(gpu(), setting, Objective::CrossEntropy, training, true);
    }
}

/// Without features, on WebGPU's least limits: other kernels, the same numbers.
#[test]
fn a_minimal_device_agrees() {
    let options = Options { minimal: true, ..Options::from_env() };
    let minimal = block_on(Gpu::new(&options)).unwrap();
    assert_eq!(minimal.adapter().subgroup, None);
    assert!(!minimal.adapter().f16 && !minimal.adapter().timestamps);
    let setting = setting([10, 1, 1], Activation::Relu, [8, 16]);
    agree(&minimal, setting, Objective::CrossEntropy, true, true);
    agree(&minimal, setting, Objective::Joint, false, true);
    let net = Net::new(setting, Objective::Joint, false, false);
    let model = setting.model();
    let [lean, full] = [&minimal, gpu()].map(|gpu| {
        block_on(async {
            let (parameters, weights) = (model.parameters(), weights(&model, 3));
            let weights = DeviceWeights::upload(gpu, &parameters, &weights).await.unwrap();
            let mut program =
                net.program(&net.rewritten(gpu), &net.values(), &weights).await.unwrap();
            net.replay(&mut program, setting, 1, &net.values()).await.unwrap()
        })
    });
    for ((name, _), (lean, full)) in net.wanted.iter().zip(lean.iter().zip(&full)) {
        assert_near(&format!("{name} on a minimal device"), lean, full, 3e-4);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_networks_agree(
        depth in prop::sample::select(vec![10, 10, 16]),
        width in 1..3u32,
        channels in prop::sample::select(vec![1, 3]),
        silu in any::<bool>(),
        images in 1..7u32,
        side in (2..5u32).prop_map(|quarter| 4 * quarter),
        joint in any::<bool>(),
        training in any::<bool>(),
    ) {
        let activation = if silu { Activation::Silu } else { Activation::Relu };
        let objective = if joint { Objective::Joint } else { Objective::CrossEntropy };
        // A batch's variance over few pixels divides by next to nothing.
        let images = if training { images + 3 } else { images };
        let setting = setting([depth, width, channels], activation, [images, side]);
        // One rectifier of 1,800 that fell on the other side moved a bias's derivative by 2.1e-3 of the largest (SwiftShader).
        if training && !silu {
            agree_within(1e-2, gpu(), setting, objective, training, true);
        } else {
            agree(gpu(), setting, objective, training, true);
        }
    }
}
