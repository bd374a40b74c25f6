//! Turns an error into one sentence and an exit code.

use std::process::ExitCode;

use super::terminal::tell;
use crate::Error;

const OTHER: u8 = 1;
const USAGE: u8 = 2;
const FILE: u8 = 3;
const GPU: u8 = 4;
const DIVERGED: u8 = 5;
/// The exit code after Ctrl-C, SIGTERM or SIGUSR1.
pub const STOPPED: u8 = 6;

/// Failures of the program itself, beside the library's errors.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Arguments that do not go together, with a sentence on why.
    #[error("{0}")]
    Usage(String),
    /// The command was stopped by the first Ctrl-C or SIGTERM, or by SIGUSR1, and everything is saved.
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

/// Waits before this process reports an error, so that the process which knows the reason can report it first: some launchers end
/// all processes as soon as one has failed.
pub fn give_way() {
    std::thread::sleep(std::time::Duration::from_secs(1));
}

/// Waits, and returns the exit code of [`usage`] without printing anything.
pub fn quiet_usage(error: &clap::Error) -> ExitCode {
    give_way();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Prints an error, and returns its exit code.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    say(&format!("{error:#}"));
    ExitCode::from(code(error))
}

/// Returns the exit code of an error and prints nothing: another process of the same work says what went wrong.
pub fn quiet_failure(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(code(error))
}

/// Returns whether an error means that somebody asked to stop.
pub fn is_stopped(error: &anyhow::Error) -> bool {
    code(error) == STOPPED
}

/// Prints a text on stderr, after the program's name.
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
