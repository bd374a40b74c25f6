//! The trait that all attacks implement: how one is started, run, and asked for its results.

use crate::gpu::{Buffer, Timing};
use crate::graph::Summary;
use crate::{Error, Result};

/// What an attack begins with: images, at most as many as the attack was prepared for, with their labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start<'a> {
    /// The images to attack, NCHW in \[0, 1\].
    pub images: &'a [f32],
    /// The label of each image, below the network's number of classes.
    pub labels: &'a [u32],
    /// The class that each image is to be changed to, for targeted objectives.
    pub targets: Option<&'a [u32]>,
    /// The images at which the steps begin, instead of `images` or of random points around them; the ball stays around `images`.
    /// NCHW and finite; the first step brings them into \[0, 1\].
    pub from: Option<&'a [f32]>,
    /// The ids of the images, from which their random numbers are drawn, wherever the images lie in a batch; by default 0, 1, ...
    pub ids: Option<&'a [u32]>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The stream of random numbers under the seed: a new one for each start that should not repeat an earlier one.
    pub stream: u32,
}

impl<'a> Start<'a> {
    /// Starts at images with their labels, with defaults for all other fields.
    pub fn new(images: &'a [f32], labels: &'a [u32]) -> Self {
        Self { images, labels, ..Self::default() }
    }

    /// Checks that the attack begins at the images themselves, for attacks that cannot begin elsewhere.
    pub(super) fn begins_at_images(&self, op: &'static str) -> Result<()> {
        if self.from.is_some() {
            let wanted = "none: this attack starts at the images themselves";
            return Err(Error::mismatch(
                op,
                "start images (`from`) other than the images to attack",
                wanted,
            ));
        }
        Ok(())
    }
}

/// The results of an attack: the attacked images, and which of them lie in the ball.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The resulting images, one for each that the attack was started with; they may or may not be misclassified.
    pub images: Vec<f32>,
    /// Whether each attacked image lies in the ball: images of [`FabAttack`](super::FabAttack), which looks for the nearest
    /// misclassified image, may lie outside.
    pub within: Vec<bool>,
    /// The number of images for which the objective's gradient at the start was 0 everywhere, a sign of gradient masking; always 0
    /// for attacks that do not count them.
    pub flat: usize,
}

/// An attack on a batch of images, by gradient steps or by candidates of a random search. It is prepared once for a network, a
/// device and a batch size, then started and run as often as wanted.
///
/// Methods that change the images take `&mut self`, so that two callers cannot mix their results; each thread has an attack of
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
    /// Sets the images to attack, with all else that `start` holds, and forgets the results for earlier images. Err for more images
    /// than the attack was made for, values that are not in \[0, 1\], labels and targets that are no classes, and missing targets.
    async fn start(&mut self, start: &Start<'_>) -> Result<()>;

    /// Takes `steps` steps in submissions of about 100 ms; `progress` is given the number of steps done after each, and
    /// may stop the attack by an error.
    async fn run(&mut self, steps: u32, progress: impl FnMut(u32) -> Result<()>) -> Result<()>;

    /// Returns the resulting images, one for each that the attack was started with.
    async fn images(&self) -> Result<Vec<f32>>;

    /// Returns the resulting images, which of them lie in the ball, and how many began where the objective's gradient is 0.
    async fn found(&self) -> Result<Found>;

    /// Whether every image was misclassified in its ball at some step, so that more steps are useless; always false for
    /// attacks that do not check this.
    async fn done(&self) -> Result<bool> {
        Ok(false)
    }

    /// Measures the GPU time of each kernel launch of one step, by taking steps. Err on devices without timestamps.
    async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>>;

    /// Returns the number of steps of a whole attack, as its settings say.
    fn steps(&self) -> u32;

    /// Returns the device buffer that [`Attack::images`] reads, a whole batch, for programs that go on with the images on the
    /// device.
    fn image_buffer(&self) -> &Buffer;

    /// Returns the device buffer of the labels, a whole batch.
    fn label_buffer(&self) -> &Buffer;

    /// Returns what one step costs: kernel launches, arithmetic, memory.
    fn summary(&self) -> &Summary;

    /// Runs the whole attack: start, the settings' number of steps, images.
    async fn attack(&mut self, images: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        self.start(&Start::new(images, labels)).await?;
        self.run(self.steps(), |_| Ok(())).await?;
        self.images().await
    }
}
