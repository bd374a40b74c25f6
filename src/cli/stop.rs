//! Handles Ctrl-C and SIGTERM: the first asks to save and stop, the second stops at once. SIGUSR1, by which schedulers announce
//! the end of a job's time, asks to save and stop however often it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::Context;

use super::exit;

/// The handle that says whether a signal to stop has come.
#[derive(Clone, Debug)]
pub struct Stop {
    count: Arc<AtomicU32>,
    announced: Arc<AtomicBool>,
}

impl Stop {
    /// Takes over the process's signals, once: for commands that look at [`Stop::asked`] often. Of several processes that
    /// work together one says so.
    pub fn listen(speaks: bool) -> anyhow::Result<Self> {
        let count = Arc::new(AtomicU32::new(0));
        let seen = count.clone();
        ctrlc::set_handler(move || {
            if seen.fetch_add(1, Ordering::Relaxed) > 0 {
                std::process::exit(exit::STOPPED.into());
            }
            if speaks {
                exit::say("stopping after this iteration; a second signal stops at once");
            }
        })
        .context("cannot listen to the signals that stop the program")?;
        let announced = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, announced.clone())
            .context("cannot listen to the signal SIGUSR1")?;
        Ok(Self { count, announced })
    }

    /// Returns whether a signal has asked to save and stop.
    pub fn asked(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0 || self.announced.load(Ordering::Relaxed)
    }
}
