//! Trains, attacks, samples and explains joint energy-based models on any GPU through WebGPU.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "data")]
pub mod data;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod ops;
#[cfg(feature = "train")]
pub mod train;

pub use error::{Error, Result};
pub use wgpu;
