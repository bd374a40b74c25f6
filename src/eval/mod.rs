//! Evaluates trained networks: accuracy with and without attacks, AutoAttack, out-of-distribution detection, calibration,
//! and the quality of samples. Numbers are worked out in f64 on the host from logits and features.

mod accuracy;
mod auroc;
mod calibration;
mod classifier;
#[cfg(feature = "generation")]
pub mod corruption;
mod counterfactual;
mod drawing;
mod extraction;
mod features;
#[cfg(feature = "generation")]
mod frechet;
mod inception_score;
mod input_gradient;
mod measure;
#[cfg(feature = "generation")]
#[doc(hidden)]
pub mod npz;
mod ood;
mod robustness;
pub(crate) mod rounding;
mod sampler;
pub(crate) mod sealed;

pub use accuracy::{Accuracies, UnderPgd, accuracy, logsumexp, pgd_accuracy};
pub use auroc::{auroc, false_positives_at_95};
#[cfg(feature = "cli")]
pub(crate) use calibration::softmax;
pub use calibration::{Bin, Calibration, calibration, confidences};
pub use classifier::{Classifier, argmax};
pub use counterfactual::{Counterfactual, Counterfactuals};
pub use drawing::drawn;
pub use extraction::{Extraction, Seen};
pub use features::{Coverage, Features, Spread, coverage, kernel_distance};
#[cfg(feature = "generation")]
pub use frechet::Gaussian;
pub use inception_score::{InceptionScore, inception_score};
pub use input_gradient::{InputGradient, Of, With};
pub use measure::{Worth, measure};
pub use ood::{Detection, Hiding, Scores, detection};
pub use robustness::{
    AttackName, AttackResult, AutoAttack, Loss, Point, Progress, RestartedPgd, RobustAccuracy,
    State, Version, Warning,
};
pub use sampler::{BatchSampler, Samples, sample};
