//! Where an iteration's classified images come from: the attacks of stage 1's objectives and stage 2's classifier.

use super::{Attack as AttackKind, Learner, Objective, Stage1};
use crate::attack::{
    Attack, Divergence, DivergenceAttack, MomentumAttack, MomentumPgd, Objective as Climbed, Pgd,
    Statistics,
};
use crate::gpu::{Buffer, Gpu};
use crate::graph::Summary;
use crate::{Error, Result};

/// An attack that leaves its images on the device.
#[derive(Debug)]
pub(super) enum Attacker {
    Pgd(Box<Attack>),
    Momentum(Box<MomentumAttack>),
    Divergence(Box<DivergenceAttack>),
    /// Images as they are.
    None {
        images: Buffer,
        labels: Buffer,
    },
}

impl Attacker {
    pub async fn pgd(learner: &Learner, batch: [u32; 2], settings: Pgd) -> Result<Self> {
        let attack = Attack::new(&learner.model, &learner.live, batch, settings, true).await?;
        Ok(Self::Pgd(Box::new(attack)))
    }

    /// As the objective and the stage say.
    pub async fn stage1(
        learner: &Learner,
        batch: [u32; 2],
        stage: &Stage1,
        objective: Objective,
    ) -> Result<Self> {
        let (norm, eps, step_size, steps) =
            (stage.norm, stage.eps as f32, stage.step_size as f32, stage.steps);
        let Learner { model, live, .. } = learner;
        if objective == Objective::Trades {
            let settings = Divergence { norm, eps, step_size, steps };
            let attack = DivergenceAttack::new(model, live, batch, settings, true).await?;
            return Ok(Self::Divergence(Box::new(attack)));
        }
        let objective = Climbed::CrossEntropy;
        match stage.attack {
            _ if steps == 0 => Self::none(learner, batch).await,
            AttackKind::Pgd => {
                let statistics = Statistics::Frozen;
                let settings = Pgd { norm, eps, step_size, steps, objective, statistics };
                Self::pgd(learner, batch, settings).await
            }
            AttackKind::MomentumBest => {
                let settings =
                    MomentumPgd { norm, eps, step_size, steps, momentum: 0.9, objective };
                let attack = MomentumAttack::new(model, live, batch, settings, true);
                Ok(Self::Momentum(Box::new(attack.await?)))
            }
        }
    }

    pub async fn none(learner: &Learner, [images, side]: [u32; 2]) -> Result<Self> {
        let words = images * learner.model.channels() * side * side;
        let made = learner.live.gpu().allocate(&[words, images]).await?;
        match <[Buffer; 2]>::try_from(made) {
            Ok([images, labels]) => Ok(Self::None { images, labels }),
            Err(_) => Err(Error::mismatch("training", "no buffers", "two")),
        }
    }

    /// What a step costs; nothing where there is none.
    pub fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Pgd(attack) => Some(attack.summary()),
            Self::Momentum(attack) => Some(attack.summary()),
            Self::Divergence(attack) => Some(attack.summary()),
            Self::None { .. } => None,
        }
    }

    /// Of the attacked images and their labels.
    pub fn buffers(&self) -> (&Buffer, &Buffer) {
        match self {
            Self::Pgd(attack) => (attack.image_buffer(), attack.label_buffer()),
            Self::Momentum(attack) => (attack.image_buffer(), attack.label_buffer()),
            Self::Divergence(attack) => (attack.image_buffer(), attack.label_buffer()),
            Self::None { images, labels } => (images, labels),
        }
    }

    /// Leaves the attacked images in the buffer. `draw` is the seed and the place of what is random in it.
    pub async fn run(
        &self,
        gpu: &Gpu,
        (images, labels): (&[f32], &[u32]),
        draw: (u64, u64),
    ) -> Result<()> {
        match self {
            Self::Pgd(attack) => {
                attack.start(images, labels).await?;
                attack.run(attack.settings().steps, |_| Ok(())).await
            }
            Self::Momentum(attack) => {
                attack.start(images, labels).await?;
                attack.run(attack.settings().steps, |_| Ok(())).await
            }
            Self::Divergence(attack) => attack.run(images, labels, draw).await,
            Self::None { images: buffer, labels: label_buffer } => {
                gpu.write(buffer, images).await?;
                gpu.write(label_buffer, labels).await
            }
        }
    }
}
