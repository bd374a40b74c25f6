//! Training runs: configuration, the two stages, what is told while they go on, and the folder they leave
//! behind.

mod assess;
mod attacker;
mod checkpoints;
mod config;
mod curriculum;
mod curves;
mod events;
mod fit;
mod learner;
mod limits;
mod loaded;
mod lock;
mod loss;
mod material;
mod metrics;
mod optimiser;
mod picture;
mod presets;
mod reduction;
mod replay;
mod run;
mod run_folder;
mod saver;
mod shapes;
mod stages;
mod state;
mod synchronise;
mod tables;
mod tensorboard;
mod update;
mod validate;
pub(crate) mod zoo;

pub use assess::{Assessment, assess};
pub use checkpoints::{latest_checkpoint, read_checkpoint};
pub use config::{
    Activation, Attack, Checkpoint, Config, Data, Evaluate, Judge, Model, Sample, Stage1, Stage2,
};
pub use curriculum::Curriculum;
pub use events::{Event, Flow, Observer, Phase, Step};
pub use fit::{Fit, fit, plans};
pub use learner::Learner;
pub(crate) use loaded::read_named;
pub use loaded::{BUILT_IN_NAME, Known, Loaded, find, numbered};
pub use material::Material;
pub use metrics::Metrics;
pub use optimiser::Optimiser;
pub use presets::{fraction, preset_names};
pub use reduction::Reduction;
pub use replay::ReplayBuffer;
pub use run::{BEST_FILE, Outcome, Seconds, train, train_judge};
pub use run_folder::RunFolder;
pub(crate) use run_folder::write_whole;
pub use shapes::{Forecast, check_stages, forecast};
pub use state::{MODEL_FILE, STATE_FILE};
pub use tables::{Jem, Objective, OptimiserName, Ratio, ScoreName, Stop, Trades, Validate};
pub use tensorboard::EventFile;
pub use update::{Contrast, Dual, Report, Score, Sources, Term, Update};
