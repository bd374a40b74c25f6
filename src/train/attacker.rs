//! Makes the images that a training iteration classifies: attacked, where the objective asks for adversarial training, or
//! unchanged.

use super::{Learner, ObjectiveName, Stage1, StageAttack};
use crate::Result;
use crate::attack::{AnyAttack, Attack, Divergence, MomentumPgd, Objective, Pgd, Settings, Start};
use crate::gpu::{Buffer, Gpu};
use crate::graph::Summary;
use crate::model::BatchSize;

/// The way in which a batch of classified images is prepared on the device: attacked or as they are.
#[derive(Debug)]
pub(super) enum Attacker {
    /// The images are attacked.
    Attack(AnyAttack),
    /// The images are taken as they are.
    None { images: Buffer, labels: Buffer },
}

impl Attacker {
    /// Makes an attack on the weights under training.
    pub async fn new(
        learner: &Learner,
        size: BatchSize,
        settings: impl Into<Settings>,
    ) -> Result<Self> {
        let Learner { model, live, .. } = learner;
        Ok(Self::Attack(AnyAttack::new(model, live, size, settings).await?))
    }

    /// Makes the attacker that the objective and the stage ask for.
    pub async fn stage1(
        learner: &Learner,
        size: BatchSize,
        stage: &Stage1,
        objective: ObjectiveName,
    ) -> Result<Self> {
        let settings = stage.pgd.settings();
        let Pgd { norm, eps, step_size, steps, .. } = settings;
        if objective == ObjectiveName::Trades {
            return Self::new(learner, size, Divergence { norm, eps, step_size, steps }).await;
        }
        match stage.attack {
            _ if steps == 0 => Self::none(learner, size).await,
            StageAttack::Pgd => Self::new(learner, size, settings).await,
            StageAttack::MomentumBest => {
                let objective = Objective::CrossEntropy;
                let settings =
                    MomentumPgd { norm, eps, step_size, steps, momentum: 0.9, objective };
                Self::new(learner, size, settings).await
            }
        }
    }

    pub async fn none(learner: &Learner, size: BatchSize) -> Result<Self> {
        let gpu = learner.live.gpu();
        let words = size.shape(&learner.model)?.elements();
        let images = gpu.upload(&vec![0.0f32; words as usize]).await?;
        let labels = gpu.upload(&vec![0u32; size.images as usize]).await?;
        Ok(Self::None { images, labels })
    }

    /// Returns the costs of one step of the attack; None without an attack.
    pub fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Attack(attack) => Some(attack.summary()),
            Self::None { .. } => None,
        }
    }

    /// Returns the buffers of the attacked images and of their labels.
    pub fn buffers(&self) -> (&Buffer, &Buffer) {
        match self {
            Self::Attack(attack) => (attack.image_buffer(), attack.label_buffer()),
            Self::None { images, labels } => (images, labels),
        }
    }

    /// Attacks a batch of images, or takes them as they are, and leaves the result in the buffer. What is random in it is of the
    /// seed, the iteration, and the place in the whole batch of each image, the first of which is at `first`: the same in pieces,
    /// in ranks and at once.
    pub async fn run(
        &mut self,
        gpu: &Gpu,
        (images, labels): (&[f32], &[u32]),
        (seed, iteration, first): (u64, u64, u32),
    ) -> Result<()> {
        match self {
            Self::Attack(attack) => {
                let ids: Vec<u32> = (first..).take(labels.len()).collect();
                let stream = iteration as u32;
                let start = Start { seed, stream, ids: Some(&ids), ..Start::new(images, labels) };
                attack.start(&start).await?;
                attack.run(attack.steps(), |_| Ok(())).await
            }
            Self::None { images: buffer, labels: label_buffer } => {
                gpu.write(buffer, images).await?;
                gpu.write(label_buffer, labels).await
            }
        }
    }
}
