//! The types that most programs need, for `use lapidary::prelude::*;`. It leaves out [`Result`](crate::Result), whose name
//! would hide the standard library's.

pub use crate::Error;
pub use crate::attack::{Attack, Pgd, PgdAttack, Start};
pub use crate::embed::{Budget, HostClassifier, Sampler};
#[cfg(feature = "eval")]
pub use crate::eval::Classifier;
pub use crate::gpu::{Gpu, Options};
pub use crate::graph::{Graph, Value};
pub use crate::lower::Program;
pub use crate::model::{BatchSize, Checkpoint, DeviceWeights, Model, Network, Pretrained};
