//! Trains, attacks, samples and explains joint energy-based models on any GPU through WebGPU.

pub mod attack;
#[cfg(feature = "data")]
pub mod data;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod model;
pub mod ops;
pub mod rewrite;

pub use error::{Error, Result};
pub use wgpu;
