//! Tests data in the forms that users' files have: it is read with the right images, labels and names, or refused with the named
//! reason. The script `tests/peers/data_forms.py` made the files and the expected results. With `LAPIDARY_DATA_FORMS=FILE.zip` the
//! tests read those in FILE.zip, which the script has made anew: `scripts/peers` runs them so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lapidary::Result;
use lapidary::data::{Kept, Prepared, Reading, Source, Split};
use serde_json::{Value, json};
use zip::ZipArchive;

/// The side that images are brought to. Each has one colour, so that this changes nothing.
const SIDE: u32 = 8;

/// Labels with the first value of each image, in bytes.
fn labelled(images: &Prepared) -> Vec<(u32, f32)> {
    let size = images.images().len() / images.len().max(1);
    let values = images.images().chunks(size.max(1)).map(|image| image[0] * 255.0);
    images.labels().iter().copied().zip(values).collect()
}

/// The images that were read from a form, or the reason for which it was refused, and the class names.
type Found = Result<(Vec<(u32, f32)>, Vec<String>, String)>;

/// All images that training has, those that are held out among them.
fn trained(source: &Source, divided: bool) -> Found {
    let held_out = usize::from(!divided);
    let split = Split {
        held_out: (Kept::Images(held_out), 1),
        validation: (Kept::Images(0), 0),
        most_test: 100,
    };
    let parts = source.parts(Reading::new(SIDE, None, 0.0, &[]), split)?;
    let mut all = match &parts.train {
        lapidary::data::LabelledImages::Prepared(images) => labelled(images),
        lapidary::data::LabelledImages::Pictures { .. } => {
            panic!("pictures this small are read at once")
        }
    };
    if !divided {
        all.extend(labelled(&parts.test));
    }
    Ok((all, parts.class_names, parts.damaged.join("\n")))
}

fn judged(source: &Source, channels: u32, classes: u32) -> Found {
    let found = source.evaluation([channels, SIDE, classes], None, 0.0)?;
    Ok((labelled(&found.images), found.class_names, found.notes.join("\n")))
}

/// Says what is wrong with what was found.
fn wrong(found: &Found, right: &Value, form: &Value, name: &str) -> Option<String> {
    match (found, right.as_str()) {
        (Err(error), Some(word)) => {
            let reason = error.to_string();
            let named = reason.contains(name.rsplit('/').next().unwrap());
            (!reason.contains(word) || !named)
                .then(|| format!("refused with {reason:?}, {word:?} wanted"))
        }
        (Err(error), None) => Some(format!("refused with {:?}", error.to_string())),
        (Ok((images, ..)), Some(word)) => {
            Some(format!("{} images were read, a refusal with {word:?} wanted", images.len()))
        }
        (Ok((images, names, said)), None) => {
            let mut images = images.clone();
            images.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap());
            let mut wanted: Vec<(u32, f32)> = serde_json::from_value(right.clone()).unwrap();
            wanted.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap());
            // JPEG does not keep them exactly.
            let near = |(a, b): (&(u32, f32), &(u32, f32))| a.0 == b.0 && (a.1 - b.1).abs() < 3.0;
            let same = images.len() == wanted.len() && images.iter().zip(&wanted).all(near);
            let untold = form["said"].as_array().unwrap().iter();
            let untold: Vec<_> =
                untold.filter(|word| !said.contains(word.as_str().unwrap())).collect();
            (!same || json!(names) != form["classes"] || !untold.is_empty()).then(|| {
                format!(
                    "{images:?} of {names:?}, {wanted:?} of {} wanted, {untold:?} not in {said:?}",
                    form["classes"]
                )
            })
        }
    }
}

fn unpacked(folder: &Path) {
    let committed =
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/data_forms.zip");
    let path = std::env::var_os("LAPIDARY_DATA_FORMS").map_or_else(committed, PathBuf::from);
    ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap().extract(folder).unwrap();
}

#[test]
fn every_form_of_data_is_read_or_refused_for_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    unpacked(folder.path());
    let expected = std::fs::read(folder.path().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Value> = serde_json::from_slice(&expected).unwrap();
    let mut all = Vec::new();
    for (name, form) in &expected {
        if name.ends_with(".parquet") && cfg!(not(feature = "parquet")) {
            continue;
        }
        let source = Source::parse(folder.path().join(name).to_str().unwrap()).unwrap();
        let number = |key: &str| form[key].as_u64().unwrap() as u32;
        let divided = form["train"] != form["test"] || source.is_divided().unwrap_or_default();
        let found = [
            ("train", trained(&source, divided)),
            ("test", judged(&source, number("channels"), number("count"))),
        ];
        for (part, found) in found {
            let wrong = wrong(&found, &form[part], form, name);
            all.extend(wrong.map(|wrong| format!("{name} ({part}): {wrong}")));
        }
    }
    assert!(expected.len() >= 100, "{} forms", expected.len());
    assert!(all.is_empty(), "{} of {}:\n{}", all.len(), expected.len(), all.join("\n"));
}
