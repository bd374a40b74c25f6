//! Shows a progress bar for each attack of an evaluation, with the robust accuracy so far, and estimates how long the attacks
//! still take.

use std::time::Instant;

use super::progress::{Pace, Progress};
use crate::eval::Progress as At;
use crate::eval::{AttackName, AutoAttack};
use crate::report::clock;
use crate::train::{Event, Phase, Step};

/// Draws on stderr how far an evaluation is.
#[derive(Debug)]
pub struct AttackProgress {
    progress: Progress,
    began: Instant,
    settings: AutoAttack,
    classes: u32,
    /// The attack that runs.
    current: Option<Current>,
}

/// The attack that runs, as it was when it was first seen.
#[derive(Debug)]
struct Current {
    number: usize,
    since: Instant,
    /// The pace of shares of its work.
    pace: Pace,
    /// The number of all images, those that are broken too.
    images: f64,
    /// Whether the time that is left was told.
    told: bool,
}

/// The share of an attack's work from which on its pace is known.
const KNOWN: f64 = 0.05;
/// The number of images from which on their count shows progress well enough.
const FEW: usize = 100;
/// Seconds of an attack below which nobody needs an estimate.
const SHORT: f64 = 5.0;

impl AttackProgress {
    /// Makes a display that draws nothing before the first attack.
    pub fn new(progress: Progress, settings: &AutoAttack, classes: u32) -> Self {
        let settings = settings.clone();
        Self { progress, began: Instant::now(), settings, classes, current: None }
    }

    /// Shows how far the evaluation by attacks is.
    pub fn show(&mut self, at: &At) {
        let now = Instant::now();
        if self.current.as_ref().is_none_or(|current| current.number != at.number) {
            let images = at.tried as f64 / at.robust_accuracy.max(f64::MIN_POSITIVE);
            let (number, pace) = (at.number, Pace::begin(at.done));
            self.current = Some(Current { number, since: now, pace, images, told: false });
            let total = at.tried as u64;
            self.progress.line(&format!(
                "{} on {} images, {:.1} % robust so far, {} since the start",
                at.attack,
                at.tried,
                100.0 * at.robust_accuracy,
                clock((now - self.began).as_secs_f64())
            ));
            self.progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total });
        }
        // Images that the work done so far comes to: where an attack goes over them several times, each time is a part.
        let position = (at.done * at.tried as f64).floor() as u64;
        let mut step = Step::new(Phase::Evaluate, position, at.tried as u64);
        step.accuracy = Some(at.robust_accuracy as f32);
        let seconds =
            self.current.as_ref().map_or(0.0, |current| (now - current.since).as_secs_f64());
        if let Some(left) = self.left(at, now) {
            self.progress.line(&format!("about {} left, less if attacks succeed", clock(left)));
        }
        if seconds > 0.0 {
            step.images_per_second = Some((at.done * at.tried as f64 / seconds) as f32);
        }
        // Of few images none may be through for minutes.
        if at.tried < FEW {
            self.progress.share(at.done);
        }
        self.progress.event(&Event::Step(step));
    }

    /// The seconds that this attack and those after it still take if no image breaks any more, once for each attack: when its
    /// pace is known.
    fn left(&mut self, at: &At, now: Instant) -> Option<f64> {
        let current = self.current.as_mut()?;
        current.pace.advance(at.done, now);
        let (part, seconds) = current.pace.measured()?;
        if current.told || part < KNOWN || seconds < SHORT {
            return None;
        }
        current.told = true;
        let of = |attack| passes(&self.settings, attack, self.classes);
        let own = of(at.attack) * at.tried as f64;
        let after = self.settings.attacks.iter().skip(at.number + 1).map(|&attack| of(attack));
        let after = after.sum::<f64>() * at.robust_accuracy * current.images;
        Some(seconds / (own * part) * (own * (1.0 - at.done) + after))
    }

    /// Ends the display, as the last attack is over.
    pub fn finish(&mut self) {
        self.progress.finish();
    }
}

/// Forward passes through the network that an attack takes for each image, where a gradient counts as three: one forward, and
/// one back of twice the work.
fn passes(settings: &AutoAttack, attack: AttackName, classes: u32) -> f64 {
    let (steps, restarts) = (f64::from(settings.steps), f64::from(settings.restarts));
    let others = f64::from(classes.saturating_sub(1));
    let targets = f64::from(settings.targets).min(others);
    let pgd = &settings.pgd;
    match attack {
        AttackName::ApgdCe | AttackName::ApgdDlr => 3.0 * steps * restarts,
        AttackName::ApgdTargeted => 3.0 * steps * targets,
        // A step of FAB looks at its result in a pass of its own.
        AttackName::FabTargeted => 4.0 * steps * targets,
        AttackName::Fab => (3.0 * others + 1.0) * steps * restarts,
        AttackName::Square => f64::from(settings.queries) + 1.0,
        AttackName::Pgd => {
            let targets = if pgd.targeted { targets } else { 1.0 };
            3.0 * f64::from(pgd.steps) * f64::from(pgd.restarts) * targets
        }
    }
}

/// An eighth of the attack within two minutes, in which kernels are compiled, and then another one in ten seconds.
#[test]
fn what_compiles_is_not_in_the_estimate() {
    let (attack, at) = (AttackName::ApgdCe, Instant::now());
    let settings = AutoAttack {
        attacks: vec![attack],
        ..AutoAttack::standard(crate::ops::Norm::Linf, 8.0 / 255.0)
    };
    let mut shown = AttackProgress::new(Progress::new(true), &settings, 10);
    let mut done = |done, seconds| {
        let at_now = At { attack, number: 0, done, tried: 4, robust_accuracy: 1.0, state: None };
        if shown.current.is_none() {
            shown.show(&at_now);
        }
        shown.left(&at_now, at + std::time::Duration::from_secs(seconds))
    };
    assert_eq!([done(0.0, 1), done(0.125, 120)], [None; 2]);
    assert_eq!(done(0.25, 130), Some(60.0));
    assert_eq!(done(0.5, 150), None, "it is told once");
}

#[test]
fn passes_of_the_standard_attacks() {
    let settings = AutoAttack::standard(crate::ops::Norm::Linf, 8.0 / 255.0);
    let of = |attack| passes(&settings, attack, 10);
    assert_eq!(of(AttackName::ApgdCe), 300.0);
    assert_eq!(of(AttackName::ApgdTargeted), 2700.0, "nine targets");
    assert_eq!(of(AttackName::FabTargeted), 3600.0);
    assert_eq!(of(AttackName::Square), 5001.0);
    assert_eq!(passes(&settings, AttackName::ApgdTargeted, 4), 900.0, "three other classes");
}
