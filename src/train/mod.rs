//! Training runs: configuration, the two stages, what is told while they go on, and the folder they leave
//! behind.

mod assess;
mod config;
mod curriculum;
mod events;
mod learner;
mod material;
mod metrics;
mod presets;
mod run;
mod run_folder;
mod stages;
mod state;

pub use assess::{Assessment, assess};
pub use config::{
    Activation, Attack, Checkpoint, Config, Data, Evaluate, Judge, Model, Sample, Stage1, Stage2,
};
pub use curriculum::Curriculum;
pub use events::{Event, Flow, Observer, Phase, Step};
pub use learner::{Learner, Optimiser, Report, Sources, Update};
pub use material::Material;
pub use metrics::Metrics;
pub use presets::fraction;
pub use run::{Outcome, Seconds, train, train_judge};
pub use run_folder::{RunFolder, latest_checkpoint, read_checkpoint};
pub use stages::plans;
pub use state::{MODEL_FILE, STATE_FILE};
