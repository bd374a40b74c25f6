//! The library's one error type. Every message names the op, file or key, what was given and what was wanted.

use std::path::{Path, PathBuf};

/// What the library's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// One variant for each thing a caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Install a driver or name another adapter.
    #[error(
        "no GPU adapter ({0}): install a Vulkan, Metal or DirectX 12 driver; without a GPU, Mesa's lavapipe (Debian: mesa-vulkan-drivers)"
    )]
    NoAdapter(String),
    /// The adapter lacks a limit or feature that was asked for.
    #[error("{adapter} has {given}, but {wanted} is needed")]
    MissingLimit {
        /// The adapter's name.
        adapter: String,
        /// The limit or feature as it is.
        given: String,
        /// What was wanted instead.
        wanted: String,
    },
    /// Correct the arguments.
    #[error("{op}: {given} given, {wanted} wanted")]
    Mismatch {
        /// The op or function.
        op: &'static str,
        /// What was given.
        given: String,
        /// What was wanted.
        wanted: String,
    },
    /// Ask for other derivatives.
    #[error("{op}: no derivative, because {why}")]
    NoDerivative {
        /// The op on the path.
        op: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// Use a smaller batch or model.
    #[error("out of GPU memory while {0}")]
    OutOfMemory(String),
    /// Open a device anew and start from the last checkpoint.
    #[error("the GPU device was lost: {0}")]
    DeviceLost(String),
    /// Report a bug here or in the driver.
    #[error("the GPU failed while {doing}: {reason}")]
    Gpu {
        /// What was asked of the device.
        doing: String,
        /// The driver's or wgpu's words.
        reason: String,
    },
    /// Report a bug here or in a driver, or free the system's memory and threads.
    #[error("{doing}: {reason}")]
    Thread {
        /// What a thread was for.
        doing: String,
        /// Why it ended without a result.
        reason: String,
    },
    /// Start the processes of a run in another way, or look after the one that is named.
    #[error("{0}")]
    World(String),
    /// Give another file.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong in it, and where.
        reason: String,
    },
    /// Correct the configuration.
    #[error("config: {key} = {value} given, {allowed} wanted")]
    BadConfig {
        /// Dotted key.
        key: String,
        /// The value as written.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// No action is needed: the caller's progress callback asked to stop.
    #[error("stopped by the caller")]
    Stopped,
    /// Give finite images, or a network whose numbers fit.
    #[error(
        "the network's logits of image {image} are not finite ({value}), so they name no class: its weights are too large, or the image is damaged"
    )]
    NonFinite {
        /// The image's place among those that were given, from 0.
        image: usize,
        /// The first logit that is none.
        value: f32,
    },
    /// Start from the last good checkpoint with other settings.
    #[error("training diverged at step {step}: {what}{}", last_good.as_ref().map_or(String::new(), |path| format!("; last good checkpoint {}", path.display())))]
    Diverged {
        /// The iteration.
        step: u64,
        /// The value that was not finite.
        what: String,
        /// What to resume from, if anything was saved.
        last_good: Option<PathBuf>,
    },
}

impl Error {
    /// `given` does not fit what `op` takes: `wanted` says what does.
    pub fn mismatch(op: &'static str, given: impl ToString, wanted: impl ToString) -> Self {
        Self::Mismatch { op, given: given.to_string(), wanted: wanted.to_string() }
    }

    /// The same, of an image that is at `places[image]` of all.
    #[cfg(feature = "eval")]
    pub(crate) fn among(self, places: &[usize]) -> Self {
        match self {
            Self::NonFinite { image, value } => {
                Self::NonFinite { image: places.get(image).copied().unwrap_or(image), value }
            }
            other => other,
        }
    }

    /// A file that cannot be used, with the reason.
    pub fn bad_file(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::BadFile { path: path.as_ref().into(), reason: reason.to_string() }
    }
}
