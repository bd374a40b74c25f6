//! What all commands share: when the program began, which adapter was asked for, how much is said.

use std::path::Path;
use std::time::Instant;

use super::exit::Failure;
use super::progress::Progress;
use super::stop::Stop;
use crate::gpu::{Gpu, Options};
use crate::train::{Event, Flow};

/// One run of the program.
#[derive(Debug)]
pub struct Session {
    /// When it began: `seconds_total` counts from here.
    pub started: Instant,
    options: Options,
    quiet: bool,
}

impl Session {
    /// `adapter` goes before the environment's.
    pub fn new(adapter: Option<String>, quiet: bool) -> Self {
        let mut options = Options::from_env();
        options.adapter = adapter.or(options.adapter);
        Self { started: Instant::now(), options, quiet }
    }

    /// Whether an adapter was named, by an argument or the environment.
    pub fn names_adapter(&self) -> bool {
        self.options.adapter.is_some()
    }

    /// Opens the adapter that was asked for.
    pub fn gpu(&self) -> crate::Result<Gpu> {
        pollster::block_on(Gpu::new(&self.options))
    }

    /// Bars or lines on stderr, from now on.
    pub fn progress(&self) -> Progress {
        Progress::new(self.quiet)
    }
}

/// Draws an event and says whether a signal asks to stop: what commands give to training as its observer, after writing
/// the log.
pub fn watch(progress: &mut Progress, stop: &Stop, event: &Event) -> Flow {
    progress.event(event);
    if stop.asked() { Flow::Stop } else { Flow::Continue }
}

/// How a run ends that a signal stopped and that can go on.
pub fn stopped(run: &Path) -> anyhow::Error {
    let words = format!("go on with `lapidary train --resume --out {}`", run.display());
    Failure::Stopped(words).into()
}
