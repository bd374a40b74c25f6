//! Training runs: the configuration, the two stages (adversarial, then dual adversarial training), the events that are reported
//! meanwhile, and the run folder.
//!
//! With the feature `learn` alone there are no runs, only the parts from which a caller builds a training loop: [`Learner`],
//! [`Update`] and [`Optimiser`].

#[cfg(feature = "train")]
mod assess;
#[cfg(feature = "train")]
mod attacker;
#[cfg(feature = "train")]
mod checkpoints;
#[cfg(feature = "train")]
mod config;
mod curriculum;
#[cfg(feature = "train")]
mod curves;
#[cfg(feature = "train")]
mod events;
#[cfg(feature = "train")]
mod fit;
mod learner;
#[cfg(feature = "train")]
mod limits;
#[cfg(feature = "train")]
mod loaded;
#[cfg(feature = "train")]
mod lock;
mod loss;
mod loss_scale;
#[cfg(feature = "train")]
mod material;
#[cfg(feature = "train")]
mod metrics;
#[cfg(feature = "train")]
mod network;
mod optimiser;
#[cfg(feature = "train")]
mod picture;
#[cfg(feature = "train")]
mod presets;
#[cfg(feature = "train")]
mod reduction;
#[cfg(feature = "train")]
mod replay;
#[cfg(feature = "train")]
mod run;
#[cfg(feature = "train")]
mod run_folder;
#[cfg(feature = "train")]
mod saver;
#[cfg(feature = "train")]
mod shapes;
#[cfg(feature = "train")]
mod stage_tables;
#[cfg(feature = "train")]
mod stages;
#[cfg(feature = "train")]
mod state;
mod synchronise;
#[cfg(feature = "train")]
mod tables;
#[cfg(feature = "train")]
mod tensorboard;
#[cfg(feature = "train")]
mod unread;
mod update;
#[cfg(feature = "train")]
mod validate;
#[cfg(feature = "train")]
pub(crate) mod zoo;

#[cfg(feature = "train")]
pub use assess::{Assessment, assess};
#[cfg(feature = "train")]
pub use checkpoints::{latest_checkpoint, read_checkpoint};
#[cfg(feature = "train")]
pub use config::{
    ActivationName, CheckpointTable, Config, Data, Evaluate, Judge, ModelTable, Sample,
};
#[cfg(feature = "train")]
pub use events::{Event, Flow, Observer, Phase, Step};
#[cfg(feature = "train")]
pub use fit::{StageCosts, fit, plans};
pub use learner::Learner;
#[cfg(feature = "train")]
pub(crate) use loaded::read_named;
#[cfg(feature = "train")]
pub use loaded::{BUILT_IN_NAME, Known, Loaded, find};
#[cfg(feature = "train")]
pub use material::Material;
#[cfg(feature = "train")]
pub use metrics::Metrics;
pub use optimiser::Optimiser;
#[cfg(feature = "train")]
pub use presets::preset_names;
#[cfg(feature = "train")]
pub use reduction::Reduction;
#[cfg(feature = "train")]
pub use run::{BEST_FILE, Outcome, Seconds, train, train_judge};
#[cfg(feature = "train")]
pub use run_folder::RunFolder;
#[cfg(feature = "train")]
pub(crate) use run_folder::write_whole;
#[cfg(feature = "train")]
pub use shapes::{Forecast, forecast};
#[cfg(feature = "train")]
pub use stage_tables::{AttackTable, Schedule, Stage1, Stage2, StageAttack};
#[cfg(feature = "train")]
pub use state::{MODEL_FILE, STATE_FILE};
#[cfg(feature = "train")]
pub use tables::{Jem, ObjectiveName, OptimiserName, Ratio, ScoreName, Stop, Trades, Validate};
pub use update::{Contrast, Dual, Report, Score, Sources, Term, Update};
// The parts of a run that the program and tests use by themselves: no part of the API.
#[doc(hidden)]
pub use {curriculum::Curriculum, optimiser::schedule};
#[cfg(feature = "train")]
#[doc(hidden)]
pub use {
    loaded::numbered, network::check_run, presets::fraction, replay::ReplayBuffer,
    shapes::check_stages, shapes::plan_update, tensorboard::EventFile,
};
