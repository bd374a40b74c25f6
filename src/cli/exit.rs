//! Turns an error into one sentence and an exit code.

use std::process::ExitCode;

use super::terminal::tell;
use crate::Error;

const OTHER: u8 = 1;
const USAGE: u8 = 2;
const FILE: u8 = 3;
const GPU: u8 = 4;
const DIVERGED: u8 = 5;
/// Stopped by Ctrl-C, SIGTERM or SIGUSR1.
pub const STOPPED: u8 = 6;

/// Failures of the program itself, beside the library's errors.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// The first Ctrl-C or SIGTERM; all is saved.
    #[error("stopped by a signal; {0}")]
    Stopped(String),
}

/// Prints clap's answer: help and version to stdout with 0, all else to stderr with 2.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        drop(error.print());
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    say(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
    ExitCode::from(USAGE)
}

/// Waits, so that the process which knows the reason can report it first: some launchers end all processes as soon as one
/// has failed.
pub fn give_way() {
    std::thread::sleep(std::time::Duration::from_secs(1));
}

/// The exit code of [`usage`] alone.
pub fn quiet_usage(error: &clap::Error) -> ExitCode {
    give_way();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Prints what went wrong.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    say(&format!("{error:#}"));
    ExitCode::from(code(error))
}

/// The exit code alone: another process of the same work says what went wrong.
pub fn quiet_failure(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(code(error))
}

/// Whether an error means that somebody asked to stop.
pub fn is_stopped(error: &anyhow::Error) -> bool {
    code(error) == STOPPED
}

/// Says on stderr which program speaks, and the text.
pub fn say(text: &str) {
    tell(&format!("lapidary: {text}"));
}

/// Returns the exit code for an error.
pub fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        match cause.downcast_ref::<Failure>() {
            Some(Failure::Usage(_)) => return USAGE,
            Some(Failure::Stopped(_)) => return STOPPED,
            None => {}
        }
        if let Some(error) = cause.downcast_ref::<Error>() {
            return match error {
                Error::BadConfig { .. } | Error::World(_) => USAGE,
                Error::BadFile { .. } => FILE,
                Error::NoAdapter(_)
                | Error::MissingLimit { .. }
                | Error::OutOfMemory(_)
                | Error::DeviceLost(_)
                | Error::Gpu { .. } => GPU,
                Error::Diverged { .. } => DIVERGED,
                Error::Stopped => STOPPED,
                Error::Mismatch { .. }
                | Error::NoDerivative { .. }
                | Error::NonFinite { .. }
                | Error::Bug { .. }
                | Error::Thread { .. } => OTHER,
            };
        }
    }
    OTHER
}
