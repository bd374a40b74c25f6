//! Any of the attacks on one batch: what is started, how long it goes on, what it leaves.

use super::{AttackName, AutoAttack};
use crate::Result;
use crate::attack::{
    Apgd, ApgdAttack, Attack, Fab, FabAttack, MomentumAttack, MomentumPgd, Objective, Pgd, Square,
    SquareAttack, Statistics,
};
use crate::data::Random;
use crate::model::{DeviceWeights, Model};
use crate::ops::Norm;

/// Steps between two looks at whether any image still stands.
const LOOK: u32 = 25;
/// The same of Square's candidates, which are cheaper.
const LOOK_AT_CANDIDATES: u32 = 250;
/// What fills up a batch: no class.
const NO_LABEL: u32 = u32::MAX;

/// An attack made ready for batches of one size.
#[derive(Debug)]
pub(super) struct Attacker {
    made: Made,
    name: AttackName,
    /// Images at once.
    pub size: u32,
}

#[derive(Debug)]
enum Made {
    Apgd(ApgdAttack),
    Fab(FabAttack),
    Square(SquareAttack),
    Pgd(Attack),
    Momentum(MomentumAttack),
}

/// What is attacked: whole images, and of each its label, its target and its place among the points.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub images: Vec<f32>,
    pub labels: Vec<u32>,
    pub targets: Vec<u32>,
    pub ids: Vec<u32>,
}

/// What an attack leaves.
#[derive(Debug)]
pub(super) struct Found {
    /// An image for each, which may or may not be misnamed.
    pub images: Vec<f32>,
    /// Whether it may count: FAB's may lie outside the ball.
    pub within: Vec<bool>,
    /// How many gradients at the start were 0 in every place, where it is known.
    pub flat: usize,
}

impl Attacker {
    pub async fn new(
        settings: &AutoAttack,
        name: AttackName,
        model: &dyn Model,
        weights: &DeviceWeights,
        [size, side]: [u32; 2],
    ) -> Result<Self> {
        let AutoAttack { norm, eps, steps, queries, pgd, .. } = *settings;
        let images = [size, side];
        let apgd = |objective| Apgd { steps, ..Apgd::new(norm, eps, objective) };
        let made = match name {
            AttackName::ApgdCe | AttackName::ApgdDlr | AttackName::ApgdTargeted => {
                let objective = match name {
                    AttackName::ApgdCe => Objective::CrossEntropy,
                    AttackName::ApgdDlr => Objective::Dlr,
                    _ => Objective::DlrTargeted,
                };
                let attack = ApgdAttack::new(model, weights, images, apgd(objective), true);
                Made::Apgd(attack.await?)
            }
            AttackName::FabTargeted => {
                let fab = Fab { steps, ..Fab::new(norm) };
                Made::Fab(FabAttack::new(model, weights, images, fab, true).await?)
            }
            AttackName::Square => {
                let square = Square { norm, eps, queries };
                Made::Square(SquareAttack::new(model, weights, images, square, true).await?)
            }
            AttackName::Pgd if pgd.momentum > 0.0 => {
                let settings = MomentumPgd {
                    norm,
                    eps,
                    step_size: pgd.step_size,
                    steps: pgd.steps,
                    momentum: pgd.momentum,
                    objective: pgd.objective(),
                };
                let attack = MomentumAttack::new(model, weights, images, settings, true);
                Made::Momentum(attack.await?)
            }
            AttackName::Pgd => {
                let settings = Pgd {
                    norm,
                    eps,
                    step_size: pgd.step_size,
                    steps: pgd.steps,
                    objective: pgd.objective(),
                    statistics: Statistics::Frozen,
                };
                Made::Pgd(Attack::new(model, weights, images, settings, true).await?)
            }
        };
        Ok(Self { made, name, size })
    }

    /// Whether it is this attack for this many images.
    pub fn is(&self, name: AttackName, size: u32) -> bool {
        (self.name, self.size) == (name, size)
    }

    /// Attacks at most as many images as it was made for. `round` counts starts and targets; `progress` is told the share
    /// that is done and may stop by an error.
    pub async fn attack(
        &self,
        settings: &AutoAttack,
        round: u32,
        target: &Target,
        mut progress: impl FnMut(f64) -> Result<()>,
    ) -> Result<Found> {
        let count = target.labels.len();
        let words = target.images.len() / count.max(1);
        let size = self.size as usize;
        let mut full = target.clone();
        full.images.resize(size * words, 0.0);
        full.labels.resize(size, NO_LABEL);
        full.targets.resize(size, NO_LABEL);
        full.ids.resize(size, 0);
        // A stream of its own for each attack and round.
        let draw = (settings.seed, self.name as u32 * 0x1_0000 + round);
        let mut found = match &self.made {
            Made::Apgd(attack) => {
                attack.start(&full.images, [&full.labels, &full.targets, &full.ids], draw).await?;
                let steps = attack.settings().steps;
                for first in (0..steps).step_by(LOOK as usize) {
                    let many = LOOK.min(steps - first);
                    let done = |done| progress(share(first + done, steps));
                    attack.run(many, first + many == steps, done).await?;
                    if attack.states().await?.iter().take(count).all(|state| state.fooled) {
                        break;
                    }
                }
                let (images, states) = attack.found().await?;
                let flat = states.iter().take(count).filter(|state| state.flat).count();
                Found { images, within: vec![true; count], flat }
            }
            Made::Fab(attack) => {
                attack.start(&full.images, [&full.labels, &full.targets]).await?;
                let steps = attack.settings().steps;
                let within = |distance: &f32| *distance <= settings.eps;
                for first in (0..steps).step_by(LOOK as usize) {
                    let many = LOOK.min(steps - first);
                    attack.run(many, |done| progress(share(first + done, steps))).await?;
                    if attack.distances().await?.iter().take(count).all(within) {
                        break;
                    }
                }
                let (images, distances) = attack.found().await?;
                let within = distances.iter().take(count).map(within).collect();
                Found { images, within, flat: 0 }
            }
            Made::Square(attack) => {
                attack.start(&full.images, [&full.labels, &full.ids], draw).await?;
                let candidates = attack.settings().queries + 1;
                for first in (0..candidates).step_by(LOOK_AT_CANDIDATES as usize) {
                    let many = LOOK_AT_CANDIDATES.min(candidates - first);
                    attack.run(many, |done| progress(share(first + done, candidates))).await?;
                    if attack.margins().await?.iter().take(count).all(|&margin| margin >= 0.0) {
                        break;
                    }
                }
                Found { images: attack.found().await?, within: vec![true; count], flat: 0 }
            }
            Made::Pgd(attack) => {
                let start = self.start(settings, round, &full);
                let labels = self.labels(settings, &full);
                attack.start_from(&start, &full.images, labels).await?;
                attack.aim(&full.targets).await?;
                let steps = settings.pgd.steps;
                attack.run(steps, |done| progress(share(done, steps))).await?;
                Found { images: attack.images().await?, within: vec![true; count], flat: 0 }
            }
            Made::Momentum(attack) => {
                let start = self.start(settings, round, &full);
                let labels = self.labels(settings, &full);
                attack.start_from(&start, &full.images, labels).await?;
                attack.aim(&full.targets).await?;
                let steps = settings.pgd.steps;
                attack.run(steps, |done| progress(share(done, steps))).await?;
                Found { images: attack.images().await?, within: vec![true; count], flat: 0 }
            }
        };
        found.images.truncate(count * words);
        Ok(found)
    }

    /// The cross-entropy of a target is that of a label.
    fn labels<'a>(&self, settings: &AutoAttack, target: &'a Target) -> &'a [u32] {
        let towards = settings.pgd.objective() == Objective::CrossEntropyTargeted;
        if towards { &target.targets } else { &target.labels }
    }

    /// The images themselves, or from the second start on random points of their balls, uniform in Linf; in L2 uniform in
    /// direction and in distance.
    fn start(&self, settings: &AutoAttack, round: u32, target: &Target) -> Vec<f32> {
        if round.is_multiple_of(settings.pgd.restarts) {
            return target.images.clone();
        }
        let words = target.images.len() / target.ids.len().max(1);
        let mut start = Vec::with_capacity(target.images.len());
        for (image, &id) in target.images.chunks(words.max(1)).zip(&target.ids) {
            let mut random = Random::new(settings.seed, "attack/pgd", round.into(), id.into());
            let mut moves: Vec<f64> = match settings.norm {
                Norm::Linf => image.iter().map(|_| random.uniform(-1.0, 1.0)).collect(),
                Norm::L2 => image.iter().map(|_| random.normal_pair().0).collect(),
            };
            if settings.norm == Norm::L2 {
                let length = moves.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
                let distance = random.uniform(0.0, 1.0);
                moves.iter_mut().for_each(|v| *v *= distance / length);
            }
            let eps = f64::from(settings.eps);
            start.extend(image.iter().zip(moves).map(|(&x, v)| (f64::from(x) + eps * v) as f32));
        }
        start.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        start
    }
}

fn share(done: u32, of: u32) -> f64 {
    f64::from(done) / f64::from(of.max(1))
}
