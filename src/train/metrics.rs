//! The final accuracies, AUROC, times and other results of a run as one flat JSON object, `metrics.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The content of `metrics.json`, measured with the averaged weights at the end of training. Numbers that were not measured
/// are null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// The share of the test images that are classified correctly.
    pub clean_accuracy: Option<f64>,
    /// The accuracy on test images under the attack of `[evaluate]`.
    pub pgd_accuracy: Option<f64>,
    /// The AUROC with which logsumexp tells test images from out-of-distribution images.
    pub ood_auroc: Option<f64>,
    /// The share of the samples that the judge, a second classifier, gives the class they were drawn for.
    pub judge_agreement: Option<f64>,
    /// The number T of gradient steps by which contrastive images were made at the end of stage 2 (dual adversarial training).
    pub t_reached: Option<u32>,
    /// The number of images in the updates of both training stages, divided by the seconds that the stages took.
    pub images_per_second: Option<f64>,
    /// The seconds of stage 1, adversarial training.
    pub seconds_stage1: Option<f64>,
    /// The seconds of stage 2, dual adversarial training.
    pub seconds_stage2: Option<f64>,
    /// The seconds that training the judge took.
    pub seconds_judge: Option<f64>,
    /// The seconds of measuring accuracies and AUROC.
    pub seconds_evaluate: Option<f64>,
    /// The seconds that drawing samples took.
    pub seconds_sample: Option<f64>,
    /// The seconds from the program's start to the report.
    pub seconds_total: Option<f64>,
    /// The adapter's name, as `lapidary devices` prints it.
    pub adapter: Option<String>,
    /// Further numbers and names, written flat beside the fields above.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}
