//! Checks that imports run from upper layers to lower ones only, that only `gpu` and `embed` name wgpu, that `data` and
//! `world` import nothing of the crate's layers, and that only `world` names MPI.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail so"
)]

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};

/// From the lowest to the highest. `embed` is a surface beside `cli`.
const LAYERS: [&str; 11] =
    ["gpu", "graph", "ops", "lower", "model", "attack", "doctor", "eval", "train", "report", "cli"];

#[test]
fn imports_run_downwards() {
    for (height, layer) in LAYERS.iter().enumerate() {
        for path in sources(layer) {
            for upper in LAYERS[height + 1..].iter().chain(&["embed"]) {
                assert!(!imports(&path, upper), "{path:?} imports {upper}");
            }
        }
    }
    for path in sources("embed") {
        assert!(!imports(&path, "cli"), "{path:?} imports cli");
    }
}

#[test]
fn gpu_and_embed_alone_name_wgpu() {
    for layer in LAYERS[1..].iter().chain(&["data"]) {
        for path in sources(layer) {
            assert!(!code(&path).contains("wgpu"), "{path:?} names wgpu");
        }
    }
}

#[test]
fn data_and_world_know_nothing_of_ours() {
    for (beside, other) in [("data", "world"), ("world", "data")] {
        for path in sources(beside) {
            for layer in LAYERS.iter().chain(&["embed", other]) {
                assert!(!imports(&path, layer), "{path:?} imports {layer}");
            }
        }
    }
}

#[test]
fn world_alone_names_mpi() {
    for layer in LAYERS.iter().chain(&["data", "embed", "error", "lib", "main", "threads"]) {
        for path in sources(layer) {
            let code = code(&path);
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(words.all(|word| word != "mpi"), "{path:?} names mpi");
        }
    }
    assert!(!sources("world").is_empty());
}

/// A reader who meets a type's name knows which type it is, whatever module is imported.
#[test]
fn no_public_name_has_two_meanings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let api = fs::read_to_string(root.join(".ci/api.txt")).unwrap();
    let mut paths = BTreeMap::new();
    for line in api.lines() {
        let mut words = line.split([' ', '<', '(', '{']);
        let kinds = ["struct", "enum", "union", "trait", "type"];
        if let (Some("pub"), Some(kind), Some(path)) = (words.next(), words.next(), words.next())
            && kinds.contains(&kind)
        {
            // Types within a type, as those of a trait, are named with it.
            let (module, name) = path.trim_end_matches(':').rsplit_once("::").unwrap();
            let of_type = module.rsplit("::").next().unwrap().starts_with(char::is_uppercase);
            let other = paths.insert(name.to_owned(), path).filter(|_| !of_type);
            assert!(other.is_none(), "{name} is {path} and {}", other.unwrap());
        }
    }
    assert!(paths.len() > 100, "{paths:?}");
}

/// Files of `src/LAYER.rs` and `src/LAYER/`; none where the layer is not there yet.
fn sources(layer: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.join(layer)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    let file = src.join(layer).with_extension("rs");
    found.extend(file.exists().then_some(file));
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found
}

/// The file without comments, which may name anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether the file says `crate::LAYER` or has it in a `use crate::{...}` list.
fn imports(path: &Path, layer: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
    };
    let code = code(path);
    code.split("crate::").skip(1).any(|rest| match rest.strip_prefix('{') {
        // Names at the top of the list are the layers: what nested braces hold is theirs.
        Some(list) => top_of(list)
            .split(',')
            .any(|item| words(item.trim()).first().is_some_and(|w| w == layer)),
        None => words(rest).first().is_some_and(|word| word == layer),
    })
}

/// A brace list up to its end, without what nested braces hold.
fn top_of(list: &str) -> String {
    let mut depth = 0;
    let ends = |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth >= 0).then_some((c, depth))
    };
    list.chars().map_while(ends).filter(|&(_, depth)| depth == 0).map(|(c, _)| c).collect()
}

#[test]
fn nested_imports_are_seen() {
    assert_eq!(
        top_of("gpu::{Access, Kernel}, graph::Op};\nfn main() {}").replace('}', ""),
        "gpu::, graph::Op"
    );
}
