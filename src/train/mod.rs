//! Training runs: the configuration, the two stages, the events that are reported meanwhile, and the run folder.

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
mod stage_tables;
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
    ActivationName, CheckpointTable, Config, Data, Evaluate, Judge, ModelTable, Sample,
};
pub use events::{Event, Flow, Observer, Phase, Step};
pub use fit::{StageCosts, fit, plans};
pub use learner::Learner;
pub(crate) use loaded::read_named;
pub use loaded::{BUILT_IN_NAME, Known, Loaded, find};
pub use material::Material;
pub use metrics::Metrics;
pub use optimiser::Optimiser;
pub use presets::preset_names;
pub use reduction::Reduction;
pub use run::{BEST_FILE, Outcome, Seconds, train, train_judge};
pub use run_folder::RunFolder;
pub(crate) use run_folder::write_whole;
pub use shapes::{Forecast, forecast};
pub use stage_tables::{Stage1, Stage2, StageAttack};
pub use state::{MODEL_FILE, STATE_FILE};
pub use tables::{Jem, ObjectiveName, OptimiserName, Ratio, ScoreName, Stop, Trades, Validate};
pub use update::{Contrast, Dual, Report, Score, Sources, Term, Update};
// The parts of a run that the program and tests use by themselves: no part of the API.
#[doc(hidden)]
pub use {
    curriculum::Curriculum, loaded::numbered, presets::fraction, replay::ReplayBuffer,
    shapes::check_stages, shapes::plan_update, tensorboard::EventFile,
};
