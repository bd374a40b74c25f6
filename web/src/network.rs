//! A network with its weights on the device, and the programs made for it: classification and gradient steps at one batch size.

use crate::throw::{Thrown, throw};
use js_sys::Function;
use lapidary::attack::{Attack, Objective, Pgd, PgdAttack, Start};
use lapidary::data::Fit;
use lapidary::eval;
use lapidary::gpu::Gpu;
use lapidary::model::{
    BatchSize, Checkpoint, DeviceWeights, Metadata, Network as Model, Pretrained,
};
use lapidary::ops::Norm;
use lapidary::{Error, Result};
use serde_json::json;
use wasm_bindgen::prelude::*;

/// A network with its weights on the device.
#[wasm_bindgen]
pub struct Network {
    pub(crate) metadata: Metadata,
    class_names: Vec<String>,
    pub(crate) model: Model,
    pub(crate) weights: DeviceWeights,
    pub(crate) side: u32,
    fit: Fit,
}

impl Network {
    /// Reads a network from a file's bytes; `side` counts where the file says none. Err for whatever [`Pretrained`] refuses, and
    /// where neither says a side.
    pub async fn new(gpu: &Gpu, name: &str, bytes: &[u8], side: Option<u32>) -> Result<Self> {
        let pretrained = Pretrained::from_bytes(name, bytes)?;
        let side = pretrained.side(pretrained.checkpoint.metadata.side.or(side))?;
        let fit = pretrained.checkpoint.metadata.fit.as_deref();
        let fit = Fit::stored(fit, pretrained.network.channels())?;
        let weights = pretrained.upload(gpu).await?;
        let classes = pretrained.network.classes();
        let numbered = || (0..classes).map(|class| class.to_string()).collect();
        let class_names = pretrained.class_names().map_or_else(numbered, <[_]>::to_vec);
        // The weights are on the device, and the file's bytes are the caller's: they are kept here no longer.
        let Pretrained { network: model, checkpoint: Checkpoint { metadata, .. } } = pretrained;
        Ok(Self { metadata, class_names, model, weights, side, fit })
    }

    fn size(&self, images: u32) -> BatchSize {
        BatchSize { images, side: self.side }
    }
}

/// Asks a page's function after each submission whether to stop.
pub fn asking(stop: &Function) -> impl FnMut(u32) -> Result<()> {
    |_| match stop.call0(&JsValue::NULL) {
        Ok(answer) if answer.is_falsy() => Ok(()),
        _ => Err(Error::Stopped),
    }
}

#[wasm_bindgen]
impl Network {
    /// Describes the network's architecture, sizes and training as JSON.
    pub fn describe(&self) -> String {
        let Self { metadata, class_names, model, side, fit, .. } = self;
        let parameters = model.parameters();
        let values: usize = parameters.iter().map(|parameter| parameter.count()).sum();
        json!({
            "architecture": model.to_string(),
            "activation": model.activation(),
            "parameters": model.count(),
            "channels": model.channels(),
            "classes": model.classes(),
            "classNames": class_names,
            "side": side,
            "fit": fit.to_string(),
            "preset": metadata.preset,
            "step": metadata.step,
            "weightBytes": values * 4,
        })
        .to_string()
    }

    /// Prepares a classifier for batches of `images` images.
    pub async fn classifier(&self, images: u32) -> Thrown<Classifier> {
        let made = eval::Classifier::new(&self.model, &self.weights, self.size(images)).await;
        Ok(Classifier { inner: made.map_err(throw)? })
    }

    /// Prepares projected gradient steps on batches of `images` images. `objective` is `joint`, `logsumexp`, `cross-entropy` or
    /// `cross-entropy-targeted`, `norm` is `l2` or `linf`, `eps` may be infinite.
    pub async fn ascent(
        &self,
        images: u32,
        objective: &str,
        norm: &str,
        eps: f32,
        step_size: f32,
    ) -> Thrown<Ascent> {
        let named = |what, given: &str, wanted| {
            let (given, wanted) = (given.into(), String::from(wanted));
            throw(Error::Mismatch { op: what, given, wanted })
        };
        let objective = match objective {
            "joint" => Objective::Joint,
            "logsumexp" => Objective::LogSumExp,
            "cross-entropy" => Objective::CrossEntropy,
            "cross-entropy-targeted" => Objective::CrossEntropyTargeted,
            other => {
                let wanted = "joint, logsumexp, cross-entropy or cross-entropy-targeted";
                return Err(named("objective", other, wanted));
            }
        };
        let norm = match norm {
            "l2" => Norm::L2,
            "linf" => Norm::Linf,
            other => return Err(named("norm", other, "l2 or linf")),
        };
        let settings = Pgd { step_size, objective, ..Pgd::attack(norm, eps, 0) };
        let size = self.size(images);
        let attack = PgdAttack::new(&self.model, &self.weights, size, settings);
        Ok(Ascent { attack: attack.await.map_err(throw)? })
    }
}

/// Computes a network's logits for batches of one size.
#[wasm_bindgen]
pub struct Classifier {
    inner: eval::Classifier,
}

#[wasm_bindgen]
impl Classifier {
    /// Returns K logits for each image, of any number of images.
    pub async fn logits(&mut self, images: Vec<f32>) -> Thrown<Vec<f32>> {
        self.inner.logits(&images).await.map_err(throw)
    }
}

/// Takes projected gradient steps on images, in batches of one size.
#[wasm_bindgen]
pub struct Ascent {
    attack: PgdAttack,
}

#[wasm_bindgen]
impl Ascent {
    /// Sets the images to move, the ball's centre and the labels.
    pub async fn start(
        &mut self,
        images: Vec<f32>,
        origin: Vec<f32>,
        labels: Vec<u32>,
    ) -> Thrown<()> {
        let start = Start { from: Some(&images), ..Start::new(&origin, &labels) };
        self.attack.start(&start).await.map_err(throw)
    }

    /// Takes gradient steps on the images, in submissions of about 100 ms. `stop` is asked after each; where it answers true,
    /// this fails with `AbortError`.
    pub async fn run(&mut self, steps: u32, stop: Function) -> Thrown<()> {
        self.attack.run(steps, asking(&stop)).await.map_err(throw)
    }

    /// Reads the images, followed by each image's objective before the last step.
    pub async fn state(&self) -> Thrown<Vec<f32>> {
        let (mut images, objective) = self.attack.state().await.map_err(throw)?;
        images.extend(objective);
        Ok(images)
    }

    /// Describes the costs of one gradient step as JSON.
    pub fn summary(&self) -> String {
        let summary = self.attack.summary();
        json!({
            "dispatches": summary.dispatches,
            "flops": summary.flops,
            "trafficBytes": summary.traffic_bytes,
            "inputBytes": summary.input_bytes,
            "sharedBytes": summary.shared_bytes,
        })
        .to_string()
    }

    /// Measures the GPU time of each kernel launch of a gradient step, the median of `repetitions`: kernel and milliseconds.
    pub async fn profile(&mut self, repetitions: u32) -> Thrown<String> {
        let timings = self.attack.profile(repetitions).await.map_err(throw)?;
        let rows: Vec<_> =
            timings.iter().map(|timing| json!([timing.kernel, timing.milliseconds])).collect();
        Ok(json!(rows).to_string())
    }
}
