//! APGD (Croce and Hein 2020, arXiv 2003.01690): projected gradient steps with momentum whose length halves where they no
//! longer lead up, and which then go on from the best iterate.

use super::draws::Draws;
use super::forward::{Batch, Forward, buffers};
use super::{Objective, program};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Program, Summary};
use crate::model::{DeviceWeights, Mode, Model};
use crate::ops::{ApgdJudge, ApgdState, ApgdStep, BoundaryStart, Copy, Fill, Norm, apgd_state};

/// Settings of an attack; see [`ApgdStep`] and [`ApgdJudge`] for the formulas. The first checkpoint is after 0.22 of the
/// steps, each next one after 0.03 of them fewer, at least 0.06; the first steps are as long as the ball is wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apgd {
    /// Of step and ball.
    pub norm: Norm,
    /// Radius of the ball around the images; finite.
    pub eps: f32,
    /// AutoAttack's are 100.
    pub steps: u32,
    /// What is climbed: the reference has the cross-entropy and both forms of the DLR.
    pub objective: Objective,
    /// Share of steps between two checkpoints that are to raise the loss; the reference's is 0.75.
    pub rho: f32,
}

impl Apgd {
    /// With AutoAttack's 100 steps and rho 0.75.
    pub fn new(norm: Norm, eps: f32, objective: Objective) -> Self {
        Self { norm, eps, steps: 100, objective, rho: 0.75 }
    }

    fn judge(&self) -> ApgdJudge {
        // Truncated, as in the reference; in f64, where 0.06 of 50 is 3.
        let part = |share: f64| ((share * f64::from(self.steps)) as u32).max(1);
        let (period, least, less) = (part(0.22), part(0.06), part(0.03));
        ApgdJudge { period, least, less, rho: self.rho, step_size: 2.0 * self.eps }
    }
}

/// An attack on batches of one size, made ready on a device. A step reads nothing back and makes nothing new: step
/// lengths, counters, best and misnamed iterates of each image are kept on the device.
#[derive(Debug)]
pub struct ApgdAttack {
    settings: Apgd,
    batch: Batch,
    draws: Draws,
    kept: Kept,
    /// Judges the images, then moves them.
    step: Program,
    /// Judges what the last step made.
    last: Program,
    /// Random starts.
    start: Program,
    /// What is kept from what was never judged.
    reset: Program,
}

/// State besides the images.
#[derive(Debug)]
struct Kept {
    previous: Buffer,
    best: Buffer,
    wrong: Buffer,
    best_gradient: Buffer,
    state: Buffer,
}

impl ApgdAttack {
    /// Of `images` images of `side` by `side` pixels. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [images, side]: [u32; 2],
        settings: Apgd,
        optimise: bool,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, [images, side], settings.objective).await?;
        // A sum for all objectives, as in the reference: next to 1e-12 a mean would matter.
        gpu.write(&batch.seed, &vec![1.0f32; images as usize]).await?;
        let words = batch.shape.elements();
        let [previous, best, wrong, best_gradient, state] =
            buffers(gpu, [words, words, words, words, apgd_state(images)?.elements()]).await?;
        let kept = Kept { previous, best, wrong, best_gradient, state };
        let draws = Draws::new(gpu, images).await?;
        let step = judge(model, weights, &batch, &kept, settings, true, optimise).await?;
        let last = judge(model, weights, &batch, &kept, settings, false, optimise).await?;
        let start = start(gpu, &batch, &draws, settings).await?;
        let reset = reset(gpu, &batch, &kept).await?;
        Ok(Self { settings, batch, draws, kept, step, last, start, reset })
    }

    /// Sets the images, NCHW in \[0, 1\], their labels, and the target classes of targeted objectives (else anything), and
    /// starts at random points of the balls' surfaces: the same for the same seed, stream and image's id. Err for other
    /// numbers than the attack was made for.
    pub async fn start(
        &self,
        images: &[f32],
        [labels, targets, ids]: [&[u32]; 3],
        (seed, stream): (u64, u32),
    ) -> Result<()> {
        self.batch.write(images, labels).await?;
        self.batch.gpu.write(&self.batch.targets, targets).await?;
        self.draws.write(ids, seed, stream).await?;
        self.start.submit().await?;
        self.reset.submit().await
    }

    /// The same from `start` instead of random points.
    pub async fn start_from(
        &self,
        start: &[f32],
        images: &[f32],
        [labels, targets]: [&[u32]; 2],
    ) -> Result<()> {
        self.batch.write(images, labels).await?;
        self.batch.gpu.write(&self.batch.targets, targets).await?;
        self.batch.gpu.write(&self.batch.images, start).await?;
        self.reset.submit().await
    }

    /// Takes steps in submissions of about 100 ms and then judges the last iterate, if `to_the_end`; `progress` is told
    /// how many are done after each submission and may stop by an error.
    pub async fn run(
        &self,
        steps: u32,
        to_the_end: bool,
        progress: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        self.step.run(steps, progress).await?;
        if to_the_end { self.last.submit().await } else { Ok(()) }
    }

    /// The images as the last step left them.
    pub async fn iterates(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.batch.images).await
    }

    /// The iterate of highest loss of each image.
    pub async fn best(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.kept.best).await
    }

    /// What is known of each image.
    pub async fn states(&self) -> Result<Vec<ApgdState>> {
        Ok(ApgdState::read(&self.batch.gpu.read(&self.kept.state).await?))
    }

    /// The last misnamed iterate of each image, where none was its start; and what is known of each image.
    pub async fn found(&self) -> Result<(Vec<f32>, Vec<ApgdState>)> {
        let read = self.batch.gpu.read_all(&[&self.kept.wrong, &self.kept.state]).await?;
        let mut read = read.into_iter();
        let (images, state) = (read.next(), read.next());
        Ok((images.unwrap_or_default(), ApgdState::read(&state.unwrap_or_default())))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Apgd {
        &self.settings
    }

    /// GPU time of each launch of a step. Err without timestamps.
    pub async fn profile(&self, repetitions: u32) -> Result<Vec<Timing>> {
        self.step.profile(repetitions).await
    }

    /// What a step costs.
    pub fn summary(&self) -> &Summary {
        self.step.summary()
    }
}

/// Notes what the images come to, and moves them if `steps`.
async fn judge(
    model: &dyn Model,
    weights: &DeviceWeights,
    batch: &Batch,
    kept: &Kept,
    settings: Apgd,
    steps: bool,
    optimise: bool,
) -> Result<Program> {
    let mut graph = Graph::default();
    let forward = Forward::new(&mut graph, model, batch, settings.objective, Mode::Frozen)?;
    let margin = forward.margin(&mut graph)?;
    let [previous, best, wrong, best_gradient] = [(); 4].map(|()| graph.input(batch.shape));
    let state = graph.input(apgd_state(batch.shape.images())?);
    // No step follows the last judgement, so the gradient there is of no use: any images do.
    let gradient = if steps { forward.image_gradient(&mut graph)? } else { forward.origin };
    let (x, loss) = (forward.x, forward.objective);
    graph.push_all(
        settings.judge(),
        &[x, gradient, loss, margin, best, wrong, best_gradient, state],
    )?;
    if steps {
        let op = ApgdStep { norm: settings.norm, eps: settings.eps };
        graph.push_all(op, &[x, previous, gradient, best_gradient, forward.origin, state])?;
    }
    let mut given = forward.given(batch, weights)?;
    given.extend(kept.given([previous, best, wrong, best_gradient, state]));
    program(weights.gpu(), &graph, &[], &forward.changing(), &given, optimise).await
}

impl Kept {
    fn given(&self, values: [crate::graph::Value; 5]) -> [(crate::graph::Value, Buffer); 5] {
        let Self { previous, best, wrong, best_gradient, state } = self;
        let mut buffers = [previous, best, wrong, best_gradient, state].into_iter();
        values.map(|value| (value, buffers.next().unwrap_or(state).clone()))
    }
}

async fn start(gpu: &Gpu, batch: &Batch, draws: &Draws, settings: Apgd) -> Result<Program> {
    let mut graph = Graph::default();
    let [x, origin] = [(); 2].map(|()| graph.input(batch.shape));
    let (ids, control) = draws.inputs(&mut graph)?;
    let op = BoundaryStart { norm: settings.norm, eps: settings.eps };
    graph.push_all(op, &[x, origin, ids, control])?;
    let mut given = vec![(x, batch.images.clone()), (origin, batch.origin.clone())];
    given.extend(draws.given(ids, control));
    program(gpu, &graph, &[], &[origin, ids, control], &given, false).await
}

/// No step before the first, nothing judged.
async fn reset(gpu: &Gpu, batch: &Batch, kept: &Kept) -> Result<Program> {
    let mut graph = Graph::default();
    let [x, previous] = [(); 2].map(|()| graph.input(batch.shape));
    let state = graph.input(apgd_state(batch.shape.images())?);
    graph.push_all(Copy, &[x, previous])?;
    graph.push_all(Fill { value: 0.0 }, &[state])?;
    let given =
        [(x, batch.images.clone()), (previous, kept.previous.clone()), (state, kept.state.clone())];
    program(gpu, &graph, &[], &[x], &given, false).await
}
