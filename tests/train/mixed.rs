//! Tests training in mixed precision: runs learn, a stopped run resumes to the same bits, and a step whose gradients
//! overflowed changes no weight.

use crate::common::gpu;
use crate::objectives::{config, last, run};
use lapidary::Error;
use lapidary::data::{Augment, BatchSource, Part, fashion};
use lapidary::gpu::{Precision, Preferences};
use lapidary::model::{BatchSize, Checkpoint, StateDict};
use lapidary::train::{Event, Learner, Optimiser, Sources, Term, Update};
use std::sync::Arc;

/// An adapter without half precision refuses such a run, and the message says why.
fn is_refused() -> bool {
    if gpu().adapter().f16 {
        return false;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = config("at", &["precision=mixed", "stage1.iterations=1"]);
    let said = run(&folder.path().join("run"), &config, usize::MAX).unwrap_err().to_string();
    assert!(said.contains("no half precision"), "{said}");
    true
}

fn ce(events: &[Event]) -> Vec<f32> {
    let of = |event: &Event| if let Event::Step(step) = event { step.loss_ce } else { None };
    events.iter().filter_map(of).collect()
}

/// The losses of the first iterations are those of single precision within a tenth, and both fall. Later ones drift apart, as
/// those of any two roundings do.
#[test]
fn losses_follow_single_precision() {
    if is_refused() {
        return;
    }
    let losses = ["single", "mixed"].map(|precision| {
        let folder = tempfile::tempdir().unwrap();
        let precision = format!("precision={precision}");
        let config = config("at", &["stage1.iterations=40", &precision]);
        ce(&run(&folder.path().join("run"), &config, usize::MAX).unwrap().1)
    });
    let [single, mixed] = &losses;
    assert_eq!((single.len(), mixed.len()), (40, 40));
    for (at, (single, mixed)) in single.iter().zip(mixed).enumerate().take(10) {
        assert!((single - mixed).abs() < 0.1 * single, "iteration {at}: {single} and {mixed}");
    }
    assert!(single != mixed, "both were computed in one precision");
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    for losses in [single, mixed] {
        assert!(mean(&losses[30..]) < mean(&losses[..10]) - 0.1, "{losses:?}");
    }
}

#[test]
fn a_run_in_mixed_precision_goes_on_exactly() {
    if is_refused() {
        return;
    }
    let config = config(
        "dat",
        &["precision=mixed", "stage1.iterations=3", "stage2.iterations=3", "checkpoint.every=2"],
    );
    let folder = tempfile::tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    run(&whole, &config, usize::MAX).unwrap();
    assert!(matches!(run(&broken, &config, 5), Err(Error::Stopped)));
    run(&broken, &config, usize::MAX).unwrap();
    assert!(last(&broken) == last(&whole), "a run that crashed differs");
    let written = std::fs::read_to_string(whole.join("config.toml")).unwrap();
    assert!(written.contains("precision = \"mixed\""), "{written}");
    let (_, state) =
        last(&whole).into_iter().find(|(name, _)| name == "state.safetensors").unwrap();
    let state = Checkpoint::from_bytes("state.safetensors", &state).unwrap();
    let scale = &state.metadata.other["loss_scale"];
    assert_eq!(*scale, format!("{} 3 0", 4096.0_f32.to_bits()), "three good steps of stage 2");
}

#[test]
fn a_step_whose_gradients_overflowed_changes_nothing_but_the_scale() {
    if is_refused() {
        return;
    }
    let preferences =
        Preferences { precision: Precision::Mixed, ..gpu().preferences().as_ref().clone() };
    let gpu = gpu().clone().preferring(preferences);
    pollster::block_on(async {
        const BATCH: u32 = 16;
        let network = config("at", &[]).network([1, 10], None).unwrap();
        let weights = network.initial(3);
        let data = Arc::new(fashion::load(Part::Train).unwrap().prepared(16).unwrap());
        let batches = BatchSource::images("test", 1, BATCH as usize, data, Augment::None).unwrap();
        let batch = batches.batch(0).unwrap();
        let (images, labels) =
            (gpu.upload(&batch.images).await.unwrap(), gpu.upload(&batch.labels).await.unwrap());
        let batch = BatchSize { images: BATCH, side: 16 };
        let sources = Sources { classified: (&images, &labels), contrastive: None, batch };
        let sgd = Optimiser::Sgd { momentum: 0.9, weight_decay: 5e-4 };
        let mut learner = Learner::new(&gpu, &network, &weights, sgd).await.unwrap();
        let mut update = Update::classifier(&learner, sources).await.unwrap();
        update.gradients(0, 1).await.unwrap();
        let first = learner.gradients.download().await.unwrap();
        let before = learner.live.download().await.unwrap();

        let lost = |infinity: f32| -> StateDict {
            let mut lost = first.clone();
            let mut tensor = lost.get("fc.weight").unwrap().clone();
            tensor.data[7] = infinity;
            lost.insert("fc.weight", tensor);
            lost
        };
        for (count, value) in (1..).zip([f32::INFINITY, f32::NEG_INFINITY, f32::NAN]) {
            learner.gradients.write(&lost(value)).await.unwrap();
            learner.step(0.1).await.unwrap();
            assert_eq!((learner.left_out(), learner.steps), (count, 0));
        }
        for (name, tensor) in learner.live.download().await.unwrap().iter() {
            assert_eq!(tensor, before.get(name).unwrap(), "{name}");
        }

        // At an eighth of the scale the gradients are the same but for what is lost near 0.
        update.gradients(0, 1).await.unwrap();
        for (name, tensor) in learner.gradients.download().await.unwrap().iter() {
            let first = &first.get(name).unwrap().data;
            let most = first.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            for (a, b) in tensor.data.iter().zip(first) {
                assert!((a - b).abs() <= 2e-3 * most + 1e-7, "{name}: {a} and {b} of {most}");
            }
        }
        let report = update.step(&mut learner, 0.1).await.unwrap();
        assert!(report.term(Term::CrossEntropy).is_finite());
        assert_eq!((learner.left_out(), learner.steps), (3, 1));
    });
}
