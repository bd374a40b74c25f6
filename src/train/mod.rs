//! Training runs: configuration, what is told while they go on, and the folder they leave behind.

mod config;
mod events;
mod metrics;
mod presets;
mod run_folder;

pub use config::{
    Activation, Attack, Checkpoint, Config, Data, Evaluate, Judge, Model, Sample, Stage1, Stage2,
};
pub use events::{Event, Flow, Observer, Phase, Step};
pub use metrics::Metrics;
pub use presets::fraction;
pub use run_folder::{RunFolder, latest_checkpoint, read_checkpoint};
