//! The part of a computation graph that all attacks share: the network's forward pass over the attacked images, the objective
//! that is maximised, and the buffers of a batch.

use super::{Objective, Start};
use crate::gpu::{Buffer, Gpu, Precision};
use crate::graph::{Graph, Shape, Value};
use crate::model::{BatchSize, DeviceWeights, Mode, Model, Weights, filled};
use crate::ops::{self, Level, Margin, Norm};
use crate::{Error, Result};

/// The label of images that only fill up a batch: it is no class, so that these images stay unchanged.
const NO_LABEL: u32 = u32::MAX;

/// A batch on the device.
#[derive(Debug)]
pub(super) struct Batch {
    pub gpu: Gpu,
    pub shape: Shape,
    /// The images under attack, which steps change in place.
    pub images: Buffer,
    /// The original images, the ball's centres.
    pub origin: Buffer,
    pub labels: Buffer,
    /// The target class of each image, for objectives that read target classes beside the labels.
    pub targets: Buffer,
    /// The weight of each image in the objective.
    pub seed: Buffer,
    /// The number of images that the attack was started with; the others only fill up the batch.
    pub count: usize,
    objective: Objective,
    classes: u32,
}

impl Batch {
    pub async fn new(
        gpu: &Gpu,
        model: &dyn Model,
        size: BatchSize,
        objective: Objective,
    ) -> Result<Self> {
        let shape = size.shape(model)?;
        let BatchSize { images, .. } = size;
        let words = [shape.elements(), shape.elements(), images, images];
        let [under_attack, origin, labels, targets] = buffers(gpu, words).await?;
        let seed = gpu.upload(&vec![objective.weight(images); images as usize]).await?;
        let (gpu, classes) = (gpu.clone(), model.classes());
        Ok(Self {
            gpu,
            shape,
            images: under_attack,
            origin,
            labels,
            targets,
            seed,
            count: 0,
            objective,
            classes,
        })
    }

    /// Writes the original images, the labels and the target classes, filled up to a whole batch.
    pub async fn write(&mut self, start: &Start<'_>) -> Result<()> {
        check_pixels("images", start.images, self.words())?;
        self.write_finite(start).await
    }

    /// Writes the images, labels and target classes of an attack's start, where images may be outside of \[0, 1\].
    pub async fn write_finite(&mut self, start: &Start<'_>) -> Result<()> {
        let Start { images, labels, targets, from, .. } = *start;
        self.check_images("images", images, labels.len())?;
        if let Some(from) = from {
            self.check_images("start images", from, labels.len())?;
        }
        self.check_classes("label", labels, labels.len())?;
        if let Some(targets) = targets {
            self.check_classes("target", targets, labels.len())?;
        } else if self.objective.reads_targets() {
            let wanted = "a target class for each image";
            return Err(Error::mismatch("attack", "no targets", wanted));
        }
        let whole = self.shape.elements() as usize;
        self.gpu.write(&self.origin, &filled(images, whole, 0.0)).await?;
        self.write_classes(&self.labels, labels).await?;
        if let Some(targets) = targets {
            self.write_classes(&self.targets, targets).await?;
        }
        self.count = labels.len();
        Ok(())
    }

    /// Writes a class for each image into a buffer, filled up to a whole batch.
    pub async fn write_classes(&self, buffer: &Buffer, classes: &[u32]) -> Result<()> {
        self.gpu.write(buffer, &filled(classes, self.shape.images() as usize, NO_LABEL)).await
    }

    /// Writes the images at which the attack's steps begin, where these are not the original images.
    pub async fn write_from(&self, start: &Start<'_>) -> Result<()> {
        let Some(from) = start.from else { return Ok(()) };
        self.gpu.write(&self.images, &filled(from, self.shape.elements() as usize, 0.0)).await
    }

    /// Reads a buffer's values for the images that the attack was started with.
    pub async fn read(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        let mut values = self.gpu.read(buffer).await?;
        values.truncate(self.count * self.words());
        Ok(values)
    }

    /// Reads a buffer with a number for each image, for the images that the attack was started with.
    pub async fn read_numbers(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        let mut values = self.gpu.read(buffer).await?;
        values.truncate(self.count);
        Ok(values)
    }

    /// Returns the number of values in one image.
    pub fn words(&self) -> usize {
        (self.shape.elements() / self.shape.images().max(1)) as usize
    }

    fn check_images(&self, what: &str, images: &[f32], labels: usize) -> Result<()> {
        let (most, words) = (self.shape.images() as usize, self.words());
        if labels == 0 || labels > most || images.len() != labels * words {
            let given = format!("{} values of {what} for {labels} labels", images.len());
            let wanted = format!("1 to {most} labels, and an image of {words} values for each");
            return Err(Error::mismatch("attack", given, wanted));
        }
        let strange = images.iter().enumerate().find(|(_, value)| !value.is_finite());
        if let Some((at, value)) = strange {
            let given = format!("{value} in image {} of the {what} (counted from 0)", at / words);
            return Err(Error::mismatch("attack", given, "finite values"));
        }
        Ok(())
    }

    fn check_classes(&self, what: &str, classes: &[u32], labels: usize) -> Result<()> {
        if classes.len() != labels {
            let given = format!("{} {what}s for {labels} images", classes.len());
            return Err(Error::mismatch(
                "attack",
                given,
                format_args!("one {what} for each image"),
            ));
        }
        let beyond = classes.iter().enumerate().find(|(_, class)| **class >= self.classes);
        if let Some((at, class)) = beyond {
            let given = format!("{what} {class} of image {at} (counted from 0)");
            let wanted = format!("a class of the network, 0 to {}", self.classes - 1);
            return Err(Error::mismatch("attack", given, wanted));
        }
        Ok(())
    }
}

/// Checks that all values are in \[0, 1\] (NaN is not). The error names the first image that has another value, counting
/// `words` values for an image, and calls the images `what`.
pub fn check_pixels(what: &str, images: &[f32], words: usize) -> Result<()> {
    let mut places = images.iter().enumerate();
    match places.find(|(_, value)| !(0.0..=1.0).contains(*value)) {
        None => Ok(()),
        Some((at, value)) => {
            let given =
                format!("{value} in image {} of the {what} (counted from 0)", at / words.max(1));
            Err(Error::mismatch("images", given, "values in [0, 1]"))
        }
    }
}

/// Makes N buffers of these numbers of words, all zeros.
pub(super) async fn buffers<const N: usize>(gpu: &Gpu, words: [u32; N]) -> Result<[Buffer; N]> {
    let made = gpu.allocate(&words).await?;
    let wrong = |made: Vec<_>| format!("{} buffers were made instead of {N}", made.len());
    made.try_into().map_err(|made| Error::bug("attack", wrong(made)))
}

/// Checks a step size. Err if it is 0, infinite or NaN.
pub(super) fn check_step(step_size: f32) -> Result<()> {
    if step_size == 0.0 || !step_size.is_finite() {
        let given = format_args!("steps of length {step_size}");
        return Err(Error::mismatch("attack", given, "a finite length other than 0"));
    }
    Ok(())
}

/// Checks the radius of a ball around an image. Err if it is negative or NaN. Err, too, if it is finite and so large that
/// the ball holds every image of `words` values in \[0, 1\]: such a radius was likely meant for pixels of 0 to 255.
pub fn check_radius(norm: Norm, eps: f32, words: usize) -> Result<()> {
    let given = format_args!("a ball of {norm:?} radius {eps}");
    if eps.is_nan() || eps < 0.0 {
        return Err(Error::mismatch("attack", given, "a radius of 0 or more"));
    }
    let most = match norm {
        Norm::Linf => 1.0,
        Norm::L2 => (words as f32).sqrt(),
    };
    let beyond = match norm {
        Norm::Linf => eps >= most,
        Norm::L2 => eps > most,
    };
    if eps.is_finite() && beyond {
        let wanted = format_args!(
            "a radius below {most:.4}, as values are in [0, 1] and no two images are further apart: {eps}/255 is likely meant"
        );
        return Err(Error::mismatch("attack", given, wanted));
    }
    Ok(())
}

/// Returns `taken` + `steps`. Err if that is more than `whole`, the number of steps that the attack's schedule was made for.
pub(super) fn within(op: &'static str, taken: u32, steps: u32, whole: u32) -> Result<u32> {
    let after = taken.saturating_add(steps);
    if after > whole {
        let given = format_args!("{steps} steps after {taken} steps");
        return Err(Error::mismatch(
            op,
            given,
            format_args!("at most {whole} in all, as the attack's settings say"),
        ));
    }
    Ok(after)
}

/// Graph values of a batch that goes through the model.
pub(super) struct Forward {
    pub x: Value,
    pub origin: Value,
    pub labels: Value,
    pub targets: Value,
    pub seed: Value,
    pub logits: Value,
    /// The attack's objective, a number for each image.
    pub objective: Value,
    /// The shape of one number for each image.
    pub per_image: Shape,
    weights: Weights,
    level: Option<Level>,
}

impl Forward {
    pub fn new(
        graph: &mut Graph,
        model: &dyn Model,
        images: Shape,
        objective: Objective,
        mode: Mode,
        precision: Precision,
    ) -> Result<Self> {
        let level = Level::in_precision(precision, !matches!(mode, Mode::Frozen));
        let per_image = Shape::per_image(images.images())?;
        let (x, origin) = (graph.input(images), graph.input(images));
        let [labels, targets, seed] = [(); 3].map(|()| graph.input(per_image));
        let weights = Weights::inputs(graph, &model.parameters())?;
        let logits = model.logits(graph, x, &weights, mode)?;
        let objective = objective.push(graph, logits, labels, targets)?;
        Ok(Self { x, origin, labels, targets, seed, logits, objective, per_image, weights, level })
    }

    /// Adds the forward pass of a batch with frozen batch norm statistics, in the precision of its device.
    pub fn frozen(
        graph: &mut Graph,
        model: &dyn Model,
        batch: &Batch,
        objective: Objective,
    ) -> Result<Self> {
        let precision = batch.gpu.preferences().precision;
        Self::new(graph, model, batch.shape, objective, Mode::Frozen, precision)
    }

    /// Adds the gradient of the objective with respect to the images.
    pub fn image_gradient(&self, graph: &mut Graph) -> Result<Value> {
        let [of, by] = [[self.objective, self.seed], [self.logits, self.x]];
        ops::image_gradient(graph, of, by, self.level)
    }

    /// Adds the targets' logits minus the labels', and their gradient for the images; returns the gradient and the difference.
    pub fn towards(&self, graph: &mut Graph, targets: Value) -> Result<[Value; 2]> {
        let f = graph.push(Margin { targeted: true }, &[self.logits, self.labels, targets])?;
        let by = [self.logits, self.x];
        Ok([ops::image_gradient(graph, [f, self.seed], by, self.level)?, f])
    }

    /// Returns the graph's inputs whose values may change between runs of a program: images, original images, labels and target
    /// classes.
    pub fn changing(&self) -> [Value; 4] {
        [self.x, self.origin, self.labels, self.targets]
    }

    /// Adds the margin by which each image is misclassified.
    pub fn margin(&self, graph: &mut Graph) -> Result<Value> {
        graph.push(Margin { targeted: false }, &[self.logits, self.labels])
    }

    /// Adds the margin of the images after the nodes that wrote them, by another pass.
    pub fn margin_again(&self, graph: &mut Graph, model: &dyn Model) -> Result<Value> {
        let logits = model.logits(graph, self.x, &self.weights, Mode::Frozen)?;
        graph.push(Margin { targeted: false }, &[logits, self.labels])
    }

    /// Pairs the graph's inputs with the buffers of the batch and of the weights.
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
