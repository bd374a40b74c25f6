//! Accuracy under the worst of several attacks, as AutoAttack measures it (Croce and Hein 2020, arXiv 2003.01690).
//!
//! [`AutoAttack`] says what is run; its `run` returns a [`RobustAccuracy`]: what each attack did, the outcome for each image,
//! the attacked images that were misclassified, and [`Warning`]s where the robust accuracy may be too high. A [`State`] lets an
//! interrupted evaluation go on.

mod attackers;
mod checks;
mod lanes;
mod moved;
mod ranks;
mod result;
mod run;
mod settings;
mod state;

pub use result::{AttackResult, Point, RobustAccuracy, Warning};
pub use run::Progress;
pub use settings::{AttackName, AutoAttack, Loss, RestartedPgd, Version};
pub use state::State;
