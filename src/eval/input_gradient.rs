//! Computes derivatives with respect to images, in batches of one size: of an attack's objective, or of any weighted sum
//! of logits, through which other tools can differentiate their losses.

use crate::attack::Objective;
use crate::graph::{Graph, Shape, Value};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Mode, Model, Weights, filled};
use crate::ops::{self, Level};
use crate::{Error, Result};

/// The function of a network's logits whose gradient with respect to the images is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// An attack's objective of logits and label; each image's gradient is that of its own objective, not of the mean.
    Objective(Objective),
    /// The sum of all logits, each times a given factor. If the factors are the derivatives of another tool's loss with respect
    /// to the logits, the result is that loss's gradient with respect to the images.
    Logits,
}

/// What the function of the logits, whose gradient is computed, needs for each image beside the logits: labels or factors.
#[derive(Clone, Copy, Debug)]
pub enum With<'a> {
    /// A label for each image, for [`Of::Objective`].
    Labels(&'a [u32]),
    /// A factor for each logit, for [`Of::Logits`]: as many for each image as there are classes.
    Factors(&'a [f32]),
}

/// Computes gradients of a function of the logits with respect to the images, with frozen batch norm statistics, in batches of
/// one size.
#[derive(Debug)]
pub struct InputGradient {
    program: Program,
    x: Value,
    /// Labels or factors; none where the objective reads no labels.
    with: Option<Value>,
    gradient: Value,
    of: Of,
    batch: usize,
    words: usize,
    classes: usize,
}

impl InputGradient {
    /// Prepares the gradient of the function `of` of a network's logits, for batches of one size. Err for an objective that
    /// needs targets beside labels.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        of: Of,
    ) -> Result<Self> {
        let mut graph = Graph::default();
        let x = graph.input(size.shape(model)?);
        let inputs = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, x, &inputs, Mode::Frozen)?;
        let per_image = Shape::per_image(size.images)?;
        let (target, seed, with) = match of {
            Of::Logits => {
                let factors = graph.input(graph.shape(logits)?);
                (logits, factors, Some(factors))
            }
            Of::Objective(objective) if objective.reads_targets() => {
                let given = format_args!("{objective:?}");
                return Err(Error::mismatch(
                    "input gradient",
                    given,
                    "an objective without target classes: neither DlrTargeted nor MarginTargeted",
                ));
            }
            Of::Objective(objective) => {
                let labels = graph.input(per_image);
                let target = objective.push(&mut graph, logits, labels, labels)?;
                let read = (objective != Objective::LogSumExp).then_some(labels);
                (target, graph.input(per_image), read)
            }
        };
        let level = Level::in_precision(weights.gpu().preferences().precision, false);
        let gradient = ops::image_gradient(&mut graph, [target, seed], [logits, x], level)?;
        let mut given = weights.bindings(&inputs)?;
        if of != Of::Logits {
            let ones = vec![1.0_f32; size.images as usize];
            given.push((seed, weights.gpu().upload(&ones).await?));
        }
        let changing: Vec<_> = [x].into_iter().chain(with).collect();
        let program = Program::new(weights.gpu(), &graph, &[gradient], &changing, &given).await?;
        let classes = model.classes() as usize;
        let (batch, words) = (size.images as usize, size.words(model)?);
        Ok(Self { program, x, with, gradient, of, batch, words, classes })
    }

    /// Computes the gradient with respect to each image, in the images' shape, of the function of the logits that
    /// [`InputGradient::new`] was given as `of`. `images` are any number of whole images, NCHW, finite.
    ///
    /// # Errors
    /// `Mismatch` for a part of an image, for labels outside the network's classes, and unless there are as many labels, or
    /// rows of factors, as images.
    pub async fn gradient(&mut self, images: &[f32], with: With<'_>) -> Result<Vec<f32>> {
        let wrong =
            |given: String, wanted: String| Err(Error::mismatch("input gradient", given, wanted));
        if !images.len().is_multiple_of(self.words) {
            let wanted = format!("a multiple of {}, the number of values in one image", self.words);
            return wrong(format!("{} values", images.len()), wanted);
        }
        let count = images.len() / self.words;
        let (given, each) = match (with, self.of) {
            (With::Labels(labels), Of::Objective(_)) => (labels.len(), 1),
            (With::Factors(factors), Of::Logits) => (factors.len(), self.classes),
            (With::Labels(_), Of::Logits) => {
                let given = "labels for Of::Logits";
                return wrong(given.into(), "With::Factors, a factor for each logit".into());
            }
            (With::Factors(_), Of::Objective(_)) => {
                let given = "factors for Of::Objective";
                return wrong(given.into(), "With::Labels, a label for each image".into());
            }
        };
        if given != count * each {
            return wrong(
                format!("{given} numbers for {count} images"),
                format!("{each} for each"),
            );
        }
        if let With::Labels(labels) = with
            && let Some((at, label)) =
                labels.iter().enumerate().find(|&(_, &label)| label as usize >= self.classes)
        {
            let given = format!("label {label} of image {at} (counted from 0)");
            return wrong(given, format!("a class below {}", self.classes));
        }
        let mut gradients = Vec::with_capacity(images.len());
        for (part, images) in images.chunks(self.batch * self.words).enumerate() {
            let batch = filled(images, self.batch * self.words, 0.0);
            self.program.write(self.x, &batch).await?;
            let rows = part * self.batch * each..(part + 1) * self.batch * each;
            let last = rows.end.min(given);
            match (with, self.with) {
                (_, None) => {}
                (With::Labels(labels), Some(input)) => {
                    let labels = labels.get(rows.start..last).unwrap_or_default();
                    let labels = filled(labels, self.batch, 0);
                    self.program.write(input, &labels).await?;
                }
                (With::Factors(factors), Some(input)) => {
                    let factors = factors.get(rows.start..last).unwrap_or_default();
                    let factors = filled(factors, self.batch * each, 0.0);
                    self.program.write(input, &factors).await?;
                }
            }
            self.program.run(1, |_| Ok(())).await?;
            let made = self.program.read(self.gradient).await?;
            gradients.extend(made.into_iter().take(images.len()));
        }
        Ok(gradients)
    }
}
