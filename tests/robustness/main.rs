//! Tests the evaluation by several attacks: on the networks of this repository, on one that hides its gradients, interrupted
//! and resumed, and as a command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "../common/mod.rs"]
mod common;
mod loops;
mod masked;
mod program;
mod resume;

use common::gpu;
use lapidary::data::{Part, Prepared, fashion};
use lapidary::eval::{AttackName, AutoAttack, Classifier, Loss, Point, RobustAccuracy, argmax};
use lapidary::model::{BatchSize, Checkpoint, DeviceWeights, Model, Network};
use lapidary::ops::Norm;
use pollster::block_on;
use std::path::PathBuf;
use std::sync::OnceLock;

const WORDS: usize = 256;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// A network of the repository's, "demo" (robust) or "plain".
fn network(name: &str) -> (Network, DeviceWeights) {
    let file = folder(&format!("fashion-{name}")).join("model.safetensors");
    let checkpoint = Checkpoint::read(file).unwrap();
    let model = Network::from_checkpoint(&checkpoint).unwrap();
    let parameters = model.parameters();
    let weights = DeviceWeights::upload(gpu(), &parameters, &checkpoint.weights);
    let weights = block_on(weights).unwrap();
    (model, weights)
}

fn test_images() -> &'static Prepared {
    static IMAGES: OnceLock<Prepared> = OnceLock::new();
    IMAGES.get_or_init(|| fashion::load(Part::Test).unwrap().prepared(16).unwrap())
}

/// The first so many, with their labels.
fn first(count: usize) -> (&'static [f32], &'static [u32]) {
    (&test_images().images()[..count * WORDS], &test_images().labels()[..count])
}

fn evaluate(
    settings: &AutoAttack,
    model: &dyn Model,
    weights: &DeviceWeights,
    count: usize,
) -> RobustAccuracy {
    block_on(settings.run(model, weights, first(count), 16, None, |_| Ok(()))).unwrap()
}

/// Checks that broken images are misclassified and within the ball, that the others are unchanged, and that the result's
/// numbers are those of the images' outcomes.
fn hold(result: &RobustAccuracy, model: &dyn Model, weights: &DeviceWeights) {
    let (images, labels) = first(result.points.len());
    let size = BatchSize { images: 16, side: 16 };
    let mut classifier = block_on(Classifier::new(model, weights, size)).unwrap();
    let mut named = |images| argmax(&block_on(classifier.logits(images)).unwrap(), 10);
    let (clean, attacked) = (named(images), named(&result.images));
    let mut furthest = 0.0f64;
    for (i, point) in result.points.iter().enumerate() {
        let (found, image) = (&result.images[i * WORDS..][..WORDS], &images[i * WORDS..][..WORDS]);
        match point {
            Point::Broken(_) => assert_ne!(attacked[i], labels[i], "{i}"),
            _ => assert_eq!(found, image, "{i}"),
        }
        assert_eq!(*point == Point::Wrong, clean[i] != labels[i], "{i}");
        assert!(found.iter().all(|v| (0.0..=1.0).contains(v)));
        let moves = found.iter().zip(image).map(|(a, b)| f64::from(*a) - f64::from(*b));
        furthest = furthest.max(match result.norm {
            Norm::L2 => moves.map(|d| d * d).sum::<f64>().sqrt(),
            Norm::Linf => moves.fold(0.0, |most, d| d.abs().max(most)),
        });
    }
    assert!(furthest <= f64::from(result.eps) * (1.0 + 1e-5), "{furthest}");
    assert!((result.max_perturbation.unwrap_or(0.0) - furthest).abs() < 1e-12);
    let share = |which: &dyn Fn(&Point) -> bool| {
        result.points.iter().filter(|point| which(point)).count() as f64
            / result.points.len() as f64
    };
    assert_eq!(result.robust_accuracy, share(&|point| *point == Point::Robust));
    assert_eq!(result.clean_accuracy, share(&|point| *point != Point::Wrong));
    for attack in &result.attacks {
        let broken = share(&|point| *point == Point::Broken(attack.attack));
        assert_eq!(attack.broken as f64 / result.points.len() as f64, broken);
    }
}

#[test]
fn a_plain_network_does_not_stand() {
    let (model, weights) = network("plain");
    let result = evaluate(&AutoAttack::standard(Norm::L2, 1.0), &model, &weights, 100);
    hold(&result, &model, &weights);
    assert!(result.clean_accuracy > 0.7, "{}", result.clean_accuracy);
    assert!(result.robust_accuracy < 0.05, "{}", result.robust_accuracy);
    assert_eq!(result.warnings, []);
    let text = result.to_string();
    assert!(
        text.starts_with("max L2 perturbation: ") && text.contains("nan in tensor: 0"),
        "{text}"
    );
    assert!(text.contains("\nrobust accuracy: "), "{text}");
}

/// Each attack alone breaks most images that a plain network classifies correctly, in both norms, within the ball.
#[test]
fn every_attack_alone_breaks_a_plain_network() {
    let (model, weights) = network("plain");
    for (norm, eps) in [(Norm::L2, 1.0), (Norm::Linf, 0.08)] {
        for attack in AttackName::ALL {
            let standard = AutoAttack::standard(norm, eps);
            let settings = AutoAttack {
                attacks: vec![attack],
                steps: 50,
                queries: 500,
                batch: 16,
                ..standard
            };
            let result = evaluate(&settings, &model, &weights, 16);
            hold(&result, &model, &weights);
            let left = result.robust_accuracy / result.clean_accuracy;
            assert!(left < 0.5, "{attack} in {norm:?} leaves {left}");
            assert!(result.warnings.is_empty(), "{:?}", result.warnings);
        }
    }
}

#[test]
fn projected_steps_of_every_kind() {
    let (model, weights) = network("plain");
    let standard = AutoAttack {
        attacks: vec![AttackName::Pgd],
        batch: 16,
        ..AutoAttack::standard(Norm::L2, 0.5)
    };
    for loss in [Loss::CrossEntropy, Loss::Dlr, Loss::Margin] {
        for (targeted, momentum, restarts) in [(false, 0.5, 2), (true, 0.0, 2)] {
            let mut settings = AutoAttack { targets: 2, ..standard.clone() };
            settings.pgd.steps = 8;
            (settings.pgd.loss, settings.pgd.targeted) = (loss, targeted);
            (settings.pgd.momentum, settings.pgd.restarts) = (momentum, restarts);
            let result = evaluate(&settings, &model, &weights, 16);
            hold(&result, &model, &weights);
            let left = result.robust_accuracy / result.clean_accuracy;
            assert!(left < 0.7, "{:?} leaves {left}", settings.pgd);
        }
    }
}

#[test]
fn what_cannot_be_run_is_refused() {
    use lapidary::model::{Activation, WideResNet, initial};
    let few = |classes| {
        let model =
            Network::from(WideResNet::new(10, 1, 1, classes, Activation::Relu, None).unwrap());
        let weights = initial::initial(&model.parameters(), 1);
        let weights =
            block_on(DeviceWeights::upload(gpu(), &model.parameters(), &weights)).unwrap();
        (model, weights)
    };
    let refused = |settings: &AutoAttack,
                   (model, weights): &(Network, DeviceWeights),
                   count: usize| {
        let (images, labels) = first(16);
        let sets = (&images[..count * WORDS], labels);
        block_on(settings.run(model, weights, sets, 16, None, |_| Ok(()))).unwrap_err().to_string()
    };
    let standard = AutoAttack::standard(Norm::L2, 0.5);
    let three = few(3);
    let said = refused(&standard, &three, 16);
    assert!(said.contains("3 classes") && said.contains("apgd-t"), "{said}");
    let dlr = AutoAttack { attacks: vec![AttackName::ApgdDlr], ..standard.clone() };
    assert!(refused(&dlr, &few(2), 16).contains("at least 3 for apgd-dlr"));
    assert!(
        refused(&AutoAttack { eps: f32::INFINITY, ..standard.clone() }, &few(10), 16)
            .contains("eps")
    );
    assert!(
        refused(&AutoAttack { batch: 0, ..standard.clone() }, &few(10), 16).contains("0 images")
    );
    assert!(
        refused(&AutoAttack { queries: 0, ..standard.clone() }, &few(10), 16).contains("queries")
    );
    assert!(refused(&standard, &few(10), 15).contains("16 labels"));
}
