//! Tests checkpoint files: written and read again, from other tools, and ones that must be refused.

use lapidary::model::{
    Activation, Checkpoint, Metadata, Normalisation, StateDict, Tensor, WideResNet, initial,
};

fn small() -> (WideResNet, Checkpoint) {
    let normalisation = Normalisation { mean: vec![0.286_040_6], std: vec![0.353_024_24] };
    let model = WideResNet::new(10, 1, 1, 10, Activation::Silu, Some(normalisation)).unwrap();
    let metadata = Metadata {
        side: Some(16),
        preset: Some("fashion".into()),
        step: Some(800),
        other: [("note".to_owned(), "a \"quoted\" one".to_owned())].into(),
        ..model.metadata()
    };
    let weights = initial::initial(&model.parameters(), 5);
    (
        model,
        Checkpoint {
            metadata,
            weights,
            source: "made.safetensors".into(),
            ..Checkpoint::default()
        },
    )
}

fn read(bytes: &[u8]) -> lapidary::Result<Checkpoint> {
    Checkpoint::from_bytes("given.safetensors", bytes)
}

#[test]
fn there_and_back() {
    let (model, checkpoint) = small();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, b"an older file").unwrap();
    checkpoint.write(&path).unwrap();
    let back = Checkpoint::read(&path).unwrap();
    assert_eq!(back.weights, checkpoint.weights);
    assert_eq!(back.metadata.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(Metadata { version: None, ..back.metadata.clone() }, checkpoint.metadata);
    assert_eq!(WideResNet::from_checkpoint(&back).unwrap(), model);
    assert_eq!(back.to_bytes().unwrap(), std::fs::read(&path).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    let nowhere = checkpoint.write(folder.path().join("no/such/folder.safetensors")).unwrap_err();
    assert!(nowhere.to_string().contains("folder.safetensors"), "{nowhere}");
}

#[test]
fn shapes_tell_what_metadata_leave_out() {
    let (model, mut checkpoint) = small();
    let normalisation = checkpoint.metadata.normalisation.clone();
    let activation = checkpoint.metadata.activation;
    checkpoint.metadata = Metadata { normalisation, activation, ..Metadata::default() };
    assert_eq!(WideResNet::from_checkpoint(&checkpoint).unwrap(), model);
}

#[test]
fn prefixes_of_wrappers_are_taken_off() {
    let (_, checkpoint) = small();
    for prefix in ["base_model.", "module.", "module.module."] {
        let named = |(name, tensor): (&str, &Tensor)| (format!("{prefix}{name}"), tensor.clone());
        let mut wrapped: StateDict = checkpoint.weights.iter().map(named).collect();
        let one = Tensor::new(vec![], vec![1.0]).unwrap();
        if prefix != "base_model." {
            wrapped
                .insert(if prefix == "module." { "n_averaged" } else { "module.n_averaged" }, one);
        }
        let bytes = Checkpoint { weights: wrapped, ..checkpoint.clone() }.to_bytes().unwrap();
        assert_eq!(read(&bytes).unwrap().weights, checkpoint.weights, "{prefix}");
    }
}

#[test]
fn what_does_not_fit_the_model_is_listed() {
    let (model, mut checkpoint) = small();
    checkpoint.weights.remove("fc.bias");
    checkpoint.weights.insert("aux.weight", Tensor::new(vec![2], vec![0.0; 2]).unwrap());
    checkpoint.weights.insert("fc.weight", Tensor::new(vec![10, 63], vec![0.0; 630]).unwrap());
    let error = checkpoint.check(&model.parameters()).unwrap_err().to_string();
    for line in [
        "made.safetensors",
        "missing     fc.bias [10]",
        "mismatched  fc.weight [10, 63], but the model has [10, 64]",
        "unexpected  aux.weight [2]",
    ] {
        assert!(error.contains(line), "{error}");
    }
}

/// A file of this header over so many bytes of data.
fn file_of(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn hostile_files_are_refused_by_name_and_reason() {
    let sound = small().1.to_bytes().unwrap();
    let tensor = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let one = |dtype, shape, start, end| format!("{{{}}}", tensor("a.b", dtype, shape, start, end));
    let two = |start, end| {
        format!("{{{},{}}}", tensor("a", "F32", "[2]", 0, 8), tensor("b", "F32", "[2]", start, end))
    };
    let huge = [&(1u64 << 62).to_le_bytes()[..], b"{}"].concat();
    let cases = [
        (vec![], "an empty file"),
        (vec![1, 2, 3], "cut off"),
        (sound[..100].to_vec(), "cut off"),
        (sound[..sound.len() - 1].to_vec(), "fc.weight: cut off"),
        ([&sound[..], &[0]].concat(), "1 bytes follow the last tensor"),
        (huge, "100 MB"),
        (file_of("{nonsense", 0), "safetensors file"),
        (file_of(&"[".repeat(100_000), 0), "safetensors file"),
        (file_of(&one("F32", "[3]", 0, 8), 8), "a.b: 8 bytes do not fit F32 of shape [3]"),
        (file_of(&one("F32", "[4294967296,4294967296,4]", 0, 8), 8), "a.b: 8 bytes do not fit"),
        (file_of(&one("F32", "[2]", 8, 16), 16), "a.b: bytes 8 to 16 overlap"),
        (file_of(&one("F32", "[2]", 0, 8), 4), "a.b: cut off"),
        (file_of(&two(4, 12), 12), "b: bytes 4 to 12 overlap"),
        (file_of(&one("I32", "[2]", 0, 8), 8), "a.b: the tensor has int32 values"),
        (file_of(&one("F99", "[2]", 0, 8), 8), "safetensors file"),
        (file_of(r#"{"__metadata__":{"lapidary.depth":"ten"}}"#, 0), "metadata: depth"),
        (file_of(r#"{"__metadata__":{"lapidary.mean":"[0.5]"}}"#, 0), "metadata: std"),
        (file_of(r#"{"__metadata__":{"lapidary.act":"tanh"}}"#, 0), "metadata: act is tanh"),
        (
            file_of(
                &format!(
                    "{{{},{}}}",
                    tensor("x", "F32", "[1]", 0, 4),
                    tensor("module.x", "F32", "[1]", 4, 8)
                ),
                8,
            ),
            "",
        ),
    ];
    for (bytes, reason) in &cases[..cases.len() - 1] {
        let error = read(bytes).map(drop).expect_err(reason).to_string();
        assert!(
            error.starts_with("given.safetensors: ") && error.contains(reason),
            "{error} / {reason}"
        );
    }
    assert_eq!(
        read(&cases[cases.len() - 1].0).unwrap().weights.len(),
        2,
        "not all have the prefix"
    );
    let missing = Checkpoint::read("no/such/file").unwrap_err().to_string();
    assert!(missing.starts_with("no/such/file: "), "{missing}");
}
