//! Targeted FAB (Croce and Hein 2020, arXiv 1907.02044): the nearest image of another class, looked for along the boundary
//! between the label's class and a target's. It knows no ball.

use super::forward::{Batch, Forward, buffers};
use super::{Objective, program};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Program, Shape, Summary};
use crate::model::{DeviceWeights, Mode, Model};
use crate::ops::{Copy, FabJudge, FabStep, Fill, Norm};

/// Settings of an attack; see [`FabStep`] and [`FabJudge`] for the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fab {
    /// Of the distance.
    pub norm: Norm,
    /// AutoAttack's are 100.
    pub steps: u32,
    /// Greatest part that is taken of the way from the image instead of from the iterate.
    pub alpha_max: f32,
    /// How far beyond the boundary.
    pub eta: f32,
    /// How much of the distance stays where an iterate is misnamed.
    pub beta: f32,
}

impl Fab {
    /// With the reference's 100 steps, 0.1, 1.05 and 0.9.
    pub fn new(norm: Norm) -> Self {
        Self { norm, steps: 100, alpha_max: 0.1, eta: 1.05, beta: 0.9 }
    }
}

/// What no image is as far away as.
const NOTHING_FOUND: f32 = 1e10;

/// An attack on batches of one size, made ready on a device. A step, which goes through the network with its gradient and
/// once more without, reads nothing back and makes nothing new.
#[derive(Debug)]
pub struct FabAttack {
    settings: Fab,
    batch: Batch,
    nearest: Buffer,
    distance: Buffer,
    step: Program,
    reset: Program,
}

impl FabAttack {
    /// Of `images` images of `side` by `side` pixels. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        [images, side]: [u32; 2],
        settings: Fab,
        optimise: bool,
    ) -> Result<Self> {
        let gpu = weights.gpu();
        let objective = Objective::MarginTargeted;
        let batch = Batch::new(gpu, model, [images, side], objective).await?;
        let [nearest, distance] = buffers(gpu, [batch.shape.elements(), images]).await?;

        let mut graph = Graph::default();
        let forward = Forward::new(&mut graph, model, &batch, objective, Mode::Frozen)?;
        let gradient = forward.image_gradient(&mut graph)?;
        let Fab { norm, alpha_max, eta, beta, .. } = settings;
        let (x, origin) = (forward.x, forward.origin);
        graph.push_all(
            FabStep { norm, alpha_max, eta },
            &[x, origin, gradient, forward.objective],
        )?;
        let margin = forward.margin_again(&mut graph, model)?;
        let nearest_value = graph.input(batch.shape);
        let distance_value = graph.input(Shape::per_image(images)?);
        let judged = [x, origin, margin, nearest_value, distance_value];
        graph.push_all(FabJudge { norm, beta }, &judged)?;
        let mut given = forward.given(&batch, weights)?;
        given.push((nearest_value, nearest.clone()));
        given.push((distance_value, distance.clone()));
        let step = program(gpu, &graph, &[], &forward.changing(), &given, optimise).await?;
        let reset = reset(gpu, &batch, [&nearest, &distance]).await?;
        Ok(Self { settings, batch, nearest, distance, step, reset })
    }

    /// Sets the images, NCHW in \[0, 1\] and named rightly, their labels, and the classes whose boundary is looked for. Err
    /// for other numbers than the attack was made for.
    pub async fn start(&self, images: &[f32], [labels, targets]: [&[u32]; 2]) -> Result<()> {
        self.batch.write(images, labels).await?;
        self.batch.gpu.write(&self.batch.targets, targets).await?;
        self.reset.submit().await
    }

    /// Takes steps in submissions of about 100 ms; `progress` is told how many are done after each and may stop by an
    /// error.
    pub async fn run(&self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.step.run(steps, progress).await
    }

    /// How near the nearest misnamed iterate of each image is; 1e10 where none was misnamed.
    pub async fn distances(&self) -> Result<Vec<f32>> {
        self.batch.gpu.read(&self.distance).await
    }

    /// The nearest misnamed iterate of each image and its distance; where none was misnamed, the image and a distance of
    /// 1e10.
    pub async fn found(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let read = self.batch.gpu.read_all(&[&self.nearest, &self.distance]).await?;
        let mut read = read.into_iter();
        Ok((read.next().unwrap_or_default(), read.next().unwrap_or_default()))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Fab {
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

/// Images and nearest ones from their origin, nothing found.
async fn reset(gpu: &Gpu, batch: &Batch, [nearest, distance]: [&Buffer; 2]) -> Result<Program> {
    let mut graph = Graph::default();
    let [origin, x, near] = [(); 3].map(|()| graph.input(batch.shape));
    let far = graph.input(Shape::per_image(batch.shape.images())?);
    graph.push_all(Copy, &[origin, x])?;
    graph.push_all(Copy, &[origin, near])?;
    graph.push_all(Fill { value: NOTHING_FOUND }, &[far])?;
    let given = [
        (origin, batch.origin.clone()),
        (x, batch.images.clone()),
        (near, nearest.clone()),
        (far, distance.clone()),
    ];
    program(gpu, &graph, &[], &[origin], &given, false).await
}
