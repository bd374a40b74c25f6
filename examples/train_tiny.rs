//! Trains a small classifier for sixty steps on the Fashion-MNIST images built into the library, by the library's functions: each
//! step reads a batch, updates the weights and returns the loss. Then it measures the accuracy on test images.
//!
//!     cargo run --release --example train_tiny

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "an example")]

use lapidary::Result;
use lapidary::data::{Augment, BatchSource, Part, fashion};
use lapidary::eval::accuracy;
use lapidary::model::{Activation, Normalisation, WideResNet};
use lapidary::prelude::*;
use lapidary::train::{Learner, Optimiser, Sources, Term, Update};
use std::sync::Arc;

const SIDE: u32 = 16;
const BATCH: u32 = 32;
const STEPS: u64 = 60;

fn main() -> Result<()> {
    let (losses, accuracy) = pollster::block_on(run())?;
    for (step, loss) in losses.iter().enumerate().step_by(10) {
        println!("step {step:2}: cross-entropy {loss:.3}");
    }
    println!("{:.1} % of 200 test images are classified correctly", 100.0 * accuracy);
    Ok(())
}

/// The loss of each step, and the accuracy on test images after the last.
pub async fn run() -> Result<(Vec<f32>, f64)> {
    let train = Arc::new(fashion::load(Part::Train)?.prepared(SIDE)?);
    let test = fashion::load(Part::Test)?.prepared(SIDE)?;
    let (mean, std) = (train.mean().to_vec(), train.std().to_vec());
    let normalisation = Some(Normalisation { mean, std });
    let model = Network::from(WideResNet::new(10, 1, 1, 10, Activation::Relu, normalisation)?);

    let gpu = Gpu::new(&Options::from_env()).await?;
    let sgd = Optimiser::Sgd { momentum: 0.9, weight_decay: 5e-4 };
    let mut learner = Learner::new(&gpu, &model, &model.initial(1), sgd).await?;
    let images = gpu.upload(&vec![0.0f32; (BATCH * SIDE * SIDE) as usize]).await?;
    let labels = gpu.upload(&[0u32; BATCH as usize]).await?;
    let classified = (&images, &labels);
    let sources =
        Sources { classified, contrastive: None, batch: BatchSize { images: BATCH, side: SIDE } };
    let mut update = Update::classifier(&learner, sources).await?;

    let batches = BatchSource::images("train", 1, BATCH as usize, train, Augment::None)?;
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let batch = batches.batch(step)?;
        gpu.write(&images, &batch.images).await?;
        gpu.write(&labels, &batch.labels).await?;
        losses.push(update.step(&mut learner, 0.05).await?.term(Term::CrossEntropy));
    }

    // Evaluation uses the averages, not the live weights.
    let size = BatchSize { images: 100, side: SIDE };
    let mut classifier = Classifier::new(&model, &learner.average, size).await?;
    let count = 200;
    let some = &test.images()[..count * (SIDE * SIDE) as usize];
    let right = accuracy(&mut classifier, some, &test.labels()[..count]).await?;
    Ok((losses, right))
}
