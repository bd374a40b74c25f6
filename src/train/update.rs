//! From a batch to the gradients of its loss: one graph an objective, all of which end alike. The optimiser's step
//! is the learner's.

use super::Learner;
use super::learner::trained;
use crate::attack::program;
use crate::gpu::{Buffer, Timing};
use crate::graph::{Graph, Program, Shape, Summary, Value};
use crate::model::{BatchSize, Mode, RunningUpdate, Weights};
use crate::ops::{
    self, Accumulate, Add, BceWithLogits, Concat, CrossEntropy, ImageDot, Images, LogSumExp,
    PickLogit, Scale, Softmax, Sum, r1,
};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// What a loss is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// Mean cross-entropy of the labels.
    CrossEntropy,
    /// Mean binary cross-entropy of real against contrastive images.
    Bce,
    /// Mean KL(clean ‖ attacked), of TRADES.
    Divergence,
    /// Mean cross-entropy of the uniform distribution on out-of-distribution images, of RATIO.
    Uniform,
    /// Mean energy of real images minus that of samples, of JEM.
    EnergyGap,
    /// The gradient penalty ([`r1`]), without its weight.
    R1,
}

/// What one step reported.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each without its weight.
    pub terms: BTreeMap<Term, f32>,
    /// Logits of the classified images.
    pub logits: Vec<f32>,
    /// f(x)\[y\] of the real images, then of the contrastive ones, in stage 2.
    pub joint: Vec<f32>,
}

impl Report {
    /// A part of the loss; NaN if it has none such.
    pub fn term(&self, term: Term) -> f32 {
        self.terms.get(&term).copied().unwrap_or(f32::NAN)
    }

    /// Of a whole batch, from those of equal parts of it in their order.
    pub(super) fn merge(parts: Vec<Self>) -> Self {
        let mut whole = Self::default();
        let count = parts.len() as f32;
        let [mut real, mut moved] = [const { Vec::new() }; 2];
        for part in parts {
            for (term, value) in part.terms {
                *whole.terms.entry(term).or_default() += value / count;
            }
            whole.logits.extend(part.logits);
            let (of_real, of_moved) = part.joint.split_at(part.joint.len() / 2);
            real.extend_from_slice(of_real);
            moved.extend_from_slice(of_moved);
        }
        whole.joint = [real, moved].concat();
        whole
    }
}

/// What tells a real image from another: a number for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// logsumexp f(x), minus the marginal energy.
    LogSumExp,
    /// f(x)\[y\], minus the joint energy.
    ClassLogit,
}

/// How stage 2 sets real against contrastive images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contrast {
    /// Binary cross-entropy of the scores.
    Bce,
    /// The difference of the mean scores: maximum likelihood, as JEM has it.
    EnergyGap,
}

/// The loss of stage 2: `contrast_weight` × contrast + `ce_weight` × cross-entropy + `r1` × R1 of the real images' scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual {
    /// Of each image.
    pub score: Score,
    /// Of real against contrastive images.
    pub contrast: Contrast,
    /// Of it.
    pub contrast_weight: f32,
    /// Of the mean cross-entropy of the classified images.
    pub ce_weight: f32,
    /// Of the gradient penalty, by the graph's derivative of a derivative; 0 for none.
    pub r1: f32,
}

impl Default for Dual {
    /// METHOD.md, stage 2.
    fn default() -> Self {
        Self {
            score: Score::LogSumExp,
            contrast: Contrast::Bce,
            contrast_weight: 1.0,
            ce_weight: 1.0,
            r1: 0.0,
        }
    }
}

/// Where the images of a step lie, and how many and how large they are.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Images to classify and their labels.
    pub classified: (&'a Buffer, &'a Buffer),
    /// Contrastive images of stage 2 and the labels they were driven to, which are the real images'; of RATIO,
    /// out-of-distribution images, whose labels are not read.
    pub contrastive: Option<(&'a Buffer, &'a Buffer)>,
    /// Of each of them.
    pub batch: BatchSize,
}

/// A program that leaves the gradients of a batch's loss in a learner.
#[derive(Debug)]
pub struct Update {
    program: Program,
    control: Value,
    terms: Vec<(Term, Value)>,
    logits: Value,
    joint: Option<Value>,
    real: Option<Value>,
}

impl Update {
    /// Stage 1 (and plain training): mean cross-entropy of the classified images with batch statistics,
    /// which the running ones follow.
    pub async fn classifier(learner: &Learner, sources: Sources<'_>) -> Result<Self> {
        let mut sketch = Sketch::new(learner, sources)?;
        let (x, labels) = sketch.classified(sources)?;
        let logits = sketch.training_logits(learner, x)?;
        let ce = sketch.cross_entropy(logits, labels, 0.0)?;
        sketch.term(Term::CrossEntropy, ce, 1.0)?;
        sketch.finish(learner, logits, None, None).await
    }

    /// TRADES (Zhang and others 2019, arXiv 1901.08573, equation 5): mean cross-entropy of `clean` images, a buffer, plus
    /// `beta` times mean KL(f(clean) ‖ f(classified)), which both sides learn from. Both go through the network as one
    /// batch, with its statistics, which the running ones follow. The report's logits are the attacked images'.
    pub async fn trades(
        learner: &Learner,
        sources: Sources<'_>,
        clean: &Buffer,
        beta: f32,
    ) -> Result<Self> {
        let mut sketch = Sketch::new(learner, sources)?;
        let (attacked, labels) = sketch.classified(sources)?;
        let clean = sketch.images(Some(clean))?;
        let both = sketch.graph.push(Concat, &[clean, attacked])?;
        let both = sketch.training_logits(learner, both)?;
        let [clean, attacked] = sketch.split(both)?;
        let ce = sketch.cross_entropy(clean, labels, 0.0)?;
        let graph = &mut sketch.graph;
        let probabilities = graph.push(Softmax { log: false }, &[clean])?;
        let [log_clean, log_attacked] = [
            graph.push(Softmax { log: true }, &[clean])?,
            graph.push(Softmax { log: true }, &[attacked])?,
        ];
        let minus = graph.push(Scale { factor: -1.0 }, &[log_attacked])?;
        let difference = graph.push(Add, &[log_clean, minus])?;
        let each = graph.push(ImageDot, &[probabilities, difference])?;
        let divergence = sketch.mean(each)?;
        sketch.term(Term::CrossEntropy, ce, 1.0)?;
        sketch.term(Term::Divergence, divergence, beta)?;
        sketch.finish(learner, attacked, None, None).await
    }

    /// RATIO (Augustin, Meinke and Hein 2020, arXiv 2003.09461, equation 6): mean cross-entropy of the classified images
    /// plus `weight` times that of the uniform distribution on out-of-distribution images, both attacked before. Both go
    /// through the network as one batch, with its statistics, which the running ones follow.
    pub async fn ratio(learner: &Learner, sources: Sources<'_>, weight: f32) -> Result<Self> {
        let mut sketch = Sketch::new(learner, sources)?;
        let (x, labels) = sketch.classified(sources)?;
        let (others, any_labels) = sketch.contrastive(sources)?;
        let both = sketch.graph.push(Concat, &[x, others])?;
        let both = sketch.training_logits(learner, both)?;
        let [logits, other_logits] = sketch.split(both)?;
        let ce = sketch.cross_entropy(logits, labels, 0.0)?;
        let uniform = sketch.cross_entropy(other_logits, any_labels, 1.0)?;
        sketch.term(Term::CrossEntropy, ce, 1.0)?;
        sketch.term(Term::Uniform, uniform, weight)?;
        sketch.finish(learner, logits, None, None).await
    }

    /// Stage 2 (METHOD.md, points 3 to 5) and JEM: real against contrastive images plus cross-entropy of the
    /// classified ones, statistics frozen. The three go through the network as one batch: frozen, images do not see
    /// each other.
    pub async fn dual(learner: &Learner, sources: Sources<'_>, loss: Dual) -> Result<Self> {
        let mut sketch = Sketch::new(learner, sources)?;
        let images = sources.batch.images;
        let real = sketch.images(None)?;
        let (contrastive, labels) = sketch.contrastive(sources)?;
        let (attacked, attacked_labels) = sketch.classified(sources)?;
        let Sketch { graph, weights, .. } = &mut sketch;
        let all = graph.push(Concat, &[real, contrastive, attacked])?;
        let logits = learner.model.logits(graph, all, weights, Mode::Frozen)?;
        let pair = graph.push(Images { first: 0, count: 2 * images }, &[logits])?;
        let classified = graph.push(Images { first: 2 * images, count: images }, &[logits])?;
        let both = graph.push(Concat, &[labels, labels])?;
        let joint = graph.push(PickLogit, &[pair, both])?;
        let score = |graph: &mut Graph, logits: Value, labels: Value| match loss.score {
            Score::LogSumExp => graph.push(LogSumExp, &[logits]),
            Score::ClassLogit => graph.push(PickLogit, &[logits, labels]),
        };
        let scores = score(graph, pair, both)?;
        let (term, contrast, targets) = match loss.contrast {
            Contrast::Bce => {
                let targets = graph.input(Shape::per_image(2 * images)?);
                let each = graph.push(BceWithLogits, &[scores, targets])?;
                let bce = graph.push(Sum { scale: 0.5 / images as f32 }, &[each])?;
                (Term::Bce, bce, Some(targets))
            }
            Contrast::EnergyGap => {
                let [of_real, of_samples] =
                    [0, images].map(|first| Images { first, count: images });
                let of_real = graph.push(of_real, &[scores])?;
                let of_samples = graph.push(of_samples, &[scores])?;
                let scale = 1.0 / images as f32;
                // E = -score, so the real images' is subtracted.
                let of_real = graph.push(Sum { scale: -scale }, &[of_real])?;
                let of_samples = graph.push(Sum { scale }, &[of_samples])?;
                (Term::EnergyGap, graph.push(Add, &[of_real, of_samples])?, None)
            }
        };
        let ce = sketch.cross_entropy(classified, attacked_labels, 0.0)?;
        sketch.term(term, contrast, loss.contrast_weight)?;
        sketch.term(Term::CrossEntropy, ce, loss.ce_weight)?;
        let mut ones = None;
        if loss.r1 > 0.0 {
            // A pass of its own: the derivative for the real images alone costs a third of that for all.
            let Sketch { graph, weights, .. } = &mut sketch;
            let logits = learner.model.logits(graph, real, weights, Mode::Frozen)?;
            let scores = score(graph, logits, labels)?;
            let seed = graph.input(graph.shape(scores)?);
            ones = Some(seed);
            let penalty = r1(graph, scores, seed, real)?;
            sketch.term(Term::R1, penalty, loss.r1)?;
        }
        let mut update = sketch.finish(learner, classified, Some(joint), Some(real)).await?;
        let mut wanted = vec![1.0f32; images as usize];
        if let Some(ones) = ones {
            update.program.write(ones, &wanted).await?;
        }
        if let Some(targets) = targets {
            wanted.resize(2 * images as usize, 0.0);
            update.program.write(targets, &wanted).await?;
        }
        Ok(update)
    }

    /// The real images of the next step of stage 2. Their labels are those of the contrastive ones.
    pub async fn write_real(&mut self, images: &[f32]) -> Result<()> {
        match self.real {
            Some(real) => self.program.write(real, images).await,
            None => Err(Error::mismatch("stage 1", "real images", "none")),
        }
    }

    /// Leaves in the learner the gradients for the images as they lie in their buffers, as part `part` of `parts` equal
    /// ones of a batch: they are divided by `parts`, and added to the gradients of the parts before. Does not wait.
    pub async fn gradients(&mut self, part: u32, parts: u32) -> Result<()> {
        let keep = if part == 0 { 0.0 } else { 1.0 };
        self.program.write(self.control, &[keep, 1.0 / parts as f32]).await?;
        self.program.submit().await
    }

    /// What the last gradients' pass tells: one small read-back.
    pub async fn report(&self) -> Result<Report> {
        let terms = self.terms.iter().map(|(_, value)| *value);
        let values: Vec<_> = terms.chain([self.logits]).chain(self.joint).collect();
        let mut read = self.program.read_all(&values).await?.into_iter();
        let mut next = || read.next().unwrap_or_default();
        let one = |values: Vec<f32>| values.first().copied().unwrap_or(f32::NAN);
        let terms = self.terms.iter().map(|(term, _)| (*term, one(next()))).collect();
        Ok(Report { terms, logits: next(), joint: next() })
    }

    /// Gradients of one whole batch, an optimiser step, and what it reports.
    pub async fn step(&mut self, learner: &mut Learner, learning_rate: f64) -> Result<Report> {
        self.gradients(0, 1).await?;
        learner.step(learning_rate).await?;
        self.report().await
    }

    /// GPU time of each launch of a pass. Err without timestamps.
    pub async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
        self.program.profile(repetitions).await
    }

    /// What a pass costs.
    pub fn summary(&self) -> &Summary {
        self.program.summary()
    }
}

/// A loss on its way to a program.
struct Sketch {
    graph: Graph,
    weights: Weights,
    given: Vec<(Value, Buffer)>,
    changing: Vec<Value>,
    statistics: Vec<RunningUpdate>,
    terms: Vec<(Term, Value)>,
    loss: Option<Value>,
    batch: Shape,
}

impl Sketch {
    fn new(learner: &Learner, sources: Sources<'_>) -> Result<Self> {
        let mut graph = Graph::default();
        let weights = Weights::inputs(&mut graph, &learner.model.parameters())?;
        let batch = sources.batch.shape(&learner.model)?;
        let given = learner.live.bindings(&weights)?;
        // Between replays the optimiser changes them.
        let changing = weights.iter().map(|(_, value)| value).collect();
        let (statistics, terms) = (Vec::new(), Vec::new());
        Ok(Self { graph, weights, given, changing, statistics, terms, loss: None, batch })
    }

    /// A batch of images; without a buffer they are written before each step.
    fn images(&mut self, buffer: Option<&Buffer>) -> Result<Value> {
        let x = self.graph.input(self.batch);
        self.given.extend(buffer.map(|buffer| (x, buffer.clone())));
        self.changing.push(x);
        Ok(x)
    }

    fn pair(&mut self, (images, labels): (&Buffer, &Buffer)) -> Result<(Value, Value)> {
        let x = self.images(Some(images))?;
        let y = self.graph.input(Shape::per_image(self.batch.images())?);
        self.given.push((y, labels.clone()));
        self.changing.push(y);
        Ok((x, y))
    }

    fn classified(&mut self, sources: Sources<'_>) -> Result<(Value, Value)> {
        self.pair(sources.classified)
    }

    fn contrastive(&mut self, sources: Sources<'_>) -> Result<(Value, Value)> {
        let none = || Error::mismatch("update", "no contrastive images", "their buffer");
        self.pair(sources.contrastive.ok_or_else(none)?)
    }

    /// With the statistics of all images of x.
    fn training_logits(&mut self, learner: &Learner, x: Value) -> Result<Value> {
        let mode = Mode::Training(&mut self.statistics);
        learner.model.logits(&mut self.graph, x, &self.weights, mode)
    }

    /// Two batches from one.
    fn split(&mut self, both: Value) -> Result<[Value; 2]> {
        let count = self.batch.images();
        let first = self.graph.push(Images { first: 0, count }, &[both])?;
        Ok([first, self.graph.push(Images { first: count, count }, &[both])?])
    }

    /// Mean over the batch.
    fn mean(&mut self, each: Value) -> Result<Value> {
        self.graph.push(Sum { scale: 1.0 / self.batch.images() as f32 }, &[each])
    }

    /// Mean over the batch.
    fn cross_entropy(&mut self, logits: Value, labels: Value, smoothing: f32) -> Result<Value> {
        let op = CrossEntropy { label_smoothing: smoothing };
        let each = self.graph.push(op, &[logits, labels])?;
        self.mean(each)
    }

    /// Adds a part of the loss.
    fn term(&mut self, term: Term, value: Value, weight: f32) -> Result<()> {
        self.terms.push((term, value));
        let part = match weight {
            1.0 => value,
            factor => self.graph.push(Scale { factor }, &[value])?,
        };
        self.loss = Some(match self.loss {
            None => part,
            Some(others) => self.graph.push(Add, &[others, part])?,
        });
        Ok(())
    }

    /// Adds the gradients of the loss, their sums in the learner, and the running statistics.
    async fn finish(
        self,
        learner: &Learner,
        logits: Value,
        joint: Option<Value>,
        real: Option<Value>,
    ) -> Result<Update> {
        let Self { mut graph, weights, mut given, mut changing, statistics, terms, loss, .. } =
            self;
        let parameters = learner.model.parameters();
        let names: Vec<_> = trained(&parameters).map(|parameter| &parameter.name).collect();
        let wanted: Vec<_> = names.iter().map(|name| weights.get(name)).collect::<Result<_>>()?;
        let loss = loss.ok_or_else(|| Error::mismatch("update", "no loss", "one"))?;
        let seed = graph.input(Shape::SCALAR);
        let gradients = ops::gradient(&mut graph, loss, seed, &wanted)?;
        statistics.into_iter().try_for_each(|update| update.push(&mut graph))?;
        let control = graph.input(Shape::vector(2)?);
        for (name, gradient) in names.into_iter().zip(gradients) {
            let sum = graph.input(graph.shape(gradient)?);
            given.push((sum, learner.gradients.buffer(name)?.clone()));
            graph.push_all(Accumulate, &[sum, gradient, control])?;
        }
        changing.push(control);
        let read = terms.iter().map(|(_, value)| *value).chain([logits]).chain(joint);
        let read: Vec<_> = read.collect();
        let gpu = learner.live.gpu();
        let mut program = program(gpu, &graph, &read, &changing, &given, true).await?;
        program.write(seed, &[1.0f32]).await?;
        Ok(Update { program, control, terms, logits, joint, real })
    }
}
