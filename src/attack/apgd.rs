//! APGD (Croce and Hein 2020, arXiv 2003.01690): an attack by projected gradient steps with momentum. Where steps no longer raise
//! the objective often enough, the step length is halved and the attack goes on from the best iterate.

use super::draws::Draws;
use super::forward::{Batch, Forward, buffers, check_radius, within};
use super::{Attack, Found, Objective, Start};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Summary};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::{ApgdJudge, ApgdState, ApgdStep, BoundaryStart, Copy, Fill, Norm, apgd_state};

/// Settings of the attack APGD (Auto-PGD); see [`ApgdStep`] and [`ApgdJudge`] for the formulas. The first checkpoint, at which the
/// step length may be halved, is after 0.22 of the steps. Each period between checkpoints is shorter than the one before by 0.03 of
/// the steps, and at least 0.06 of them. The first steps have the length 2 `eps`, the width of the ball.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apgd {
    /// The norm in which the length of a step and the radius of the ball are measured.
    pub norm: Norm,
    /// The radius of the ball around each image that the attack stays in; finite.
    pub eps: f32,
    /// The number of steps; AutoAttack takes 100.
    pub steps: u32,
    /// The objective to maximise: AutoAttack uses the cross-entropy and the difference of logits ratio, targeted or not.
    pub objective: Objective,
    /// A checkpoint halves the step length if at most this share of the steps since the checkpoint before raised the loss;
    /// AutoAttack takes 0.75.
    pub rho: f32,
}

impl Apgd {
    /// Makes settings with AutoAttack's 100 steps and rho 0.75.
    pub fn new(norm: Norm, eps: f32, objective: Objective) -> Self {
        Self { norm, eps, steps: 100, objective, rho: 0.75 }
    }

    fn judge(&self) -> ApgdJudge {
        // Truncated, as in AutoAttack's code; in f64, where 0.06 of 50 is 3.
        let part = |share: f64| ((share * f64::from(self.steps)) as u32).max(1);
        let (period, least, less) = (part(0.22), part(0.06), part(0.03));
        ApgdJudge { period, least, less, rho: self.rho, step_size: 2.0 * self.eps }
    }
}

impl Default for Apgd {
    /// The settings of AutoAttack's first attack, in the L2 ball of radius 0.5.
    fn default() -> Self {
        Self::new(Norm::L2, 0.5, Objective::CrossEntropy)
    }
}

/// Runs APGD on batches of one size, ready on a device. A step needs no read-back and no new buffers: step lengths, counters,
/// best and misclassified iterates of each image are kept on the device.
#[derive(Debug)]
pub struct ApgdAttack {
    settings: Apgd,
    /// Steps since the start.
    taken: u32,
    batch: Batch,
    draws: Draws,
    kept: Kept,
    /// Judges the images, then moves them.
    step: Program,
    /// Judges what the last step made.
    last: Program,
    /// Moves the images to random starts.
    start: Program,
    /// Clears the state of earlier images.
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
    /// Prepares the attack for a network and batches of one size.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Apgd,
    ) -> Result<Self> {
        check_radius(settings.norm, settings.eps, size.words(model)?)?;
        let gpu = weights.gpu();
        let batch = Batch::new(gpu, model, size, settings.objective).await?;
        let images = size.images;
        // A sum for all objectives, as in AutoAttack's code: next to 1e-12 a mean would matter.
        gpu.write(&batch.seed, &vec![1.0f32; images as usize]).await?;
        let words = batch.shape.elements();
        let [previous, best, wrong, best_gradient, state] =
            buffers(gpu, [words, words, words, words, apgd_state(images)?.elements()]).await?;
        let kept = Kept { previous, best, wrong, best_gradient, state };
        let draws = Draws::new(gpu, images).await?;
        let step = judge(model, weights, &batch, &kept, settings, true).await?;
        let last = judge(model, weights, &batch, &kept, settings, false).await?;
        let start = start(gpu, &batch, &draws, settings).await?;
        let reset = reset(gpu, &batch, &kept).await?;
        Ok(Self { settings, taken: 0, batch, draws, kept, step, last, start, reset })
    }

    /// Takes `steps` steps of the attack. Each step first judges the iterate that it starts from: whether its loss is the highest
    /// so far, and whether it is misclassified. The iterate that the last step makes is not judged yet.
    pub async fn advance(
        &mut self,
        steps: u32,
        progress: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        self.taken = within("apgd", self.taken, steps, self.settings.steps)?;
        self.step.run(steps, progress).await
    }

    /// Judges the iterate that the last step made: whether its loss is the highest so far, and whether it is misclassified. To be
    /// called once, after the last step.
    pub async fn judge(&mut self) -> Result<()> {
        self.last.submit().await
    }

    /// Returns the images as the last step left them.
    pub async fn iterates(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.batch.images).await
    }

    /// Returns the iterate of highest loss of each image.
    pub async fn best(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.kept.best).await
    }

    /// Returns what APGD records of each image: the best and the last loss, the step size, whether an iterate was misclassified,
    /// and whether the gradient at the start was 0.
    pub async fn states(&self) -> Result<Vec<ApgdState>> {
        let mut states = ApgdState::read(&self.batch.gpu.read(&self.kept.state).await?);
        states.truncate(self.batch.count);
        Ok(states)
    }

    /// Returns the settings that the attack was made with.
    pub fn settings(&self) -> &Apgd {
        &self.settings
    }
}

impl Attack for ApgdAttack {
    /// Begins at random points of the balls' surfaces, the same for the same seed, stream and image's id, unless told where
    /// to begin.
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        self.batch.write(start).await?;
        match start.from {
            Some(_) => self.batch.write_from(start).await?,
            None => {
                self.draws.write(start).await?;
                self.start.submit().await?;
            }
        }
        self.taken = 0;
        self.reset.submit().await
    }

    /// Takes steps as [`Attack::run`] does, and judges the last iterate after the settings' last step. Err, too, for more
    /// steps than remain of the settings' number, which the step lengths depend on.
    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.advance(steps, progress).await?;
        let last = steps > 0 && self.taken == self.settings.steps;
        if last { self.judge().await } else { Ok(()) }
    }

    /// The last misclassified iterate of each image; where none was, its start.
    async fn images(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.kept.wrong).await
    }

    async fn found(&self) -> Result<Found> {
        let (images, states) = (self.images().await?, self.states().await?);
        let flat = states.iter().filter(|state| state.flat).count();
        Ok(Found { images, within: vec![true; self.batch.count], flat })
    }

    async fn done(&self) -> Result<bool> {
        Ok(self.states().await?.iter().all(|state| state.fooled))
    }

    async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
        self.step.profile(repetitions).await
    }

    fn steps(&self) -> u32 {
        self.settings.steps
    }

    fn image_buffer(&self) -> &Buffer {
        &self.kept.wrong
    }

    fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    fn summary(&self) -> &Summary {
        self.step.summary()
    }
}

/// Makes the program that judges the current images, and then takes a step if `steps`.
async fn judge(
    model: &dyn Model,
    weights: &DeviceWeights,
    batch: &Batch,
    kept: &Kept,
    settings: Apgd,
    steps: bool,
) -> Result<Program> {
    let mut graph = Graph::default();
    let forward = Forward::frozen(&mut graph, model, batch, settings.objective)?;
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
    Program::new(weights.gpu(), &graph, &[], &forward.changing(), &given).await
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
    Program::plain(gpu, &graph, &[], &[origin, ids, control], &given).await
}

/// Makes a program that sets the state to what it is before the first step.
async fn reset(gpu: &Gpu, batch: &Batch, kept: &Kept) -> Result<Program> {
    let mut graph = Graph::default();
    let [x, previous] = [(); 2].map(|()| graph.input(batch.shape));
    let state = graph.input(apgd_state(batch.shape.images())?);
    graph.push_all(Copy, &[x, previous])?;
    graph.push_all(Fill { value: 0.0 }, &[state])?;
    let given =
        [(x, batch.images.clone()), (previous, kept.previous.clone()), (state, kept.state.clone())];
    Program::plain(gpu, &graph, &[], &[x], &given).await
}
