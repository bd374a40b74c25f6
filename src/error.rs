//! The library's one error type, whose variants differ in what a caller can do about the error. Messages about arguments, files
//! and settings name the op, file or key, and what is wrong with what was given.

use std::path::{Path, PathBuf};

/// The result of the library's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the library. Variants differ in what a caller can do about the error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No GPU adapter was found, or none that fits the name asked for: install a driver or name another adapter.
    #[error(
        "no GPU adapter ({0}): install a Vulkan, Metal or DirectX 12 driver; without a GPU, Mesa's lavapipe (Debian: mesa-vulkan-drivers)"
    )]
    NoAdapter(String),
    /// The adapter lacks a limit or feature that was asked for.
    #[error("{adapter} has {given}, but {wanted} is needed")]
    MissingLimit {
        /// The name of the adapter that lacks the limit or feature.
        adapter: String,
        /// The limit or feature that the adapter has.
        given: String,
        /// The limit or feature that is needed.
        wanted: String,
    },
    /// Arguments do not fit each other or the function: correct them.
    #[error("{op}: got {given}; expected {wanted}")]
    Mismatch {
        /// The op or function whose arguments do not fit.
        op: &'static str,
        /// The argument that was given.
        given: String,
        /// The argument that is expected.
        wanted: String,
    },
    /// A gradient cannot be computed, because an op that it passes through has no derivative, or because the result does not
    /// depend on the value by which it is differentiated: differentiate with respect to other values.
    #[error("{op}: there is no derivative, because {why}")]
    NoDerivative {
        /// The op without a derivative, or `gradient` where the result does not depend on the value that it is differentiated by.
        op: &'static str,
        /// The reason why there is no derivative.
        why: &'static str,
    },
    /// The GPU's memory is short, or something is beyond a fixed limit of size: use a smaller batch or network.
    #[error("{0}")]
    OutOfMemory(String),
    /// The GPU device was lost, as after a driver's reset: open a device anew and start from the last checkpoint.
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// The GPU or its driver failed: report the failure to the authors of this library or of the driver.
    #[error("the GPU failed while {doing}: {reason}")]
    Gpu {
        /// What the library was doing, such as `reading buffers back`.
        doing: String,
        /// What the driver or wgpu said about the failure.
        reason: String,
    },
    /// A thread could not start, or ended without a result: free the system's memory and threads, or report the failure to the
    /// authors of this library or of the driver.
    #[error("{doing}: {reason}")]
    Thread {
        /// What the thread was doing, such as `making the batches of step 7`.
        doing: String,
        /// Why it ended without a result.
        reason: String,
    },
    /// Processes of a run failed or were not started as one run; the text says what to do.
    #[error("{0}")]
    World(String),
    /// A file cannot be used: give another one.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file or folder that cannot be used.
        path: PathBuf,
        /// The fault in the file, and its place.
        reason: String,
    },
    /// A value of the configuration is not allowed: correct it.
    #[error("{}{key} is {value}, but has to be {allowed}", table(key))]
    BadConfig {
        /// The dotted key in the configuration.
        key: String,
        /// The value of the key, as it was given.
        value: String,
        /// The values that the key may have.
        allowed: String,
    },
    /// The caller's progress callback asked to stop; no action is needed.
    #[error("stopped by the caller")]
    Stopped,
    /// A network computed logits that are not finite: give finite images, or a network whose weights are sound.
    #[error(
        "the network's logits of image {image} (counted from 0) are not finite ({value}): its weights are too large, or the image is damaged"
    )]
    NonFinite {
        /// The index of the image among those given, from 0.
        image: usize,
        /// The first logit of the image that is not finite.
        value: f32,
    },
    /// A fault in the library itself, which no caller can cause: report it.
    #[error("{op}: {what}; this is a bug in lapidary, please report it")]
    Bug {
        /// The op or function in which the fault is.
        op: &'static str,
        /// The state that must not occur.
        what: String,
    },
    /// Training diverged: start from the last good checkpoint with other settings.
    #[error("training diverged at step {step}: {what}{}", last_good.as_ref().map_or(String::new(), |path| format!("; last good checkpoint {}", path.display())))]
    Diverged {
        /// The training iteration in which the value was not finite.
        step: u64,
        /// The value that was not finite.
        what: String,
        /// The checkpoint to resume from, if one was saved.
        last_good: Option<PathBuf>,
    },
}

/// What stands before a key in messages: options of the program begin with `--`, all others are keys of a configuration.
fn table(key: &str) -> &'static str {
    if key.starts_with("--") { "" } else { "config: " }
}

impl Error {
    /// Makes the error that `op` was given `given`, but expects `wanted`.
    pub fn mismatch(op: &'static str, given: impl ToString, wanted: impl ToString) -> Self {
        Self::Mismatch { op, given: given.to_string(), wanted: wanted.to_string() }
    }

    /// Makes the error for a state that no caller can cause: `what` describes it.
    pub(crate) fn bug(op: &'static str, what: impl ToString) -> Self {
        Self::Bug { op, what: what.to_string() }
    }

    /// Returns the error with an image's index among all, which is `places[image]`.
    #[cfg(feature = "eval")]
    pub(crate) fn among(self, places: &[usize]) -> Self {
        match self {
            Self::NonFinite { image, value } => {
                Self::NonFinite { image: places.get(image).copied().unwrap_or(image), value }
            }
            other => other,
        }
    }

    /// Makes the error that a file cannot be used, with the reason.
    pub fn bad_file(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::BadFile { path: path.as_ref().into(), reason: reason.to_string() }
    }
}

/// The number of names that [`listed`] writes before it only counts them.
const LISTED: usize = 20;

/// Joins names for a message: the first 20, and the number of the others.
pub(crate) fn listed(names: &[impl AsRef<str>]) -> String {
    let text = names.iter().take(LISTED).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
#[test]
fn many_names_are_counted() {
    let names: Vec<_> = (0..23).map(|name| name.to_string()).collect();
    assert_eq!(listed(&names[..3]), "0, 1, 2");
    assert!(listed(&names).ends_with("18, 19 and 3 more"));
    assert_eq!(listed(&names[..0]), "");
}
