//! Square (Andriushchenko and others 2020, arXiv 1912.00049): a random search that needs no gradient, one pass a candidate.

use super::draws::Draws;
use super::forward::{Batch, Forward, buffers};
use super::{Objective, program};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Program, Summary};
use crate::model::{DeviceWeights, Mode, Model};
use crate::ops::{Fill, Norm, SquareStart, SquareStep, square_state};

/// Settings of an attack; see [`SquareStart`] and [`SquareStep`] for what is done. The first squares take 0.8 of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Square {
    /// Of the ball.
    pub norm: Norm,
    /// Radius of the ball around the images; finite.
    pub eps: f32,
    /// Candidates after the first; AutoAttack's are 5,000.
    pub queries: u32,
}

/// An attack on batches of one size, made ready on a device. A candidate reads nothing back and makes nothing new.
#[derive(Debug)]
pub struct SquareAttack {
    settings: Square,
    /// Its images are the candidates.
    batch: Batch,
    draws: Draws,
    best: Buffer,
    state: Buffer,
    step: Program,
    start: Program,
}

impl SquareAttack {
    /// Of `images` images of `side` by `side` pixels. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [images, side]: [u32; 2],
        settings: Square,
        optimise: bool,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, [images, side], Objective::Margin).await?;
        let state_shape = square_state(images)?;
        let [best, state] = buffers(gpu, [batch.shape.elements(), state_shape.elements()]).await?;
        let draws = Draws::new(gpu, images).await?;

        let mut graph = Graph::default();
        let forward = Forward::new(&mut graph, model, &batch, Objective::Margin, Mode::Frozen)?;
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
        let step = program(gpu, &graph, &[], &changing, &given, optimise).await?;
        let start = start(gpu, &batch, &draws, &state, settings).await?;
        Ok(Self { settings, batch, draws, best, state, step, start })
    }

    /// Sets the images, NCHW in \[0, 1\], and their labels, and makes the first candidates: the same for the same seed,
    /// stream and image's id, wherever it lies. Err for other numbers than the attack was made for.
    pub async fn start(
        &self,
        images: &[f32],
        [labels, ids]: [&[u32]; 2],
        (seed, stream): (u64, u32),
    ) -> Result<()> {
        self.batch.write(images, labels).await?;
        self.draws.write(ids, seed, stream).await?;
        self.start.submit().await
    }

    /// Judges so many candidates in submissions of about 100 ms: the settings' queries and one for all of them. `progress`
    /// is told how many are done after each and may stop by an error.
    pub async fn run(
        &self,
        candidates: u32,
        progress: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        self.step.run(candidates, progress).await
    }

    /// The best margin of each image: it is misnamed from 0 on, and stays as it is from then on.
    pub async fn margins(&self) -> Result<Vec<f32>> {
        Ok(self.batch.gpu.read(&self.state).await?.into_iter().step_by(2).collect())
    }

    /// The best candidate of each image.
    pub async fn found(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.best).await
    }

    /// The candidates to be judged next.
    pub async fn candidates(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.batch.images).await
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Square {
        &self.settings
    }

    /// GPU time of each launch of a candidate. Err without timestamps.
    pub async fn profile(&self, repetitions: u32) -> Result<Vec<Timing>> {
        self.step.profile(repetitions).await
    }

    /// What a candidate costs.
    pub fn summary(&self) -> &Summary {
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
    program(gpu, &graph, &[], &[origin, ids, control], &given, false).await
}
