//! Tests checkpoints in the forms that users' files have: each is read with the right tensors, or refused with the named reason.
//! The script `tests/peers/forms.py` made the files and the expected results. With `LAPIDARY_FORMS=DIR` the tests read those in
//! DIR, which the script has made anew: `scripts/peers` runs them so.

use lapidary::model::Checkpoint;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[test]
fn every_form_is_read_or_refused_for_its_reason() {
    let _alone = crate::alone();
    let committed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/forms");
    let folder = std::env::var_os("LAPIDARY_FORMS").map_or_else(committed, PathBuf::from);
    let expected = std::fs::read(folder.join("expected.json")).unwrap();
    let expected: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&expected).unwrap();
    let mut wrong = Vec::new();
    for (name, right) in &expected {
        if name.ends_with(".onnx") && cfg!(not(feature = "onnx")) {
            continue;
        }
        let found = match Checkpoint::read(folder.join(name)) {
            Ok(read) => {
                let sum = |data: &[f32]| data.iter().map(|&number| f64::from(number)).sum::<f64>();
                let tensors = read.weights.iter();
                let tensors = tensors
                    .map(|(name, tensor)| (name.to_owned(), (&tensor.shape, sum(&tensor.data))));
                serde_json::json!({ "tensors": tensors.collect::<BTreeMap<_, _>>() })
            }
            Err(error) => serde_json::json!({ "refused": error.to_string() }),
        };
        let same = match (right["refused"].as_str(), found["refused"].as_str()) {
            (Some(word), Some(reason)) => reason.contains(word) && reason.contains(name.as_str()),
            (None, None) => *right == found,
            _ => false,
        };
        if !same {
            wrong.push(format!("{name}: {right} wanted, but {found}"));
        }
    }
    assert!(expected.len() >= 60, "{} files", expected.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}
