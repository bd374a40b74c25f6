#![doc = include_str!("../README.md")]
//!
//! # Layers
//! The crate's modules form layers, listed here from the highest to the lowest, and each imports only those below it: `cli` and
//! [`embed`], `report`, `train`, `eval`, [`doctor`], [`attack`], [`model`], [`lower`], [`ops`], [`graph`], [`gpu`]; beside them
//! `data`, which uses no GPU, `files`, which has what readers of files share, and `world`, the processes that work together.

pub mod attack;
// The program's commands, for `main.rs`: no part of the API.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "data")]
pub mod data;
pub mod doctor;
pub mod embed;
pub mod error;
#[cfg(feature = "eval")]
pub mod eval;
mod files;
pub mod gpu;
pub mod graph;
pub mod lower;
pub mod model;
pub mod ops;
pub mod prelude;
#[cfg(feature = "report")]
pub mod report;
mod threads;
#[cfg(feature = "learn")]
pub mod train;
#[cfg(feature = "eval")]
pub mod world;

pub use error::{Error, Result};
pub use wgpu;
