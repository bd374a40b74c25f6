//! The trait that all attacks implement: how one is started, run, and asked for its results.

use crate::gpu::{Buffer, Timing};
use crate::graph::Summary;
use crate::{Error, Result};

/// What an attack is started with: at most as many images as it was made for, and what goes with each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// NCHW in \[0, 1\].
    pub images: &'a [f32],
    /// A class for each, below the network's number of them.
    pub labels: &'a [u32],
    /// The class that each is to go to, for objectives that read one beside the label.
    pub targets: Option<&'a [u32]>,
    /// Where the steps begin, if not at the images, in a ball around which they stay: NCHW, finite, and in \[0, 1\] from the
    /// first step on. Attacks that begin at random points begin here instead.
    pub from: Option<&'a [f32]>,
    /// What an image draws depends on its id, wherever in a batch it lies; else the ids are 0, 1, ...
    pub ids: Option<&'a [u32]>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The stream of random numbers under the seed: a new one for each start that should not repeat an earlier one.
    pub stream: u32,
}

impl<'a> Start<'a> {
    /// Images with their labels, and the rest as it is by default.
    pub fn new(images: &'a [f32], labels: &'a [u32]) -> Self {
        Self { images, labels, ..Self::default() }
    }

    /// Err for a start apart from the images, where an attack has one of its own.
    pub(super) fn begins_at_images(&self, op: &'static str) -> Result<()> {
        if self.from.is_some() {
            return Err(Error::mismatch(op, "a start apart from the images", "none"));
        }
        Ok(())
    }
}

/// What an attack has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// An image for each it was started with, which may or may not be misnamed.
    pub images: Vec<f32>,
    /// Whether that lies in the ball: [`FabAttack`](super::FabAttack)'s, which looks for the nearest, may not.
    pub within: Vec<bool>,
    /// How many gradients at the start were 0 in every place; 0 where the attack does not look.
    pub flat: usize,
}

/// Gradient steps, or candidates of a random search, on a batch of images; made ready once for a network, a device and a
/// size, then started and run as often as wanted.
///
/// What changes the images takes `&mut self`, so that two callers cannot mix their results; each thread has an attack of
/// its own. This does not compile:
///
/// ```compile_fail,E0596
/// use lapidary::attack::{Attack, PgdAttack};
///
/// async fn shared(attack: &PgdAttack) -> lapidary::Result<()> {
///     attack.run(1, |_| Ok(())).await
/// }
/// ```
///
/// and this does:
///
/// ```
/// use lapidary::attack::{Attack, PgdAttack};
///
/// async fn owned(attack: &mut PgdAttack) -> lapidary::Result<()> {
///     attack.run(1, |_| Ok(())).await
/// }
/// ```
#[expect(
    async_fn_in_trait,
    reason = "futures may go to other threads where devices may: natively, but not in a browser"
)]
pub trait Attack {
    /// Sets the images, and forgets what was found for those before. Err for more images than the attack was made for,
    /// values that are not in \[0, 1\], labels and targets that are no classes, and missing targets.
    async fn start(&mut self, start: &Start<'_>) -> Result<()>;

    /// Takes so many steps in submissions of about 100 ms; `progress` is told how many are done after each and may stop by
    /// an error.
    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()>;

    /// What it has come to, an image for each it was started with.
    async fn images(&self) -> Result<Vec<f32>>;

    /// The same with what is known about it.
    async fn found(&self) -> Result<Found>;

    /// Whether it saw every image misnamed in its ball, so that more steps are of no use; never where it does not look.
    async fn done(&self) -> Result<bool> {
        Ok(false)
    }

    /// GPU time of each launch of a step. Takes steps. Err without timestamps.
    async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>>;

    /// Steps of a whole attack, by its settings.
    fn steps(&self) -> u32;

    /// The memory of what [`Attack::images`] reads, for programs that go on with it there; a whole batch.
    fn image_buffer(&self) -> &Buffer;

    /// The memory of the labels, a whole batch.
    fn label_buffer(&self) -> &Buffer;

    /// What a step costs.
    fn summary(&self) -> &Summary;

    /// All of it: start, the settings' number of steps, images.
    async fn attack(&mut self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        self.start(&Start::new(images, labels)).await?;
        self.run(self.steps(), |_| Ok(())).await?;
        self.images().await
    }
}
