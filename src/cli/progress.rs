//! Shows progress: bars where stderr is a terminal, elsewhere a line at each phase's start and end and every five seconds
//! between.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::{lines, tell};
use crate::report::clock;
use crate::train::{Event, Phase, Step};

const BETWEEN_LINES: Duration = Duration::from_secs(5);
/// The share of a stage's time without images that is worth a word.
const TOLD_WAIT: f32 = 0.05;

/// Draws the progress of a command on stderr, by the events that it is told.
#[derive(Debug)]
pub struct Progress {
    surface: Surface,
    pace: Pace,
    /// The share of the phase's work that is done, where it is known more finely than by whole iterations or images.
    share: Option<f64>,
}

#[derive(Debug)]
enum Surface {
    Quiet,
    Lines { last: Option<Instant> },
    Bar { bar: Option<ProgressBar> },
}

impl Progress {
    /// Makes progress lines, or a bar where stderr is a terminal; with `quiet` nothing is ever printed.
    pub fn new(quiet: bool) -> Self {
        let surface = if quiet {
            Surface::Quiet
        } else if std::io::stderr().is_terminal() {
            Surface::Bar { bar: None }
        } else {
            Surface::Lines { last: None }
        };
        Self { surface, pace: Pace::default(), share: None }
    }

    /// Sets the share of the phase's work that is done, from 0 to 1, which the next steps show: a single image may take minutes.
    pub fn share(&mut self, share: f64) {
        self.share = Some(share);
    }

    /// Prints a line between phases or above the bar.
    pub fn line(&mut self, text: &str) {
        match &self.surface {
            Surface::Quiet => {}
            Surface::Bar { bar: Some(bar) } => bar.println(lines(text)),
            _ => tell(text),
        }
    }

    /// Draws one event, of a training run or of another command.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Phase { phase, done, total } => self.begin(*phase, *done, *total),
            Event::Step(step) => self.step(step),
            Event::Note { text } => self.line(text),
            Event::Saved { .. } => {}
        }
    }

    /// Takes the bar away, as the last phase is over.
    pub fn finish(&mut self) {
        if let Surface::Bar { bar } = &mut self.surface
            && let Some(bar) = bar.take()
        {
            bar.finish();
        }
    }

    fn begin(&mut self, phase: Phase, done: u64, total: u64) {
        (self.pace, self.share) = (Pace::begin(done as f64), None);
        self.finish();
        match &mut self.surface {
            Surface::Quiet => {}
            Surface::Bar { bar } => {
                // The template is fixed; the plain bar stands in should it ever be refused.
                let style =
                    ProgressStyle::with_template("{prefix:<8} {bar:16} {pos:>4}/{len} {wide_msg}")
                        .unwrap_or_else(|_| ProgressStyle::default_bar());
                let new = ProgressBar::new(total).with_position(done).with_style(style);
                new.set_prefix(phase.name());
                new.set_message("starting");
                *bar = Some(new);
            }
            Surface::Lines { last } => {
                *last = Some(Instant::now());
                let from = if done > 0 { format!(", {done} of them done") } else { String::new() };
                let unit = match phase {
                    Phase::Sample | Phase::Evaluate => "images",
                    _ => "iterations",
                };
                self.line(&format!("{phase:<8} {total} {unit}{from}"));
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let now = Instant::now();
        self.pace.advance(step.iteration as f64, now);
        let finished = step.iteration >= step.total;
        let share = self.share;
        let words = |pace: &Pace| describe(step, pace, share);
        match &mut self.surface {
            Surface::Quiet => {}
            Surface::Bar { bar: Some(bar) } => {
                bar.set_position(step.iteration);
                bar.set_message(words(&self.pace));
            }
            Surface::Bar { bar: None } => {}
            Surface::Lines { last } => {
                if finished || last.is_none_or(|last| now - last >= BETWEEN_LINES) {
                    *last = Some(now);
                    let Step { phase, iteration, total, .. } = step;
                    let line = format!("{phase:<8} {iteration:>4}/{total} {}", words(&self.pace));
                    self.line(line.trim_end());
                }
            }
        }
    }
}

/// The pace of some work, in seconds. The first advance is left out, because kernels are compiled in it: nothing is known
/// before the second.
#[derive(Debug, Default)]
pub(super) struct Pace {
    done: f64,
    since: Option<Instant>,
    /// What was done after the first advance, and when that was.
    first: Option<(f64, Instant)>,
    /// Seconds that an iteration takes, of late: later ones of stage 2 take longer.
    seconds: Option<f64>,
}

impl Pace {
    /// Begins where so much is done.
    pub(super) fn begin(done: f64) -> Self {
        Self { done, since: Some(Instant::now()), ..Self::default() }
    }

    /// Takes in how much is done now.
    pub(super) fn advance(&mut self, done: f64, now: Instant) {
        let (Some(since), true) = (self.since, done > self.done) else { return };
        if self.first.is_some() {
            let each = (now - since).as_secs_f64() / (done - self.done);
            self.seconds = Some(self.seconds.map_or(each, |before| 0.9 * before + 0.1 * each));
        } else {
            self.first = Some((done, now));
        }
        (self.done, self.since) = (done, Some(now));
    }

    /// Returns how much was done after the first advance, and the seconds that it took.
    pub(super) fn measured(&self) -> Option<(f64, f64)> {
        let ((done, at), now) = self.first.zip(self.since)?;
        Some((self.done - done, (now - at).as_secs_f64()))
    }
}

/// Describes the share that is done, rate, time left and measurements in few characters.
fn describe(step: &Step, pace: &Pace, share: Option<f64>) -> String {
    let mut words = Vec::new();
    words.extend(share.map(|share| format!("{:.0} % of the work", 100.0 * share)));
    if let Some(each) = pace.seconds.filter(|each| *each > 0.0) {
        words.push(match step.images_per_second {
            Some(rate) => format!("{rate:.0} images/s"),
            None => format!("{:.1} it/s", 1.0 / each),
        });
        let left = each * step.total.saturating_sub(step.iteration) as f64;
        if left > 0.0 {
            words.push(format!("{} left", clock(left)));
        }
    }
    let waits = step.wait_share.filter(|share| *share >= TOLD_WAIT);
    words.extend(waits.map(|share| format!("waits for images {:.0} %", 100.0 * share)));
    words.extend(step.t.map(|t| format!("T {t}")));
    let numbers = [
        ("AUC", step.auc),
        ("BCE", step.loss_bce),
        ("CE", step.loss_ce),
        ("KL", step.loss_kl),
        ("uniform", step.loss_uniform),
        ("energy gap", step.energy_gap),
        ("R1", step.r1),
        ("accuracy", step.accuracy),
        ("clean", step.clean_accuracy),
        ("PGD", step.pgd_accuracy),
    ];
    words
        .extend(numbers.iter().filter_map(|(name, value)| value.map(|v| format!("{name} {v:.3}"))));
    words.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_in_words() {
        let mut step = Step::new(Phase::Stage2, 10, 70);
        (step.t, step.auc, step.loss_bce, step.loss_ce) =
            (Some(3), Some(0.8125), Some(0.25), Some(1.5));
        let pace = Pace { seconds: Some(0.5), ..Pace::default() };
        let words = "2.0 it/s  0:30 left  T 3  AUC 0.812  BCE 0.250  CE 1.500";
        step.wait_share = Some(0.01);
        assert_eq!(describe(&step, &pace, None), words);
        step.wait_share = Some(0.25);
        assert!(describe(&step, &pace, None).contains("waits for images 25 %"));
        assert!(describe(&step, &pace, Some(0.375)).starts_with("38 % of the work  2.0 it/s"));
    }

    /// A first iteration of a minute, which compiles, and others of half a second.
    #[test]
    fn the_first_iteration_is_no_pace() {
        let mut pace = Pace::begin(3.0);
        let began = pace.since.unwrap();
        let at = |seconds: f64| began + Duration::from_secs_f64(seconds);
        let mut step = Step::new(Phase::Stage1, 4, 105);
        step.images_per_second = Some(1.0);
        pace.advance(4.0, at(60.0));
        assert_eq!(describe(&step, &pace, None), "");
        assert_eq!(pace.measured(), Some((0.0, 0.0)));
        step.iteration = 5;
        pace.advance(5.0, at(60.5));
        assert_eq!(describe(&step, &pace, None), "1 images/s  0:50 left");
        pace.advance(5.0, at(70.0));
        pace.advance(7.0, at(61.5));
        assert_eq!((pace.seconds, pace.measured()), (Some(0.5), Some((3.0, 1.5))));
    }
}
