//! Targeted FAB (Croce and Hein 2020, arXiv 1907.02044): the nearest image of another class, looked for along the boundary
//! between the label's class and a target's. It knows no ball.

use super::forward::{Batch, Forward, buffers, check_radius};
use super::{Attack, Found, Objective, Start, program};
use crate::Result;
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Program, Shape, Summary};
use crate::model::{BatchSize, DeviceWeights, Mode, Model};
use crate::ops::{Copy, FabJudge, FabStep, Fill, Norm};

/// Settings of an attack; see [`FabStep`] and [`FabJudge`] for the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fab {
    /// Of the distance.
    pub norm: Norm,
    /// Within what distance a find counts; infinite for any. The search is the same.
    pub eps: f32,
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
    pub fn new(norm: Norm, eps: f32) -> Self {
        Self { norm, eps, steps: 100, alpha_max: 0.1, eta: 1.05, beta: 0.9 }
    }
}

impl Default for Fab {
    /// The reference's, for finds at any L2 distance.
    fn default() -> Self {
        Self::new(Norm::L2, f32::INFINITY)
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
    /// For batches of this size. `optimise`: see [`program`].
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Fab,
        optimise: bool,
    ) -> Result<Self> {
        check_radius(settings.norm, settings.eps, size.words(model)?)?;
        let gpu = weights.gpu();
        let objective = Objective::MarginTargeted;
        let batch = Batch::new(gpu, model, size, objective).await?;
        let images = size.images;
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

    /// How near the nearest misnamed iterate of each image is; 1e10 where none was misnamed.
    pub async fn distances(&self) -> Result<Vec<f32>> {
        self.batch.read_numbers(&self.distance).await
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Fab {
        &self.settings
    }
}

impl Attack for FabAttack {
    /// The images are named rightly, and the targets are the classes whose boundary is looked for. Err, too, for a start
    /// apart from the images.
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        start.begins_at_images("fab")?;
        self.batch.write(start).await?;
        self.reset.submit().await
    }

    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.step.run(steps, progress).await
    }

    /// The nearest misnamed iterate of each image; where none was misnamed, the image.
    async fn images(&self) -> Result<Vec<f32>> {
        self.batch.read(&self.nearest).await
    }

    async fn found(&self) -> Result<Found> {
        let distances = self.distances().await?;
        let within = distances.iter().map(|&distance| distance <= self.settings.eps).collect();
        Ok(Found { images: self.images().await?, within, flat: 0 })
    }

    async fn done(&self) -> Result<bool> {
        let nearest = self.settings.eps.min(NOTHING_FOUND / 2.0);
        Ok(self.distances().await?.iter().all(|&distance| distance <= nearest))
    }

    async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
        self.step.profile(repetitions).await
    }

    fn steps(&self) -> u32 {
        self.settings.steps
    }

    fn image_buffer(&self) -> &Buffer {
        &self.nearest
    }

    fn label_buffer(&self) -> &Buffer {
        &self.batch.labels
    }

    fn summary(&self) -> &Summary {
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
