//! Ctrl-C and SIGTERM: the first asks to save and stop, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

use super::exit;

/// Whether a signal has come.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicU32>);

impl Stop {
    /// Takes over the process's signals, once: for commands that look at [`Stop::asked`] often.
    pub fn listen() -> anyhow::Result<Self> {
        let count = Arc::new(AtomicU32::new(0));
        let seen = count.clone();
        ctrlc::set_handler(move || {
            if seen.fetch_add(1, Ordering::Relaxed) > 0 {
                std::process::exit(exit::STOPPED.into());
            }
            exit::say("stopping after this iteration; once more stops at once");
        })
        .context("signals cannot be listened to")?;
        Ok(Self(count))
    }

    /// Whether to save and stop.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}
