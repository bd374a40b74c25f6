//! Draws samples or makes adversarial images by gradient steps inside another app, in each frame as much of the
//! work as fits the time that the app allows.

use super::picture::Picture;
use super::slices::Slices;
use super::{Budget, needs};
use crate::attack::{Attack, Objective, Pgd, PgdAttack, Start};
use crate::gpu::Buffer;
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::Norm;
use crate::{Error, Result};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Draws samples of chosen classes inside a host app: gradient steps that raise the class logit f(x)\[y\], from any start images.
pub type Sampler = Ascent<Sampling>;

/// Makes images that the network misclassifies, inside a host app: gradient steps that raise the loss, within a ball around each
/// image.
pub type Attacker = Ascent<Attacking>;

/// The type parameter of a [`Sampler`], which is `Ascent<Sampling>`. It has no values.
#[derive(Clone, Copy, Debug)]
pub enum Sampling {}

/// The type parameter of an [`Attacker`], which is `Ascent<Attacking>`. It has no values.
#[derive(Clone, Copy, Debug)]
pub enum Attacking {}

/// Gradient steps on a batch of images that are recorded into a host app's command encoder: a [`Sampler`] or an [`Attacker`].
pub struct Ascent<Kind> {
    attack: PgdAttack,
    slices: Slices,
    picture: Picture,
    kind: PhantomData<fn() -> Kind>,
}

/// Settings of a [`Sampler`] or an [`Attacker`], checked by [`build`](AscentBuilder::build).
pub struct AscentBuilder<'a, Kind> {
    model: &'a dyn Model,
    weights: &'a DeviceWeights,
    size: BatchSize,
    settings: Pgd,
    columns: u32,
    kind: PhantomData<fn() -> Kind>,
}

impl Ascent<Sampling> {
    /// Makes a sampler for a network and batches of one size. Defaults: 20 L2 steps of length 0.8, without a bound
    /// on how far an image moves.
    pub fn of<'a>(
        model: &'a dyn Model,
        weights: &'a DeviceWeights,
        size: BatchSize,
    ) -> AscentBuilder<'a, Sampling> {
        AscentBuilder::new(model, weights, size, Pgd::sample(20, 0.8))
    }
}

impl Ascent<Attacking> {
    /// Makes an attacker for a network and batches of one size. Defaults: 10 L2 steps of length 0.1 that raise the cross-entropy,
    /// in a ball of radius 0.5.
    pub fn of<'a>(
        model: &'a dyn Model,
        weights: &'a DeviceWeights,
        size: BatchSize,
    ) -> AscentBuilder<'a, Attacking> {
        let settings = Pgd { step_size: 0.1, ..Pgd::attack(Norm::L2, 0.5, 10) };
        AscentBuilder::new(model, weights, size, settings)
    }
}

impl<'a, Kind> AscentBuilder<'a, Kind> {
    fn new(
        model: &'a dyn Model,
        weights: &'a DeviceWeights,
        size: BatchSize,
        settings: Pgd,
    ) -> Self {
        let columns = f64::from(size.images).sqrt().ceil() as u32;
        Self { model, weights, size, settings, columns, kind: PhantomData }
    }

    /// Sets the length of one step, for images in \[0, 1\]; finite.
    #[must_use]
    pub fn step_size(mut self, step_size: f32) -> Self {
        self.settings.step_size = step_size;
        self
    }

    /// Sets the number of steps from start to end, 1 or more.
    #[must_use]
    pub fn steps(mut self, steps: u32) -> Self {
        self.settings.steps = steps;
        self
    }

    /// Sets the radius of the ball around each start image that its result stays in, 0 or more; infinite for no ball.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.settings.eps = eps;
        self
    }

    /// Sets the number of columns of the grid of images in the texture, 1 or more; the default is the square root of the number of
    /// images, rounded up.
    #[must_use]
    pub fn columns(mut self, columns: u32) -> Self {
        self.columns = columns;
        self
    }

    /// Allocates buffers, compiles kernels and measures how long a step takes. Err for settings out of range, for batch
    /// sizes that the network or the device cannot run, and for a device whose limits are too low; the error lists them as
    /// [`check`](super::check) does.
    pub async fn build(self) -> Result<Ascent<Kind>> {
        let Self { model, weights, size, settings, columns, kind } = self;
        if settings.steps == 0 {
            return Err(Error::mismatch("attack or sampling", "0 steps", "1 step or more"));
        }
        let gpu = weights.gpu();
        needs::expect(gpu)?;
        let mut attack = PgdAttack::new(model, weights, size, settings).await?;
        let shape = size.shape(model)?;
        let picture = Picture::new(gpu, (attack.image_buffer(), shape), columns).await?;
        // The images are zeros here and every label is class 0: any input takes as long.
        let slices = Slices::new(attack.program()).await?;
        let mut made = Ascent { attack, slices, picture, kind };
        let (blank, labels) = (vec![0.0; shape.elements() as usize], vec![0; size.images as usize]);
        made.start(&blank, &labels).await?;
        Ok(made)
    }
}

impl AscentBuilder<'_, Attacking> {
    /// Sets the norm in which the steps' length and the ball's radius are measured.
    #[must_use]
    pub fn norm(mut self, norm: Norm) -> Self {
        self.settings.norm = norm;
        self
    }

    /// Sets the objective that steps maximise.
    #[must_use]
    pub fn objective(mut self, objective: Objective) -> Self {
        self.settings.objective = objective;
        self
    }
}

impl<Kind> Ascent<Kind> {
    /// Begins with new images, NCHW in \[0, 1\], which are also the centres of the balls, and a label for each: the class to
    /// draw, or the class to lead away from. If there are fewer images than in a batch, the others stay black. Err for more, for
    /// values outside of \[0, 1\], for labels outside the network's classes, and on a lost device.
    ///
    /// The queue writes them ahead of what is submitted next, so submit or drop encoders recorded before.
    pub async fn start(&mut self, images: &[f32], labels: &[u32]) -> Result<()> {
        let from = Some(images);
        self.attack.start(&Start { from, ..Start::new(images, labels) }).await?;
        self.slices.restart();
        Ok(())
    }

    /// Appends the next steps to the host's command encoder, as many as `budget` allows, and then the drawing of the images
    /// into the texture. Returns how many steps have been recorded in full since the start; after the last step only the
    /// drawing is appended.
    ///
    /// Between steps the images stay as the last whole step left them. What is recorded must be submitted in
    /// this order; after an encoder was dropped, start anew. Err on a lost device, with nothing recorded. About the encoder's
    /// device see [`crate::embed`].
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, budget: Budget) -> Result<u32> {
        self.attack.gpu().alive()?;
        let total = self.attack.steps();
        let done = self.slices.record(self.attack.program(), encoder, budget, total);
        self.picture.record(encoder)?;
        Ok(done)
    }

    /// Returns whether all steps have been recorded.
    pub fn finished(&self) -> bool {
        self.slices.done() >= self.attack.steps()
    }

    /// Returns the GPU time of one step, as it was measured by [`build`](AscentBuilder::build).
    pub fn pace(&self) -> Duration {
        self.slices.pace()
    }

    /// Returns the buffer in GPU memory of the images, NCHW f32 in \[0, 1\]. The host app's own passes bind it by [`Buffer::raw`];
    /// `Gpu::read` copies it into main memory.
    pub fn image_buffer(&self) -> &Buffer {
        self.attack.image_buffer()
    }

    /// Returns the texture that shows all images as a grid, filled row by row, rgba8unorm, to be bound or copied from. The values are those of
    /// PNG files, that is sRGB-encoded.
    pub fn texture(&self) -> &wgpu::Texture {
        self.picture.texture()
    }
}

impl<Kind> fmt::Debug for Ascent<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Ascent")
            .field("settings", self.attack.settings())
            .field("slices", &self.slices)
            .finish_non_exhaustive()
    }
}

impl<Kind> fmt::Debug for AscentBuilder<'_, Kind> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { size, settings, columns, .. } = self;
        f.debug_struct("AscentBuilder")
            .field("size", size)
            .field("settings", settings)
            .field("columns", columns)
            .finish_non_exhaustive()
    }
}
