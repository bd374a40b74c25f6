//! The attack FAB (Croce and Hein 2020, arXiv 1907.02044): searches for the nearest image of another class, along the boundary
//! between the label's class and another one. It has no fixed radius.

use super::forward::{Batch, Forward, buffers, check_radius};
use super::{Attack, Found, Objective, Start};
use crate::gpu::{Buffer, Gpu, Timing};
use crate::graph::{Graph, Shape, Summary};
use crate::lower::Program;
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::{Copy, FabJudge, FabNearest, FabStep, Fill, Norm};
use crate::{Error, Result};

/// The class boundary that the attack FAB walks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Boundary {
    /// The boundary to the target class, which needs one gradient for each step: AutoAttack's fab-t.
    #[default]
    Target,
    /// The nearest boundary of all other classes, searched in each step with each boundary taken for linear. It needs a gradient
    /// in each step for every other class, of which there may be at most 99. It is the algorithm of FAB's paper, and AutoAttack's
    /// fab.
    Nearest,
}

/// Classes of a network, at most, for [`Boundary::Nearest`].
const MOST_CLASSES: u32 = 100;

/// Settings of the attack FAB, which searches the nearest misclassified image; see [`FabStep`] and [`FabJudge`] for the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fab {
    /// The norm in which the distance to the original image is measured.
    pub norm: Norm,
    /// Which class boundary the attack's steps go to.
    pub boundary: Boundary,
    /// The distance within which a misclassified image counts as a success; infinite for any distance. It does not change the
    /// search, which has no bound.
    pub eps: f32,
    /// The number of steps; AutoAttack takes 100.
    pub steps: u32,
    /// The largest weight of the boundary point nearest to the original image. A step goes to the weighted mean of this point and
    /// of the boundary point nearest to the iterate.
    pub alpha_max: f32,
    /// The factor that multiplies the move to the boundary; above 1 a step ends beyond the boundary.
    pub eta: f32,
    /// The factor by which a misclassified iterate's distance from the original image is multiplied before the next step.
    pub beta: f32,
}

impl Fab {
    /// Makes settings with AutoAttack's 100 steps, `alpha_max` 0.1, eta 1.05 and beta 0.9.
    pub fn new(norm: Norm, eps: f32) -> Self {
        let boundary = Boundary::Target;
        Self { norm, boundary, eps, steps: 100, alpha_max: 0.1, eta: 1.05, beta: 0.9 }
    }
}

impl Default for Fab {
    /// AutoAttack's settings of FAB in the L2 norm, with success at any distance.
    fn default() -> Self {
        Self::new(Norm::L2, f32::INFINITY)
    }
}

/// The distance that stands for "nothing found": no image is as far away.
const NOTHING_FOUND: f32 = 1e10;

/// Runs FAB on batches of one size, ready on a device. A step computes a gradient ([`Boundary::Nearest`]: one for each other class)
/// and one more forward pass; it needs no read-back and no new buffers.
#[derive(Debug)]
pub struct FabAttack {
    settings: Fab,
    batch: Batch,
    nearest: Buffer,
    distance: Buffer,
    /// The other classes of each image, for a search over all of them.
    others: Vec<Buffer>,
    classes: u32,
    step: Program,
    reset: Program,
}

impl FabAttack {
    /// Prepares the attack for a network and batches of one size.
    pub async fn new(
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
        settings: Fab,
    ) -> Result<Self> {
        check_radius(settings.norm, settings.eps, size.words(model)?)?;
        let gpu = weights.gpu();
        let objective = match settings.boundary {
            Boundary::Target => Objective::MarginTargeted,
            Boundary::Nearest => Objective::Margin,
        };
        let classes = model.classes();
        if settings.boundary == Boundary::Nearest && !(2..=MOST_CLASSES).contains(&classes) {
            let wanted = format_args!(
                "2 to {MOST_CLASSES} classes, as untargeted FAB computes a gradient for each; else use fab-t"
            );
            return Err(Error::mismatch("fab", format_args!("{classes} classes"), wanted));
        }
        let batch = Batch::new(gpu, model, size, objective).await?;
        let images = size.images;
        let [nearest, distance] = buffers(gpu, [batch.shape.elements(), images]).await?;

        let mut graph = Graph::default();
        let forward = Forward::frozen(&mut graph, model, &batch, objective)?;
        let Fab { norm, alpha_max, eta, beta, .. } = settings;
        let (mut given, mut changing) =
            (forward.given(&batch, weights)?, forward.changing().to_vec());
        let mut others = Vec::new();
        let (gradient, f) = match settings.boundary {
            Boundary::Target => (forward.image_gradient(&mut graph)?, forward.objective),
            Boundary::Nearest => {
                let [gradient, f, away] =
                    buffers(gpu, [batch.shape.elements(), images, images]).await?;
                others = gpu.allocate(&vec![images; classes as usize - 1]).await?;
                let kept_gradient = graph.input(batch.shape);
                let [kept_f, kept_away] = [(); 2].map(|()| graph.input(forward.per_image));
                let kept = [kept_gradient, kept_f, kept_away];
                given.extend(kept.into_iter().zip([gradient, f, away]));
                for (number, buffer) in others.iter().enumerate() {
                    let targets = graph.input(forward.per_image);
                    given.push((targets, buffer.clone()));
                    changing.push(targets);
                    let [gradient, f] = forward.towards(&mut graph, targets)?;
                    let op = FabNearest { norm, first: number == 0 };
                    graph.push_all(op, &[gradient, f, kept_gradient, kept_f, kept_away])?;
                }
                (kept_gradient, kept_f)
            }
        };
        let (x, origin) = (forward.x, forward.origin);
        graph.push_all(FabStep { norm, alpha_max, eta }, &[x, origin, gradient, f])?;
        let margin = forward.margin_again(&mut graph, model)?;
        let nearest_value = graph.input(batch.shape);
        let distance_value = graph.input(Shape::per_image(images)?);
        let judged = [x, origin, margin, nearest_value, distance_value];
        graph.push_all(FabJudge { norm, beta }, &judged)?;
        given.push((nearest_value, nearest.clone()));
        given.push((distance_value, distance.clone()));
        let step = Program::new(gpu, &graph, &[], &changing, &given).await?;
        let reset = reset(gpu, &batch, [&nearest, &distance]).await?;
        Ok(Self { settings, batch, nearest, distance, others, classes, step, reset })
    }

    /// Returns the distance to the nearest misclassified iterate of each image; 1e10 where there was none.
    pub async fn distances(&self) -> Result<Vec<f32>> {
        self.batch.read_numbers(&self.distance).await
    }

    /// Returns the settings that the attack was made with.
    pub fn settings(&self) -> &Fab {
        &self.settings
    }
}

impl Attack for FabAttack {
    /// The images have to be classified correctly. The targets are the classes whose boundary is looked for, if it is that of
    /// one class. The search may begin apart from the images.
    async fn start(&mut self, start: &Start<'_>) -> Result<()> {
        self.batch.write(start).await?;
        for (number, buffer) in (1..).zip(&self.others) {
            let class = |label: &u32| (label + number) % self.classes;
            let classes: Vec<u32> = start.labels.iter().map(class).collect();
            self.batch.write_classes(buffer, &classes).await?;
        }
        self.reset.submit().await?;
        self.batch.write_from(start).await
    }

    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.step.run(steps, progress).await
    }

    /// The nearest misclassified iterate of each image; where none was misclassified, the image.
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
    Program::plain(gpu, &graph, &[], &[origin], &given).await
}
