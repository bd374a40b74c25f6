//! Embeds samplers, attackers and classifiers in another wgpu app, the host: in each frame they add to the host's command encoder
//! as much work as fits the time that the host allows, and leave their results in a buffer, or in a texture that the host draws.
//!
//! The host lends its device ([`Gpu::from_wgpu`]); WebGPU's guaranteed limits and no features suffice, and
//! [`check`] lists what falls short. Making a sampler, attacker or classifier is async, and submits uploads and a few steps to
//! learn the device's pace; its `record` neither submits nor waits nor allocates. After a loss of the device the host calls
//! [`Gpu::notify_lost`], and every later call returns [`Error::DeviceLost`](crate::Error::DeviceLost).
//!
//! An encoder has to belong to the device that was lent. wgpu does not tell to which device an encoder belongs, so `record` cannot
//! refuse another one: with an encoder of another device of the same `wgpu::Instance`, that device reports a validation error when
//! the encoder is finished, to the error scope that is open there; with one of another instance wgpu panics, or uses other
//! resources that have the same ids.
//!
//! `docs/embed.md` is a guide with code that runs.

mod ascent;
mod classifier;
mod needs;
mod picture;
mod slices;

pub use crate::gpu::{
    Filtering, Gpu, Precision, Preferences, Tune, required_features, required_limits,
};
pub use ascent::{Ascent, AscentBuilder, Attacker, Attacking, Sampler, Sampling};
pub use classifier::{ClassifierBuilder, HostClassifier};
pub use needs::{Missing, check};
pub use slices::Budget;
