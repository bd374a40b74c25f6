//! Runs one of the attacks on a batch of images: makes the start images, takes the attack's steps, and returns the attacked
//! images.

use super::{AttackName, AutoAttack};
use crate::Result;
use crate::attack::{
    AnyAttack, Apgd, Attack, Boundary, Fab, Found, MomentumPgd, Objective, Pgd, Settings, Square,
    Start, Statistics,
};
use crate::data::Random;
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::Norm;

/// Steps between two looks at whether any image still stands.
const LOOK: u32 = 25;
/// The number of Square's candidates between two looks; they are cheaper than steps.
const LOOK_AT_CANDIDATES: u32 = 250;

/// An attack, ready for batches of one size.
#[derive(Debug)]
pub(super) struct Attacker {
    attack: AnyAttack,
    name: AttackName,
    size: BatchSize,
}

/// The images to attack, each with its label, target class and index among all images.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub images: Vec<f32>,
    pub labels: Vec<u32>,
    pub targets: Vec<u32>,
    pub ids: Vec<u32>,
}

impl Attacker {
    pub async fn new(
        settings: &AutoAttack,
        name: AttackName,
        model: &dyn Model,
        weights: &DeviceWeights,
        size: BatchSize,
    ) -> Result<Self> {
        let attack = AnyAttack::new(model, weights, size, settings.of(name)).await?;
        Ok(Self { attack, name, size })
    }

    /// Returns whether this is the attack `name` for batches of this size.
    pub fn is(&self, name: AttackName, size: BatchSize) -> bool {
        (self.name, self.size) == (name, size)
    }

    /// Attacks a batch of images, or fewer, and returns the results. `round` is the number of the start and of the target.
    /// `progress` is told the share that is done, and may stop by an error.
    pub async fn attack(
        &mut self,
        settings: &AutoAttack,
        round: u32,
        target: &Target,
        mut progress: impl FnMut(f64) -> Result<()>,
    ) -> Result<Found> {
        let pgd = self.name == AttackName::Pgd;
        let from = match self.name {
            AttackName::Pgd => Some(settings.pgd_start(round, target)),
            AttackName::Fab if round > 0 => Some(settings.fab_start(round, target)),
            _ => None,
        };
        // The cross-entropy of a target is that of a label.
        let towards = pgd && settings.pgd.objective() == Objective::CrossEntropyTargeted;
        let start = Start {
            images: &target.images,
            labels: if towards { &target.targets } else { &target.labels },
            targets: Some(&target.targets),
            from: from.as_deref(),
            ids: Some(&target.ids),
            seed: settings.seed,
            // One of its own for each attack and round.
            stream: self.name as u32 * 0x1_0000 + round,
        };
        self.attack.start(&start).await?;
        let look = if self.name == AttackName::Square { LOOK_AT_CANDIDATES } else { LOOK };
        let steps = self.attack.steps();
        for first in (0..steps).step_by(look as usize) {
            let told = |done| progress(f64::from(first + done) / f64::from(steps));
            self.attack.run(look.min(steps - first), told).await?;
            if self.attack.done().await? {
                break;
            }
        }
        self.attack.found().await
    }
}

impl AutoAttack {
    /// Returns the settings of one of the attacks.
    fn of(&self, name: AttackName) -> Settings {
        let Self { norm, eps, steps, queries, pgd, .. } = *self;
        let apgd = |objective| Apgd { steps, ..Apgd::new(norm, eps, objective) }.into();
        match name {
            AttackName::ApgdCe => apgd(Objective::CrossEntropy),
            AttackName::ApgdDlr => apgd(Objective::Dlr),
            AttackName::ApgdTargeted => apgd(Objective::DlrTargeted),
            AttackName::FabTargeted => Fab { steps, ..Fab::new(norm, eps) }.into(),
            AttackName::Fab => {
                let boundary = Boundary::Nearest;
                Fab { steps, boundary, ..Fab::new(norm, eps) }.into()
            }
            AttackName::Square => Square { norm, eps, queries }.into(),
            AttackName::Pgd => {
                let (step_size, steps, objective) = (pgd.step_size, pgd.steps, pgd.objective());
                if pgd.momentum > 0.0 {
                    let momentum = pgd.momentum;
                    MomentumPgd { norm, eps, step_size, steps, momentum, objective }.into()
                } else {
                    let statistics = Statistics::Frozen;
                    Pgd { norm, eps, step_size, steps, objective, statistics }.into()
                }
            }
        }
    }

    /// The images themselves, or from the second start on random points of their balls, uniform in Linf; in L2 uniform in
    /// direction and in distance.
    fn pgd_start(&self, round: u32, target: &Target) -> Vec<f32> {
        if round.is_multiple_of(self.pgd.restarts) {
            return target.images.clone();
        }
        self.around("attack/pgd", round, target, |moves, random| match self.norm {
            Norm::Linf => 1.0,
            Norm::L2 => random.uniform(0.0, 1.0) / length(moves),
        })
    }

    /// Random points at half the ball's radius from the images, as AutoAttack's FAB begins its later searches.
    fn fab_start(&self, round: u32, target: &Target) -> Vec<f32> {
        self.around("attack/fab", round, target, |moves, _| match self.norm {
            Norm::Linf => 0.5 / moves.iter().fold(1e-12, |most, v| v.abs().max(most)),
            Norm::L2 => 0.5 / length(moves),
        })
    }

    /// The images, moved by random numbers, uniform ones in \[-1, 1\] in Linf and normal ones in L2, times `part` of the radius.
    fn around(
        &self,
        purpose: &str,
        round: u32,
        target: &Target,
        part: impl Fn(&[f64], &mut Random) -> f64,
    ) -> Vec<f32> {
        let words = target.images.len() / target.ids.len().max(1);
        let mut start = Vec::with_capacity(target.images.len());
        for (image, &id) in target.images.chunks(words.max(1)).zip(&target.ids) {
            let mut random = Random::new(self.seed, purpose, round.into(), id.into());
            let moves: Vec<f64> = match self.norm {
                Norm::Linf => image.iter().map(|_| random.uniform(-1.0, 1.0)).collect(),
                Norm::L2 => image.iter().map(|_| random.normal_pair().0).collect(),
            };
            let (eps, part) = (f64::from(self.eps), part(&moves, &mut random));
            let moved = |(&x, v): (&f32, f64)| (f64::from(x) + eps * (v * part)) as f32;
            start.extend(image.iter().zip(moves).map(moved));
        }
        start.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        start
    }
}

fn length(moves: &[f64]) -> f64 {
    moves.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12)
}
