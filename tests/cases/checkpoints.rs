//! Checkpoint files: what is said of them, and what is asked for before they are used.

use crate::working;
use lapidary::model::{Checkpoint, Pretrained, Tensor};

const DEMO: &[u8] = include_bytes!("../../data/fashion-demo/model.safetensors");

fn demo() -> Checkpoint {
    Checkpoint::from_bytes("demo", DEMO).unwrap()
}

/// Every command, the page and a library's user open a file by the same function, which refuses what nobody may run.
#[test]
fn a_checkpoint_is_opened_in_one_way() {
    let opened = Pretrained::from_bytes("demo", DEMO).unwrap();
    assert_eq!(opened.side(None).unwrap(), 16);
    assert_eq!(opened.side(Some(24)).unwrap(), 24);
    assert_eq!(opened.class_names().unwrap()[9], "ankle boot");

    let refused = |change: fn(&mut Checkpoint)| {
        let mut checkpoint = demo();
        change(&mut checkpoint);
        let bytes = checkpoint.to_bytes().unwrap();
        Pretrained::from_bytes("given", &bytes).unwrap_err().to_string()
    };
    let untold = refused(|checkpoint| checkpoint.metadata = Default::default());
    assert!(untold.contains("how images are normalised"), "{untold}");
    let infinite = refused(|checkpoint| {
        let bias = Tensor::new(vec![10], [[0.0; 9].as_slice(), &[f32::INFINITY]].concat());
        checkpoint.weights.insert("fc.bias", bias.unwrap());
    });
    assert!(infinite.contains("fc.bias is inf at 9"), "{infinite}");
    let missing = refused(|checkpoint| drop(checkpoint.weights.remove("fc.bias")));
    assert!(missing.contains("missing     fc.bias"), "{missing}");

    let mut sideless = demo();
    sideless.metadata.side = None;
    sideless.metadata.class_names = Some(vec!["one".into()]);
    let opened = Pretrained::from_checkpoint(sideless).unwrap();
    assert!(opened.side(None).unwrap_err().to_string().contains("no side"));
    assert_eq!(opened.class_names(), None, "one name for ten classes");
}

/// The program's own network has its names in its file, not in the program.
#[test]
fn class_names_come_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = demo();
    let names = (0..10).map(|class| format!("kind {class}")).collect();
    checkpoint.metadata.class_names = Some(names);
    checkpoint.write(folder.path().join("named.safetensors")).unwrap();
    let told = working(folder.path(), &["inspect", "named.safetensors"]);
    assert!(told.contains("kind 9"), "{told}");
}
