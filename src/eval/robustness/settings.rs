//! Which attacks, and how.

use crate::attack::Objective;
use crate::ops::Norm;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What is run on whichever points still stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttackName {
    /// APGD up the cross-entropy.
    ApgdCe,
    /// APGD up the difference of logits ratio. At least 3 classes.
    ApgdDlr,
    /// APGD up the ratio towards each of several targets. At least 4 classes.
    ApgdTargeted,
    /// FAB towards each of several targets.
    FabTargeted,
    /// Random search, without gradients.
    Square,
    /// Projected gradient steps as [`RestartedPgd`] says.
    Pgd,
}

impl AttackName {
    /// Standard AutoAttack's, in its order.
    pub const STANDARD: [Self; 4] =
        [Self::ApgdCe, Self::ApgdTargeted, Self::FabTargeted, Self::Square];

    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::ApgdCe,
        Self::ApgdDlr,
        Self::ApgdTargeted,
        Self::FabTargeted,
        Self::Square,
        Self::Pgd,
    ];

    /// As AutoAttack has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApgdCe => "apgd-ce",
            Self::ApgdDlr => "apgd-dlr",
            Self::ApgdTargeted => "apgd-t",
            Self::FabTargeted => "fab-t",
            Self::Square => "square",
            Self::Pgd => "pgd",
        }
    }
}

impl fmt::Display for AttackName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AttackName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|attack| attack.name() == text);
        let known = || Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| Error::mismatch("attack", format_args!("{text:?}"), known()))
    }
}

/// What projected gradient steps climb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Cross-entropy.
    CrossEntropy,
    /// Difference of logits ratio; at least 3 classes, targeted 4.
    Dlr,
    /// Carlini and Wagner's: the largest other logit, or the target's, minus the label's.
    Margin,
}

/// Projected gradient steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestartedPgd {
    /// Of each start.
    pub steps: u32,
    /// Length of a step.
    pub step_size: f32,
    /// Starts: the first at the image itself, all others at random points of the ball.
    pub restarts: u32,
    /// Part of the last direction that stays, below 1. Above 0 the steps are those of
    /// [`MomentumPgd`](crate::attack::MomentumPgd), of which the iterate of highest loss counts; at 0 those of
    /// [`Pgd`](crate::attack::Pgd), of which the last does.
    pub momentum: f32,
    /// What is climbed.
    pub loss: Loss,
    /// Whether each start is tried towards each of the targets.
    pub targeted: bool,
}

impl RestartedPgd {
    /// 50 steps of an eighth of the radius up the cross-entropy, one start.
    pub fn new(eps: f32) -> Self {
        let (momentum, loss, targeted) = (0.0, Loss::CrossEntropy, false);
        Self { steps: 50, step_size: eps / 8.0, restarts: 1, momentum, loss, targeted }
    }

    pub(super) fn objective(&self) -> Objective {
        match (self.loss, self.targeted) {
            (Loss::CrossEntropy, false) => Objective::CrossEntropy,
            (Loss::CrossEntropy, true) => Objective::CrossEntropyTargeted,
            (Loss::Dlr, false) => Objective::Dlr,
            (Loss::Dlr, true) => Objective::DlrTargeted,
            (Loss::Margin, false) => Objective::Margin,
            (Loss::Margin, true) => Objective::MarginTargeted,
        }
    }
}

/// An evaluation by one attack after another, each on the points that all before it have left standing.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoAttack {
    /// Of the ball.
    pub norm: Norm,
    /// Radius of the ball around each image; finite, above 0.
    pub eps: f32,
    /// In their order.
    pub attacks: Vec<AttackName>,
    /// Of all random numbers. What an image draws depends on it and on the image's place among the points.
    pub seed: u64,
    /// Images at once, at most 65,535.
    pub batch: u32,
    /// Steps of APGD and FAB.
    pub steps: u32,
    /// Random starts of untargeted APGD.
    pub restarts: u32,
    /// Target classes, the likeliest first; all others where there are fewer.
    pub targets: u32,
    /// Candidates of Square after the first.
    pub queries: u32,
    /// Of [`AttackName::Pgd`].
    pub pgd: RestartedPgd,
}

impl AutoAttack {
    /// The standard version: APGD-CE, targeted APGD-DLR and targeted FAB of 100 steps and 9 targets, Square of 5,000
    /// candidates, one start each; 64 images at once.
    pub fn standard(norm: Norm, eps: f32) -> Self {
        Self {
            norm,
            eps,
            attacks: AttackName::STANDARD.to_vec(),
            seed: 0,
            batch: 64,
            steps: 100,
            restarts: 1,
            targets: 9,
            queries: 5000,
            pgd: RestartedPgd::new(eps),
        }
    }

    /// How often an attack goes over the points: once a start and target.
    pub(super) fn rounds(&self, attack: AttackName, classes: u32) -> u32 {
        let targets = self.targets.min(classes.saturating_sub(1));
        match attack {
            AttackName::ApgdCe | AttackName::ApgdDlr => self.restarts,
            AttackName::ApgdTargeted | AttackName::FabTargeted => targets,
            AttackName::Square => 1,
            AttackName::Pgd if self.pgd.targeted => self.pgd.restarts * targets,
            AttackName::Pgd => self.pgd.restarts,
        }
    }

    /// Err for what cannot be run on this many classes.
    pub(super) fn check(&self, classes: u32) -> Result<()> {
        let wrong = |given: String, wanted: &str| Err(Error::mismatch("attack", given, wanted));
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return wrong(format!("eps {}", self.eps), "a finite number above 0");
        }
        if self.attacks.is_empty() || self.batch == 0 || self.batch > 65_535 {
            let given = format!("{} attacks, {} images at once", self.attacks.len(), self.batch);
            return wrong(given, "at least one, 1 to 65535 images at once");
        }
        let counts = [self.steps, self.restarts, self.targets, self.queries, self.pgd.restarts];
        if counts.contains(&0) {
            let given = format!("{counts:?} steps, restarts, targets, queries, restarts of PGD");
            return wrong(given, "at least 1 of each");
        }
        for &attack in &self.attacks {
            let least = match (attack, self.pgd.loss, self.pgd.targeted) {
                (AttackName::ApgdDlr, _, _) | (AttackName::Pgd, Loss::Dlr, false) => 3,
                (AttackName::ApgdTargeted, _, _) | (AttackName::Pgd, Loss::Dlr, true) => 4,
                _ => 2,
            };
            if classes < least {
                let wanted = format!("at least {least} for {attack}");
                return wrong(format!("{classes} classes"), &wanted);
            }
        }
        Ok(())
    }
}
