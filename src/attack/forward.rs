//! What all attacks share: the model over images under attack, its objective, and the buffers of a batch.

use super::Objective;
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Shape, Value};
use crate::model::{DeviceWeights, Mode, Model, Weights};
use crate::ops::{self, Margin};
use crate::{Error, Result};

/// A batch on the device.
#[derive(Debug)]
pub(super) struct Batch {
    pub gpu: Gpu,
    pub shape: Shape,
    /// Under attack; written in place.
    pub images: Buffer,
    /// Where they came from: the ball's centre.
    pub origin: Buffer,
    pub labels: Buffer,
    /// Classes to go to, for objectives that have some beside the labels.
    pub targets: Buffer,
    /// The weight of each image in what is climbed.
    pub seed: Buffer,
}

impl Batch {
    pub async fn new(
        gpu: &Gpu,
        model: &dyn Model,
        [images, side]: [u32; 2],
        objective: Objective,
    ) -> Result<Self> {
        let shape = Shape::new(images, model.channels(), side, side)?;
        let words = [shape.elements(), shape.elements(), images, images];
        let [under_attack, origin, labels, targets] = buffers(gpu, words).await?;
        let seed = gpu.upload(&vec![objective.weight(images); images as usize]).await?;
        let gpu = gpu.clone();
        Ok(Self { gpu, shape, images: under_attack, origin, labels, targets, seed })
    }

    /// Writes origin and labels.
    pub async fn write(&self, origin: &[f32], labels: &[u32]) -> Result<()> {
        self.gpu.write(&self.origin, origin).await?;
        self.gpu.write(&self.labels, labels).await
    }
}

/// N buffers of so many words, zeros.
pub(super) async fn buffers<const N: usize>(gpu: &Gpu, words: [u32; N]) -> Result<[Buffer; N]> {
    let made = gpu.allocate(&words).await?;
    made.try_into().map_err(|made: Vec<_>| Error::mismatch("attack", made.len(), N))
}

/// Graph values of a batch that goes through the model.
pub(super) struct Forward {
    pub x: Value,
    pub origin: Value,
    pub labels: Value,
    pub targets: Value,
    pub seed: Value,
    pub logits: Value,
    /// A number an image.
    pub objective: Value,
    weights: Weights,
}

impl Forward {
    pub fn new(
        graph: &mut Graph,
        model: &dyn Model,
        batch: &Batch,
        objective: Objective,
        mode: Mode,
    ) -> Result<Self> {
        let per_image = Shape::per_image(batch.shape.images())?;
        let (x, origin) = (graph.input(batch.shape), graph.input(batch.shape));
        let [labels, targets, seed] = [(); 3].map(|()| graph.input(per_image));
        let weights = Weights::inputs(graph, &model.parameters())?;
        let logits = model.logits(graph, x, &weights, mode)?;
        let objective = objective.push(graph, logits, labels, targets)?;
        Ok(Self { x, origin, labels, targets, seed, logits, objective, weights })
    }

    /// The gradient of what is climbed, for the images alone.
    pub fn image_gradient(&self, graph: &mut Graph) -> Result<Value> {
        let gradients = ops::gradient(graph, self.objective, self.seed, &[self.x])?;
        let [gradient] = crate::graph::exactly("attack", "gradients", &gradients)?;
        Ok(gradient)
    }

    /// What changes between replays.
    pub fn changing(&self) -> [Value; 4] {
        [self.x, self.origin, self.labels, self.targets]
    }

    /// By how much each image is misnamed.
    pub fn margin(&self, graph: &mut Graph) -> Result<Value> {
        graph.push(Margin { targeted: false }, &[self.logits, self.labels])
    }

    /// The same of the images as they are by then, after nodes that wrote them: another pass.
    pub fn margin_again(&self, graph: &mut Graph, model: &dyn Model) -> Result<Value> {
        let logits = model.logits(graph, self.x, &self.weights, Mode::Frozen)?;
        graph.push(Margin { targeted: false }, &[logits, self.labels])
    }

    /// The buffers of the batch and of the weights.
    pub fn given(&self, batch: &Batch, weights: &DeviceWeights) -> Result<Vec<(Value, Buffer)>> {
        let mut given = weights.bindings(&self.weights)?;
        given.push((self.x, batch.images.clone()));
        given.push((self.origin, batch.origin.clone()));
        given.push((self.labels, batch.labels.clone()));
        given.push((self.targets, batch.targets.clone()));
        given.push((self.seed, batch.seed.clone()));
        Ok(given)
    }
}
