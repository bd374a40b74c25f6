//! The settings of an evaluation by several attacks: which attacks are run, and their parameters.

use crate::attack::{Objective, check_radius};
use crate::ops::Norm;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// An attack of an evaluation, by the name that AutoAttack has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttackName {
    /// APGD that maximises the cross-entropy.
    ApgdCe,
    /// APGD that maximises the difference of logits ratio (DLR); for at least 3 classes.
    ApgdDlr,
    /// APGD that maximises the targeted DLR, towards each of several target classes; for at least 4 classes.
    ApgdTargeted,
    /// FAB towards each of several target classes.
    FabTargeted,
    /// Square, a random search without gradients.
    Square,
    /// PGD with restarts, with the settings of [`RestartedPgd`].
    Pgd,
    /// FAB towards the nearest boundary of all classes in each step; for at most 100 classes.
    Fab,
}

impl AttackName {
    /// All attacks that an evaluation can run.
    pub const ALL: [Self; 7] = [
        Self::ApgdCe,
        Self::ApgdDlr,
        Self::ApgdTargeted,
        Self::FabTargeted,
        Self::Square,
        Self::Pgd,
        Self::Fab,
    ];

    /// Returns the name that AutoAttack has for the attack, such as `apgd-ce`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApgdCe => "apgd-ce",
            Self::ApgdDlr => "apgd-dlr",
            Self::ApgdTargeted => "apgd-t",
            Self::FabTargeted => "fab-t",
            Self::Square => "square",
            Self::Pgd => "pgd",
            Self::Fab => "fab",
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
        let known = || format!("one of {}", Self::ALL.map(Self::name).join(", "));
        found.ok_or_else(|| Error::mismatch("attack", format_args!("{text:?}"), known()))
    }
}

/// A set of attacks that AutoAttack runs one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// AutoAttack's standard version: apgd-ce, apgd-t, fab-t and square, for 4 classes and more.
    Standard,
    /// AutoAttack's longest version: apgd-ce, apgd-dlr, fab, square, apgd-t and fab-t, the untargeted ones from 5 starts each;
    /// for 4 to 100 classes.
    Plus,
    /// AutoAttack's version for networks whose passes differ at random: apgd-ce and apgd-dlr, for 3 classes and more.
    /// AutoAttack's code averages each gradient over 20 passes; here one pass is enough, because all passes of this
    /// library's networks are the same.
    Rand,
    /// This library's own selection for 2 and 3 classes, for which targeted APGD is not defined: apgd-ce, fab-t towards every
    /// other class, and square. It is not a version of AutoAttack's authors: their standard version refuses such networks.
    FewClasses,
    /// The user's own list of attacks, or other numbers of steps, starts, targets or candidates.
    Custom,
}

impl Version {
    /// The versions that have a list of attacks of their own.
    const NAMED: [Self; 4] = [Self::Standard, Self::Plus, Self::Rand, Self::FewClasses];

    /// Returns the attacks of the version in their order; an empty list for a custom version.
    pub fn attacks(self) -> &'static [AttackName] {
        use AttackName::*;
        match self {
            Self::Standard => &[ApgdCe, ApgdTargeted, FabTargeted, Square],
            Self::Plus => &[ApgdCe, ApgdDlr, Fab, Square, ApgdTargeted, FabTargeted],
            Self::Rand => &[ApgdCe, ApgdDlr],
            Self::FewClasses => &[ApgdCe, FabTargeted, Square],
            Self::Custom => &[],
        }
    }

    /// Returns the version for this number of classes: the standard one where it is defined, else that for few classes.
    pub fn for_classes(classes: u32) -> Self {
        if classes < 4 { Self::FewClasses } else { Self::Standard }
    }

    /// Returns the name of this version of AutoAttack on the command line and in files, such as `standard`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Plus => "plus",
            Self::Rand => "rand",
            Self::FewClasses => "few-classes",
            Self::Custom => "custom",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The loss that the attack PGD with restarts maximises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The cross-entropy of the network's output with the label.
    CrossEntropy,
    /// The difference of logits ratio (DLR); for at least 3 classes, or 4 if targeted.
    Dlr,
    /// Carlini and Wagner's margin: the largest other logit, or the target's, minus the label's.
    Margin,
}

/// Settings of the attack PGD with restarts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestartedPgd {
    /// The number of steps from each start.
    pub steps: u32,
    /// The length of one step, measured in the attack's norm.
    pub step_size: f32,
    /// The number of starts: the first at the image itself, all others at random points of the ball.
    pub restarts: u32,
    /// The momentum, which is the part of the last step's direction that is kept, below 1. Above 0 the attack is
    /// [`MomentumPgd`](crate::attack::MomentumPgd), whose result is the iterate of highest loss; at 0 it is
    /// [`Pgd`](crate::attack::Pgd), whose result is the last iterate.
    pub momentum: f32,
    /// The loss that PGD's steps increase.
    pub loss: Loss,
    /// Whether the steps from each start are repeated towards each of several target classes.
    pub targeted: bool,
}

impl RestartedPgd {
    /// Makes settings of 50 steps of an eighth of the radius that maximise the cross-entropy, from one start.
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

/// An evaluation by several attacks, each run on the images that none before has broken, as AutoAttack does it.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoAttack {
    /// The norm in which the radius of the ball is measured.
    pub norm: Norm,
    /// The radius of the ball around each image, outside of which no attack counts; finite, above 0.
    pub eps: f32,
    /// The attacks of the evaluation, in the order in which they run.
    pub attacks: Vec<AttackName>,
    /// The seed of all random numbers. An image's random numbers depend on it and on the image's index.
    pub seed: u64,
    /// The number of images that go through the network at once, at most 65,535.
    pub batch: u32,
    /// The number of steps of APGD and FAB.
    pub steps: u32,
    /// The number of starts of untargeted APGD, all at random, and of untargeted FAB, whose first is at the image itself.
    pub restarts: u32,
    /// The number of target classes of targeted attacks, the likeliest first; all classes but the label's where there are fewer.
    pub targets: u32,
    /// The number of candidates that Square tries for each image after the first candidate.
    pub queries: u32,
    /// The settings of PGD, if it is among the attacks ([`AttackName::Pgd`]).
    pub pgd: RestartedPgd,
}

impl AutoAttack {
    /// Makes the settings of AutoAttack's standard version: APGD-CE, targeted APGD-DLR and targeted FAB of 100 steps and 9
    /// targets, Square of 5,000 candidates, one start each; 64 images go through the network at once.
    pub fn standard(norm: Norm, eps: f32) -> Self {
        Self::new(Version::Standard, norm, eps)
    }

    /// Makes the settings of a version of AutoAttack; a custom one has no attacks yet, and the standard version's numbers of
    /// steps, starts, targets and candidates.
    pub fn new(version: Version, norm: Norm, eps: f32) -> Self {
        Self {
            norm,
            eps,
            attacks: version.attacks().to_vec(),
            seed: 0,
            batch: 64,
            steps: 100,
            restarts: if version == Version::Plus { 5 } else { 1 },
            targets: 9,
            queries: 5000,
            pgd: RestartedPgd::new(eps),
        }
    }

    /// Returns the version of AutoAttack that has these attacks, steps, starts, targets and candidates.
    pub fn version(&self) -> Version {
        let is = |version: &Version| {
            let Self { norm, eps, seed, batch, pgd, .. } = *self;
            *self == Self { seed, batch, pgd, ..Self::new(*version, norm, eps) }
        };
        Version::NAMED.into_iter().find(is).unwrap_or(Version::Custom)
    }

    /// Returns how many rounds an attack makes over the images: one for each start and target.
    pub(super) fn rounds(&self, attack: AttackName, classes: u32) -> u32 {
        let targets = self.targets.min(classes.saturating_sub(1));
        match attack {
            AttackName::ApgdCe | AttackName::ApgdDlr | AttackName::Fab => self.restarts,
            AttackName::ApgdTargeted | AttackName::FabTargeted => targets,
            AttackName::Square => 1,
            AttackName::Pgd if self.pgd.targeted => self.pgd.restarts * targets,
            AttackName::Pgd => self.pgd.restarts,
        }
    }

    /// Checks the settings. Err for settings that cannot be run with this many classes, or on images of `words` values.
    pub fn check(&self, classes: u32, words: usize) -> Result<()> {
        let wrong = |given: String, wanted: &str| Err(Error::mismatch("attack", given, wanted));
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return wrong(format!("eps {}", self.eps), "a finite number above 0");
        }
        check_radius(self.norm, self.eps, words)?;
        if self.attacks.is_empty() || self.batch == 0 || self.batch > 65_535 {
            let given = format!("{} attacks, {} images at once", self.attacks.len(), self.batch);
            return wrong(given, "at least one attack, and 1 to 65535 images at once");
        }
        let counts = [self.steps, self.restarts, self.targets, self.queries, self.pgd.restarts];
        if counts.contains(&0) {
            let given = format!("steps, restarts, targets, queries, PGD restarts {counts:?}");
            return wrong(given, "at least 1 of each");
        }
        let RestartedPgd { steps, step_size, momentum, .. } = self.pgd;
        if !(0.0..1.0).contains(&momentum) {
            return wrong(format!("momentum {momentum} of PGD"), "0 or more, below 1");
        }
        let goes = steps > 0 && step_size > 0.0 && step_size.is_finite();
        if self.attacks.contains(&AttackName::Pgd) && !goes {
            let given = format!("{steps} PGD steps, length {step_size}");
            return wrong(given, "1 or more, of finite length above 0");
        }
        for &attack in &self.attacks {
            let least = match (attack, self.pgd.loss, self.pgd.targeted) {
                (AttackName::ApgdDlr, _, _) | (AttackName::Pgd, Loss::Dlr, false) => 3,
                (AttackName::ApgdTargeted, _, _) | (AttackName::Pgd, Loss::Dlr, true) => 4,
                _ => 2,
            };
            if classes < least {
                let version = Version::FewClasses;
                let list: Vec<_> = version.attacks().iter().map(|attack| attack.name()).collect();
                let wanted = format!(
                    "at least {least} for {attack}: version {version} ({}) is for fewer",
                    list.join(", ")
                );
                return wrong(format!("{classes} classes"), &wanted);
            }
        }
        Ok(())
    }
}
