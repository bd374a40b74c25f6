//! The attack Square (Andriushchenko and others 2020, arXiv 1912.00049): searches for a misclassified image by random changes
//! within a ball. It needs no gradient, and one forward pass for each candidate.

use super::draws::Draws;
use super::forward::{Batch, Forward, buffers, check_radius, within};
use super::{Attack, Found, Objective, Start};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Summary};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::{Fill, Norm, SquareStart, SquareStep, square_state};

/// Settings of the attack Square, which searches for a misclassified image by changing random squares, without gradients. The
/// first squares cover 0.8 of an image's area. [`SquareStart`] makes the first candidates, [`SquareStep`] the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Square {
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball around each image that the attack stays in; finite.
    pub eps: f32,
    /// The number of candidates that are tried for each image after the first candidate; AutoAttack takes 5,000.
    pub queries: u32,
}

impl Default for Square {
    /// AutoAttack's 5,000 candidates in the L2 ball of radius 0.5.
    fn default() -> Self {
        Self { norm: Norm::L2, eps: 0.5, queries: 5000 }
    }
}

/// Runs the Square attack on batches of one size, ready on a device. A step judges one candidate for each image; it needs no
/// read-back and no new buffers.
#[derive(Debug)]
pub struct SquareAttack {
    settings: Square,
    /// Candidates judged since the start.
    judged: u32,
    /// The candidates are this batch's images.
    batch: Batch,
    draws: Draws,
    best: Buffer,
    state: Buffer,
    step: Program,
    start: Program,
}

impl SquareAttack {
    /// Prepares the attack for a network and batches of one size.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Square,
    ) -> Result<Self> {
        check_radius(settings.norm, settings.eps, size.words(model)?)?;
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, size, Objective::Margin).await?;
        let images = size.images;
        let state_shape = square_state(images)?;
        let [best, state] = buffers(gpu, [batch.shape.elements(), state_shape.elements()]).await?;
        let draws = Draws::new(gpu, images).await?;

        let mut graph = Graph::default();
        let forward = Forward::frozen(&mut graph, model, &batch, Objective::Margin)?;
        let (best_value, state_value) = (graph.input(batch.shape), graph.input(state_shape));
        let (ids, control) = draws.inputs(&mut graph)?;
        let Square { norm, eps, queries } = settings;
        let (x, origin, margin) = (forward.x, forward.origin, forward.objective);
        let step = SquareStep { norm, eps, queries };
        graph.push_all(step, &[x, best_value, origin, margin, ids, control, state_value])?;
        let mut given = forward.given(&batch, weights)?;
        given.push((best_value, best.clone()));
        given.push((state_value, state.clone()));
        given.extend(draws.given(ids, control));
        let changing = [&forward.changing()[..], &[ids, control]].concat();
        let step = Program::new(gpu, &graph, &[], &changing, &given).await?;
        let start = start(gpu, &batch, &draws, &state, settings).await?;
        Ok(Self { settings, judged: 0, batch, draws, best, state, step, start })
    }

    /// Returns the best margin of each image, the largest other logit minus the label's. An image whose margin is 0 or more is
    /// misclassified, and is not changed any further.
    pub async fn margins(&self) -> Result<Vec<f32>> {
        let state = self.batch.gpu.read(&self.state).await?;
        Ok(state.into_iter().step_by(2).take(self.batch.count).collect())
    }

    /// Returns the candidate that is judged next for each image, NCHW.
    pub async fn candidates(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.batch.images).await
    }

    /// Returns the settings that the attack was made with.
    pub fn settings(&self) -> &Square {
        &self.settings
    }
}

impl Attack for SquareAttack {
    /// The first candidates are the same for the same seed, stream and image's id, wherever it lies. Err for a start apart
    /// from the images.
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        start.begins_at_images("square")?;
        self.batch.write(start).await?;
        self.draws.write(start).await?;
        self.judged = 0;
        self.start.submit().await
    }

    /// Err, too, for more steps than remain of the settings' number, which the squares' sizes depend on.
    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.judged = within("square", self.judged, steps, self.steps())?;
        self.step.run(steps, progress).await
    }

    /// Returns the best candidates.
    async fn images(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.best).await
    }

    async fn found(&self) -> Result<Found> {
        let images = self.images().await?;
        Ok(Found { images, within: vec![true; self.batch.count], flat: 0 })
    }

    async fn done(&self) -> Result<bool> {
        Ok(self.margins().await?.iter().all(|&margin| margin >= 0.0))
    }

    async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
        self.step.profile(repetitions).await
    }

    /// The settings' queries, and one for the first candidates.
    fn steps(&self) -> u32 {
        self.settings.queries + 1
    }

    fn image_buffer(&self) -> &Buffer {
        &self.best
    }

    fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    fn summary(&self) -> &Summary {
        self.step.summary()
    }
}

/// First candidates, nothing judged.
async fn start(
    gpu: &Gpu,
    batch: &Batch,
    draws: &Draws,
    state: &Buffer,
    settings: Square,
) -> Result<Program> {
    let mut graph = Graph::default();
    let [x, origin] = [(); 2].map(|()| graph.input(batch.shape));
    let words = graph.input(square_state(batch.shape.images())?);
    let (ids, control) = draws.inputs(&mut graph)?;
    let op = SquareStart { norm: settings.norm, eps: settings.eps };
    graph.push_all(op, &[x, origin, ids, control])?;
    graph.push_all(Fill { value: 0.0 }, &[words])?;
    let mut given =
        vec![(x, batch.images.clone()), (origin, batch.origin.clone()), (words, state.clone())];
    given.extend(draws.given(ids, control));
    Program::plain(gpu, &graph, &[], &[origin, ids, control], &given).await
}
