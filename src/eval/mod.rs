//! What a trained network is worth: accuracy with and without attacks, AutoAttack, telling real images from others,
//! samples. Numbers are worked out in f64 on the host from logits.

mod accuracy;
mod auroc;
mod classifier;
mod measure;
mod robustness;
mod sampler;

pub use accuracy::{accuracy, logsumexp, pgd_accuracy};
pub use auroc::auroc;
pub use classifier::{Classifier, argmax};
pub use measure::{Measured, measure};
pub use robustness::{
    AttackName, AttackResult, AutoAttack, Loss, PgdAttack, Point, Progress, RobustAccuracy, State,
    Warning,
};
pub use sampler::{Samples, sample};
