//! Tests a training loop written against the library, on a few images: with frozen batch norm statistics, and with a new last
//! layer for other classes.

use lapidary::data::{Augment, BatchSource, Part, fashion};
use lapidary::model::{BatchSize, Pretrained, Role};
use lapidary::prelude::*;
use lapidary::train::{Dual, Learner, Optimiser, Sources, Term, Update};
use std::sync::Arc;

const DEMO: &str = "data/fashion-demo/model.safetensors";
const BATCH: u32 = 4;
const SGD: Optimiser = Optimiser::Sgd { momentum: 0.9, weight_decay: 5e-4 };

/// The gradients of the frozen loss are those that stage 2 has for its attacked images alone, statistics stay, and the loss
/// falls.
#[test]
fn a_frozen_update_learns_and_leaves_the_statistics() {
    pollster::block_on(async {
        let Pretrained { network, checkpoint } = Pretrained::read(DEMO).unwrap();
        let gpu = Gpu::new(&Options::from_env()).await.unwrap();
        let size = BatchSize { images: BATCH, side: 16 };
        let data = Arc::new(fashion::load(Part::Train).unwrap().prepared(16).unwrap());
        let batches = BatchSource::images("test", 1, BATCH as usize, data, Augment::None).unwrap();
        let batch = batches.batch(0).unwrap();
        // Other labels than the network learnt, so that there is something to learn.
        let labels: Vec<u32> = batch.labels.iter().map(|label| (label + 1) % 10).collect();
        let (images, labels) =
            (gpu.upload(&batch.images).await.unwrap(), gpu.upload(&labels).await.unwrap());
        let classified = (&images, &labels);
        let mut sources = Sources { classified, contrastive: None, batch: size };
        let mut learner = Learner::new(&gpu, &network, &checkpoint.weights, SGD).await.unwrap();
        let mut frozen = Update::frozen(&learner, sources).await.unwrap();
        frozen.gradients(0, 1).await.unwrap();
        let found = learner.gradients.download().await.unwrap();

        sources.contrastive = Some((&images, &labels));
        let only = Dual { contrast_weight: 0.0, ..Dual::default() };
        let mut dual = Update::dual(&learner, sources, only).await.unwrap();
        dual.write_real(&batch.images).await.unwrap();
        dual.gradients(0, 1).await.unwrap();
        for (name, tensor) in learner.gradients.download().await.unwrap().iter() {
            let most = tensor.data.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            for (wanted, found) in tensor.data.iter().zip(&found.get(name).unwrap().data) {
                assert!((wanted - found).abs() <= 1e-4 * most + 1e-7, "{name}: {found} {wanted}");
            }
        }

        let mut losses = Vec::new();
        for _ in 0..8 {
            let report = frozen.step(&mut learner, 0.02).await.unwrap();
            losses.push(report.term(Term::CrossEntropy));
        }
        assert!(losses[7] < 0.5 * losses[0], "{losses:?}");
        let after = learner.live.download().await.unwrap();
        for parameter in network.parameters() {
            let of = |weights: &lapidary::model::StateDict| {
                weights.get(&parameter.name).unwrap().data.clone()
            };
            let stays = of(&after) == of(&checkpoint.weights);
            assert_eq!(stays, parameter.role == Role::Statistic, "{}", parameter.name);
        }
    });
}

#[test]
fn new_classes_make_a_new_last_layer_and_leave_the_rest() {
    let Pretrained { network, checkpoint } = Pretrained::read(DEMO).unwrap();
    let (new, weights) = network.with_new_classes(checkpoint.weights.clone(), 3, 7).unwrap();
    assert_eq!((new.classes(), network.classes()), (3, 10));
    assert_eq!(weights.get("fc.weight").unwrap().shape, [3, 64]);
    assert_eq!(weights.get("fc.bias").unwrap().data, [0.0; 3]);
    for (name, tensor) in weights.iter().filter(|(name, _)| !name.starts_with("fc.")) {
        assert_eq!(tensor, checkpoint.weights.get(name).unwrap(), "{name}");
    }
    let (_, other) = network.with_new_classes(checkpoint.weights.clone(), 3, 8).unwrap();
    assert_ne!(other.get("fc.weight").unwrap(), weights.get("fc.weight").unwrap());
    assert!(network.with_new_classes(checkpoint.weights, 0, 7).is_err());
}
