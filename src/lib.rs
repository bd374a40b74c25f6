//! Trains, attacks, samples and explains joint energy-based models on any GPU through WebGPU.

pub mod attack;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "data")]
pub mod data;
pub mod error;
#[cfg(feature = "eval")]
pub mod eval;
pub mod gpu;
pub mod graph;
pub mod model;
pub mod ops;
pub mod rewrite;
#[cfg(feature = "train")]
pub mod train;

pub use error::{Error, Result};
pub use wgpu;
