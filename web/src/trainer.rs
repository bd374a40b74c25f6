//! Fine-tunes a network on a handful of pictures: adversarial training, or dual adversarial training, by the library's own
//! losses, attacks and optimiser. The loop over steps is the package's, so that other calls have their turns in between.
//!
//! Batch normalisation keeps the file's running statistics in both objectives, as stage 2 of the library's runs (dual
//! adversarial training) does. Those of ten pictures are mostly chance, and would take the place of what thousands of images
//! taught; attacks and samples use the running ones; and scales and offsets are trained, which can move every map as far as it
//! has to go.

use crate::network::{Network, asking};
use crate::recipe::Recipe;
use crate::throw::{Thrown, throw};
use js_sys::{Function, Uint8Array};
use lapidary::attack::{Attack, Pgd, PgdAttack, Start};
use lapidary::data::{BatchSource, Fractal, Prepared};
use lapidary::eval::{self, accuracy, argmax, auroc};
use lapidary::model::{BatchSize, Checkpoint, Metadata, StateDict};
use lapidary::train::{
    Curriculum, Dual, Learner, Optimiser, Report, Sources, Term, Update, schedule,
};
use lapidary::{Error, Result};
use serde_json::json;
use std::sync::Arc;
use wasm_bindgen::prelude::*;

/// As in the presets of stage 2.
const MOMENTUM: f32 = 0.9;
const WEIGHT_DECAY: f32 = 5e-4;
/// The share of the steps after which the learning rate falls.
const DECAY_FROM: f64 = 0.6;
/// The curriculum of stage 2: the steps that contrastive images begin with, the area under the curve from which they take one
/// more, and the batches that it is a mean of.
const FIRST_STEPS: u32 = 2;
const THRESHOLD: f64 = 0.8;
const BATCHES: u32 = 5;
/// The most images that go through at once when all are classified.
const AT_ONCE: u32 = 64;

/// A network under training, with everything that a step needs, on the device.
#[wasm_bindgen]
pub struct Trainer {
    learner: Learner,
    attack: PgdAttack,
    contrastive: Option<Contrastive>,
    update: Update,
    judge: eval::Classifier,
    images: Arc<Prepared>,
    batches: BatchSource,
    recipe: Recipe,
    published: Metadata,
    done: u64,
}

/// What stage 2 has beside the attacked images.
struct Contrastive {
    climb: PgdAttack,
    real: BatchSource,
    starts: BatchSource,
    curriculum: Curriculum,
}

/// A copy, in main memory, of all that changes from step to step, to go on from after the device was lost.
#[wasm_bindgen]
pub struct Snapshot {
    parts: [StateDict; 3],
    curriculum: Option<Curriculum>,
    done: u64,
}

impl Trainer {
    async fn new(
        network: &Network,
        recipe: Recipe,
        images: Vec<f32>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let (gpu, mut model) = (network.weights.gpu(), network.model.clone());
        let mut weights = network.weights.download().await?;
        if recipe.new_head {
            let classes = recipe.class_names.len() as u32;
            (model, weights) = model.with_new_classes(weights, classes, recipe.seed)?;
        }
        let (channels, side, classes) = (model.channels(), network.side, model.classes());
        let images = Arc::new(Prepared::from_f32(channels, side, classes, images, labels)?);
        let sgd = Optimiser::Sgd { momentum: MOMENTUM, weight_decay: WEIGHT_DECAY };
        let learner = Learner::new(gpu, &model, &weights, sgd).await?;

        let size = BatchSize { images: recipe.batch, side };
        let Recipe { norm, eps, step_size, .. } = recipe;
        // Three steps of half the radius, as the presets have it.
        let settings = Pgd { step_size: eps / 2.0, ..Pgd::attack(norm, eps, 3) };
        let attack = PgdAttack::new(&model, &learner.live, size, settings).await?;
        let of_batch = |name: &str| {
            let (seed, size) = (recipe.seed, recipe.batch as usize);
            BatchSource::images(name, seed, size, images.clone(), recipe.augment)
        };
        let mut sources = Sources {
            classified: (attack.image_buffer(), attack.label_buffer()),
            contrastive: None,
            batch: size,
        };
        let (contrastive, update) = if recipe.dual {
            let settings = Pgd::sample(0, step_size);
            let climb = PgdAttack::new(&model, &learner.live, size, settings).await?;
            sources.contrastive = Some((climb.image_buffer(), climb.label_buffer()));
            let update = Update::dual(&learner, sources, Dual::default()).await?;
            let fractal = Fractal::new(channels, side)?;
            let starts = BatchSource::fractal(
                "fine-tune/starts",
                recipe.seed,
                recipe.batch as usize,
                fractal,
            )?;
            let most = recipe.contrastive_steps;
            let first = FIRST_STEPS.min(most);
            let curriculum = Curriculum::new(first, most, THRESHOLD, BATCHES, 1);
            let real = of_batch("fine-tune/real")?;
            (Some(Contrastive { climb, real, starts, curriculum }), update)
        } else {
            (None, Update::frozen(&learner, sources).await?)
        };
        let batches = of_batch("fine-tune/classified")?;
        let at_once = AT_ONCE.min(images.len() as u32);
        let size = BatchSize { images: at_once, side };
        let judge = eval::Classifier::new(&model, &learner.average, size).await?;
        // What the file says beside its architecture stays; it is no longer what a preset made.
        let Metadata { other, fit, .. } = network.metadata.clone();
        let published = Metadata {
            class_names: Some(recipe.class_names.clone()),
            side: Some(side),
            other,
            fit,
            ..model.metadata()
        };
        let done = 0;
        Ok(Self {
            learner,
            attack,
            contrastive,
            update,
            judge,
            images,
            batches,
            recipe,
            published,
            done,
        })
    }

    async fn take_step(&mut self, stop: &Function) -> Result<Report> {
        let step = self.done;
        if let Some(Contrastive { climb, real, starts, curriculum }) = &mut self.contrastive {
            let (real, starts) = (real.batch(step)?, starts.batch(step)?);
            climb.start(&Start::new(&starts.images, &real.labels)).await?;
            climb.run(curriculum.t, asking(stop)).await?;
            self.update.write_real(&real.images).await?;
        }
        let batch = self.batches.batch(step)?;
        self.attack.start(&Start::new(&batch.images, &batch.labels)).await?;
        self.attack.run(self.attack.steps(), asking(stop)).await?;
        let Recipe { steps, learning_rate, .. } = self.recipe;
        let warm_up = (steps / 20) as u32;
        let rate = learning_rate * schedule(step, steps, warm_up, DECAY_FROM);
        let report = self.update.step(&mut self.learner, rate).await?;
        self.done += 1;
        if let Some(value) = report.terms.values().find(|value| !value.is_finite()) {
            let what = format!("the loss is {value}");
            return Err(Error::Diverged { step: self.done, what, last_good: None });
        }
        Ok(report)
    }

    /// The share of a step's attacked images that were classified correctly.
    fn attacked_accuracy(&self, logits: &[f32]) -> Result<f32> {
        let labels = self.batches.batch(self.done.saturating_sub(1))?.labels;
        let named = argmax(logits, self.learner.model.classes() as usize);
        let right = named.iter().zip(&labels).filter(|(named, label)| named == label);
        Ok(right.count() as f32 / labels.len() as f32)
    }
}

#[wasm_bindgen]
impl Network {
    /// Prepares training on `images` (NCHW in \[0, 1\]) with their labels; `recipe` is JSON, see [`Recipe`].
    pub async fn trainer(
        &self,
        recipe: &str,
        images: Vec<f32>,
        labels: Vec<u32>,
    ) -> Thrown<Trainer> {
        let recipe = Recipe::parse(recipe).map_err(throw)?;
        Trainer::new(self, recipe, images, labels).await.map_err(throw)
    }
}

#[wasm_bindgen]
impl Trainer {
    /// Takes one training step, in submissions of about 100 ms after each of which `stop` is asked, and returns as JSON what the
    /// step reports.
    pub async fn step(&mut self, stop: Function) -> Thrown<String> {
        let report = self.take_step(&stop).await.map_err(throw)?;
        let accuracy = self.attacked_accuracy(&report.logits).map_err(throw)?;
        let mut told = json!({
            "step": self.done,
            "crossEntropy": report.term(Term::CrossEntropy),
            "accuracy": accuracy,
        });
        let mut loss = report.term(Term::CrossEntropy);
        if let Some(Contrastive { curriculum, .. }) = &mut self.contrastive {
            let (real, made) = report.joint.split_at(report.joint.len() / 2);
            let auc = auroc(real, made);
            loss += report.term(Term::Bce);
            told["contrast"] = report.term(Term::Bce).into();
            told["auc"] = auc.into();
            told["contrastiveSteps"] = curriculum.t.into();
            curriculum.note(auc);
        }
        told["loss"] = loss.into();
        Ok(told.to_string())
    }

    /// Returns the share of all pictures, without augmentation or attack, that the averaged weights classify correctly.
    pub async fn accuracy(&mut self) -> Thrown<f64> {
        let Self { judge, images, .. } = self;
        accuracy(judge, images.images(), images.labels()).await.map_err(throw)
    }

    /// Copies everything that changes from step to step to main memory.
    pub async fn snapshot(&self) -> Thrown<Snapshot> {
        let Learner { live, momentum, average, .. } = &self.learner;
        let mut parts = Vec::new();
        for part in [live, momentum, average] {
            parts.push(part.download().await.map_err(throw)?);
        }
        let curriculum = self.contrastive.as_ref().map(|with| with.curriculum.clone());
        let parts = parts.try_into().map_err(|_| JsValue::from("three parts"))?;
        Ok(Snapshot { parts, curriculum, done: self.done })
    }

    /// Goes on from a snapshot of the same training: the same bits as if nothing had happened.
    pub async fn restore(&mut self, snapshot: &Snapshot) -> Thrown<()> {
        let Learner { live, momentum, average, .. } = &self.learner;
        for (part, held) in [live, momentum, average].into_iter().zip(&snapshot.parts) {
            part.write(held).await.map_err(throw)?;
        }
        if let (Some(with), Some(held)) = (&mut self.contrastive, &snapshot.curriculum) {
            with.curriculum = held.clone();
        }
        (self.done, self.learner.steps) = (snapshot.done, snapshot.done);
        Ok(())
    }

    /// Returns the averaged weights as a safetensors file, with classes and normalisation.
    pub async fn file(&self) -> Thrown<Uint8Array> {
        let weights = self.learner.average.download().await.map_err(throw)?;
        let metadata = Metadata { step: Some(self.done), ..self.published.clone() };
        let source = "the trained network".into();
        let checkpoint = Checkpoint { metadata, weights, source, ..Checkpoint::default() };
        checkpoint.check_finite().map_err(throw)?;
        Ok(Uint8Array::from(checkpoint.to_bytes().map_err(throw)?.as_slice()))
    }
}
