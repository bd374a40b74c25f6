//! Tests the checkpoint files in `formats`, a folder of the golden (reference) cases: its `formats.json` says of each file
//! whether it loads, and which tensors it holds then.

use lapidary::model::{Checkpoint, WideResNet};
use std::path::{Path, PathBuf};

/// Files of the list that the committed part has; the whole folder has them all.
const COMMITTED: usize = 15;

fn folder() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("LAPIDARY_GOLDEN").map(PathBuf::from);
    let shared = root.join("../shared/golden");
    let committed = root.join("tests/golden/cases");
    named.unwrap_or(if shared.is_dir() { shared } else { committed })
}

#[test]
fn golden_files_load_exactly_or_are_refused() {
    let _alone = crate::alone();
    let folder = folder();
    let list = std::fs::read(folder.join("formats/formats.json")).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let expected = Checkpoint::read(folder.join(list["expected"].as_str().unwrap())).unwrap();
    let model = WideResNet::from_checkpoint(&expected).unwrap();
    let mut checked = 0;
    for entry in list["files"].as_array().unwrap() {
        let name = entry["file"].as_str().unwrap();
        let path = folder.join(name);
        if !path.exists() {
            println!("{name}: not here, left out");
            continue;
        }
        checked += 1;
        let read = Checkpoint::read(&path);
        let read = read.and_then(|read| read.check(&model.parameters()).map(|()| read));
        match (entry["expect"].as_str().unwrap(), read) {
            ("load", Ok(read)) => {
                for (tensor, wanted) in expected.weights.iter() {
                    let given = read.weights.get(tensor).unwrap();
                    assert_eq!(given.shape, wanted.shape, "{name} {tensor}");
                    let half = |number: f32| half::f16::from_f32(number).to_f32();
                    let wanted = wanted
                        .data
                        .iter()
                        .map(|&number| if name.contains("half") { half(number) } else { number });
                    assert!(wanted.eq(given.data.iter().copied()), "{name} {tensor}");
                }
            }
            ("refuse", Err(error)) => {
                let error = error.to_string();
                println!("{error}");
                let file = path.file_name().unwrap().to_str().unwrap();
                let reason = error.split_once(&format!("{file}: ")).expect(&error).1;
                let word = match file {
                    "bad_global_getcwd.pth" | "bad_pickle_bare.pth" => "posix.getcwd",
                    "bad_global_print.pth" => "__builtin__.print",
                    "bad_missing_key.pth" => "block2.layer.0.bn2.running_var",
                    "bad_extra_key.pth" => "aux.weight",
                    "bad_shape.pth" => "fc.weight",
                    "bad_dtype.pth" => "block1.layer.0.conv1.weight",
                    "bad_truncated.pth" | "bad_header_len.safetensors" => "cut off",
                    _ => "",
                };
                assert!(reason.len() > 5 && reason.contains(word), "{error}");
            }
            (expect, read) => panic!("{name}: {expect}, but {:?}", read.map(|read| read.metadata)),
        }
    }
    println!("{checked} files");
    assert!(checked >= COMMITTED, "{checked} files of {}", folder.display());
}
