//! Builds the computation graph of each training objective's loss with its gradients. Graphs are pure data, so neither a GPU nor
//! a batch is needed to find out whether a network can be trained for an objective, and how much memory and work that takes.

use super::learner::trained;
use super::synchronise::{Joining, count_all, join_statistics};
use super::update::{Contrast, Dual, Score, Term};
use crate::graph::{Graph, Shape, Value};
use crate::model::{BatchSize, Mode, Network, RunningUpdate, Weights};
use crate::ops::{
    self, Accumulate, Add, BceWithLogits, Concat, CrossEntropy, ImageRange, LogSumExp, PickLogit,
    Reduce, Scale, Softmax, Sum, r1,
};
use crate::{Error, Result};

/// An input of the loss graph that comes from outside, other than weights.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    Classified,
    ClassifiedLabels,
    Contrastive,
    ContrastiveLabels,
    /// TRADES' images as they were before the attack.
    Clean,
    /// The buffer in which the gradients of a weight are summed.
    Sum(String),
}

/// A loss of a batch, or of a piece of one, and the gradients of all trained weights. Where the statistics of several pieces are
/// joined, their replays pause together.
#[derive(Debug)]
pub(super) struct Loss {
    pub graph: Graph,
    pub weights: Weights,
    pub given: Vec<(Value, Given)>,
    /// The graph's inputs that are written once, with their values.
    pub constants: Vec<(Value, Vec<f32>)>,
    /// The graph's inputs that change from run to run.
    pub changing: Vec<Value>,
    pub terms: Vec<(Term, Value)>,
    pub logits: Value,
    pub joint: Option<Value>,
    pub real: Option<Value>,
    /// The derivative of the loss, one of the constants: loss scaling writes another one.
    pub seed: Value,
    pub control: Value,
}

impl Loss {
    /// Builds the loss of [`Update::classifier`](super::Update::classifier).
    pub fn classifier(model: &Network, batch: BatchSize, joining: Joining) -> Result<Self> {
        let mut sketch = Sketch::new(model, batch, joining)?;
        let (x, labels) = sketch.classified()?;
        let logits = sketch.training_logits(model, x)?;
        let ce = sketch.cross_entropy(logits, labels, 0.0)?;
        sketch.term(Term::CrossEntropy, ce, 1.0)?;
        sketch.finish(model, logits, None, None)
    }

    /// Builds the loss of [`Update::frozen`](super::Update::frozen).
    pub fn frozen(model: &Network, batch: BatchSize) -> Result<Self> {
        let mut sketch = Sketch::new(model, batch, Joining::NONE)?;
        let (x, labels) = sketch.classified()?;
        let Sketch { graph, weights, .. } = &mut sketch;
        let logits = model.logits(graph, x, weights, Mode::Frozen)?;
        let ce = sketch.cross_entropy(logits, labels, 0.0)?;
        sketch.term(Term::CrossEntropy, ce, 1.0)?;
        sketch.finish(model, logits, None, None)
    }

    /// Builds the loss of [`Update::trades`](super::Update::trades).
    pub fn trades(model: &Network, batch: BatchSize, beta: f32, joining: Joining) -> Result<Self> {
        let mut sketch = Sketch::new(model, batch, joining)?;
        let (attacked, labels) = sketch.classified()?;
        let clean = sketch.images(Some(Given::Clean));
        let both = sketch.graph.push(Concat, &[clean, attacked])?;
        let both = sketch.training_logits(model, both)?;
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
        let each = graph.push(Reduce::PerImage, &[probabilities, difference])?;
        let divergence = sketch.mean(each)?;
        sketch.term(Term::CrossEntropy, ce, 1.0)?;
        sketch.term(Term::Divergence, divergence, beta)?;
        sketch.finish(model, attacked, None, None)
    }

    /// Builds the loss of [`Update::ratio`](super::Update::ratio).
    pub fn ratio(model: &Network, batch: BatchSize, weight: f32, joining: Joining) -> Result<Self> {
        let mut sketch = Sketch::new(model, batch, joining)?;
        let (x, labels) = sketch.classified()?;
        let (others, any_labels) = sketch.contrastive()?;
        let both = sketch.graph.push(Concat, &[x, others])?;
        let both = sketch.training_logits(model, both)?;
        let [logits, other_logits] = sketch.split(both)?;
        let ce = sketch.cross_entropy(logits, labels, 0.0)?;
        let uniform = sketch.cross_entropy(other_logits, any_labels, 1.0)?;
        sketch.term(Term::CrossEntropy, ce, 1.0)?;
        sketch.term(Term::Uniform, uniform, weight)?;
        sketch.finish(model, logits, None, None)
    }

    /// Builds the loss of [`Update::dual`](super::Update::dual).
    pub fn dual(model: &Network, batch: BatchSize, loss: Dual) -> Result<Self> {
        let mut sketch = Sketch::new(model, batch, Joining::NONE)?;
        let images = batch.images;
        let real = sketch.images(None);
        let (contrastive, labels) = sketch.contrastive()?;
        let (attacked, attacked_labels) = sketch.classified()?;
        let Sketch { graph, weights, .. } = &mut sketch;
        let all = graph.push(Concat, &[real, contrastive, attacked])?;
        let logits = model.logits(graph, all, weights, Mode::Frozen)?;
        let pair = graph.push(ImageRange { first: 0, count: 2 * images }, &[logits])?;
        let classified = graph.push(ImageRange { first: 2 * images, count: images }, &[logits])?;
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
                    [0, images].map(|first| ImageRange { first, count: images });
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
            let logits = model.logits(graph, real, weights, Mode::Frozen)?;
            let scores = score(graph, logits, labels)?;
            let seed = graph.input(graph.shape(scores)?);
            ones = Some(seed);
            let penalty = r1(graph, scores, seed, real)?;
            sketch.term(Term::R1, penalty, loss.r1)?;
        }
        let ones = ones.map(|ones| (ones, vec![1.0; images as usize]));
        let targets = targets.map(|targets| {
            let mut wanted = vec![1.0; images as usize];
            wanted.resize(2 * images as usize, 0.0);
            (targets, wanted)
        });
        sketch.constants.extend(ones.into_iter().chain(targets));
        sketch.finish(model, classified, Some(joint), Some(real))
    }

    /// Returns the graph's values that are read back after a run: loss terms, logits and, in stage 2, the labels' logits of real
    /// and contrastive images.
    pub fn wanted(&self) -> Vec<Value> {
        let terms = self.terms.iter().map(|(_, value)| *value);
        terms.chain([self.logits]).chain(self.joint).collect()
    }
}

/// A loss that is being made.
struct Sketch {
    graph: Graph,
    weights: Weights,
    given: Vec<(Value, Given)>,
    constants: Vec<(Value, Vec<f32>)>,
    changing: Vec<Value>,
    statistics: Vec<RunningUpdate>,
    terms: Vec<(Term, Value)>,
    loss: Option<Value>,
    batch: Shape,
    joining: Joining,
}

impl Sketch {
    fn new(model: &Network, batch: BatchSize, joining: Joining) -> Result<Self> {
        let mut graph = Graph::default();
        let weights = Weights::inputs(&mut graph, &model.parameters())?;
        let batch = batch.shape(model)?;
        // Between replays the optimiser changes them.
        let changing = weights.iter().map(|(_, value)| value).collect();
        let (given, constants) = (Vec::new(), Vec::new());
        let (statistics, terms) = (Vec::new(), Vec::new());
        let loss = None;
        Ok(Self {
            graph,
            weights,
            given,
            constants,
            changing,
            statistics,
            terms,
            loss,
            batch,
            joining,
        })
    }

    /// Adds a batch of images as an input; without `given` they are written before each step.
    fn images(&mut self, given: Option<Given>) -> Value {
        let x = self.graph.input(self.batch);
        self.given.extend(given.map(|given| (x, given)));
        self.changing.push(x);
        x
    }

    fn pair(&mut self, images: Given, labels: Given) -> Result<(Value, Value)> {
        let x = self.images(Some(images));
        let y = self.graph.input(Shape::per_image(self.batch.images())?);
        self.given.push((y, labels));
        self.changing.push(y);
        Ok((x, y))
    }

    fn classified(&mut self) -> Result<(Value, Value)> {
        self.pair(Given::Classified, Given::ClassifiedLabels)
    }

    fn contrastive(&mut self) -> Result<(Value, Value)> {
        self.pair(Given::Contrastive, Given::ContrastiveLabels)
    }

    /// Adds logits with the batch statistics of all images of x.
    fn training_logits(&mut self, model: &Network, x: Value) -> Result<Value> {
        let mode = Mode::Training(&mut self.statistics);
        model.logits(&mut self.graph, x, &self.weights, mode)
    }

    /// Splits a batch into two.
    fn split(&mut self, both: Value) -> Result<[Value; 2]> {
        let count = self.batch.images();
        let first = self.graph.push(ImageRange { first: 0, count }, &[both])?;
        Ok([first, self.graph.push(ImageRange { first: count, count }, &[both])?])
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

    /// Adds the gradients of the loss, their sums, and the running statistics.
    fn finish(
        self,
        model: &Network,
        logits: Value,
        joint: Option<Value>,
        real: Option<Value>,
    ) -> Result<Loss> {
        let Self { mut graph, weights, mut given, mut constants, mut changing, joining, .. } = self;
        let parameters = model.parameters();
        let names: Vec<_> = trained(&parameters).map(|parameter| &parameter.name).collect();
        let wanted: Vec<_> = names.iter().map(|name| weights.get(name)).collect::<Result<_>>()?;
        let loss = self.loss.ok_or_else(|| Error::bug("update", "the loss has no terms"))?;
        if joining.pieces > 1 {
            join_statistics(&mut graph)?;
        }
        let seed = graph.input(Shape::SCALAR);
        constants.push((seed, vec![1.0]));
        let gradients = ops::gradient(&mut graph, loss, seed, &wanted)?;
        if joining.leads {
            self.statistics.into_iter().try_for_each(|update| update.push(&mut graph))?;
            count_all(&mut graph, joining.pieces);
        }
        let control = graph.input(Shape::vector(2)?);
        for (name, gradient) in names.into_iter().zip(gradients) {
            let sum = graph.input(graph.shape(gradient)?);
            given.push((sum, Given::Sum(name.clone())));
            graph.push_all(Accumulate, &[sum, gradient, control])?;
        }
        changing.push(control);
        let terms = self.terms;
        Ok(Loss {
            graph,
            weights,
            given,
            constants,
            changing,
            terms,
            logits,
            joint,
            real,
            seed,
            control,
        })
    }
}
