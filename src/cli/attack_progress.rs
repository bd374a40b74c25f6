//! Shows a progress bar for each attack of an evaluation, with the robust accuracy so far.

use std::time::Instant;

use super::progress::Progress;
use crate::eval::Progress as At;
use crate::report::clock;
use crate::train::{Event, Phase, Step};

/// Draws on stderr how far an evaluation is.
#[derive(Debug)]
pub struct AttackProgress {
    progress: Progress,
    began: Instant,
    /// The attack that runs, and since when.
    current: Option<(usize, Instant)>,
}

impl AttackProgress {
    /// Nothing is drawn before the first attack.
    pub fn new(progress: Progress) -> Self {
        Self { progress, began: Instant::now(), current: None }
    }

    /// Shows the progress of an attack.
    pub fn show(&mut self, at: &At) {
        let now = Instant::now();
        if self.current.is_none_or(|(number, _)| number != at.number) {
            self.current = Some((at.number, now));
            let total = at.tried as u64;
            self.progress.line(&format!(
                "{} on {} points, {:.1} % robust so far, {} since the start",
                at.attack,
                at.tried,
                100.0 * at.robust_accuracy,
                clock((now - self.began).as_secs_f64())
            ));
            self.progress.event(&Event::Phase { phase: Phase::Evaluate, done: 0, total });
        }
        // Points that the work done so far comes to: where an attack goes over them several times, each time is a part.
        let position = (at.done * at.tried as f64).floor() as u64;
        let mut step = Step::new(Phase::Evaluate, position, at.tried as u64);
        step.accuracy = Some(at.robust_accuracy as f32);
        let seconds = self.current.map_or(0.0, |(_, since)| (now - since).as_secs_f64());
        if seconds > 0.0 {
            step.images_per_second = Some((at.done * at.tried as f64 / seconds) as f32);
        }
        self.progress.event(&Event::Step(step));
    }

    /// The last attack is over.
    pub fn finish(&mut self) {
        self.progress.finish();
    }
}
