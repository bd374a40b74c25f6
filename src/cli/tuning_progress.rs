//! Shows a bar while candidate kernels are measured, and prints which ones are dropped and why.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::tell;
use crate::gpu::TuningEvent;

/// Draws on stderr how far the measurement of kernels is.
#[derive(Debug)]
pub struct TuningProgress {
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl TuningProgress {
    /// Makes the display of the measurement of kernels. `quiet` draws no bar, but still reports dropped candidates, as each is
    /// reported only once.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, bar: Mutex::default() }
    }

    /// Draws one event of the measurement of kernels.
    pub fn event(&self, event: &TuningEvent) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            TuningEvent::Measuring { .. } if self.quiet => {}
            TuningEvent::Measuring { key, done, total, left, budget } => {
                let seconds = left.as_secs_f64().min(budget.as_secs_f64());
                let at_most = format!("at most {seconds:.0} s");
                if std::io::stderr().is_terminal() {
                    let bar = bar.get_or_insert_with(|| fresh(*total as u64));
                    bar.set_position(*done as u64);
                    bar.set_message(format!("{at_most}: {key}"));
                } else if *done == 0 {
                    tell(&format!("timing the candidate kernels of {total} operations, {at_most}"));
                }
            }
            TuningEvent::Dropped(dropped) => above(bar.as_ref(), &dropped.to_string()),
            TuningEvent::Skipped { key, reason } => {
                above(bar.as_ref(), &format!("{key} is not measured: {reason}"));
            }
            TuningEvent::Done { answered, open } => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
                if *open > 0 && !self.quiet {
                    let later =
                        "will be at a later start and keep their default kernels until then";
                    tell(&format!("{answered} operations measured, {open} {later}"));
                }
            }
        }
    }
}

fn fresh(total: u64) -> ProgressBar {
    // The template is fixed; the plain bar stands in should it ever be refused.
    let style = ProgressStyle::with_template("tuning   {bar:16} {pos:>4}/{len} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

/// Says something above the bar, if one is drawn.
fn above(bar: Option<&ProgressBar>, text: &str) {
    match bar {
        Some(bar) => bar.println(text),
        None => tell(text),
    }
}
