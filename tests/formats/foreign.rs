//! Tests files that people take for checkpoints: for a file of another kind the error says what the file is and what to do, and
//! weights are found in the many places where training programs keep them.

use crate::build::{archive, dict, floats, global, int, pickle, tuple, vector, zip};
use crate::{read, read_within, refused};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

#[test]
fn files_of_other_kinds_are_named() {
    let _alone = crate::alone();
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let entry = |name: &str| vec![(name.to_owned(), vec![1, 2, 3])];
    for (file, words) in [
        (vec![], "an empty file"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03rest".to_vec(), "with gunzip first"),
        (b"BZh91AY&SY".to_vec(), "bunzip2"),
        (b"\xfd7zXZ\0\0\x04\xe6".to_vec(), "unxz"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x01\0\0".to_vec(), "unzstd"),
        (b"\x89HDF\r\n\x1a\n\0\0\0".to_vec(), "HDF5"),
        (b"<!DOCTYPE html><html>Virus scan warning</html>".to_vec(), "a web page"),
        (b"<html>404</html>".to_vec(), "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a".to_vec(), "git lfs pull"),
        (b"\x93NUMPY\x01\0v\0{'descr'".to_vec(), "NumPy"),
        (tar, "tar -xf"),
        (zip(&entry("conv1.weight.npy")), "NumPy's arrays (.npz)"),
        (
            zip(&entry("model.pth")),
            "not exactly one data.pkl in it: if a checkpoint is in it, unpack",
        ),
        (pickle(&dict(&[("a", int(1))])), "write its tensors with torch.save"),
    ] {
        let reason = refused(read_within(&file, 1 << 16));
        assert!(reason.contains(words), "{words}: {reason}");
    }
}

/// The type of numbers is named before the size is compared with the file's, because smaller numbers have another size.
#[test]
fn types_that_are_no_weights_are_named() {
    let _alone = crate::alone();
    for (dtype, word) in [
        (Dtype::I8, "int8"),
        (Dtype::F8_E4M3, "float8 or other"),
        (Dtype::F8_E5M2, "float8 or other"),
    ] {
        let bytes = vec![0; 5000];
        let view = TensorView::new(dtype, vec![5000], &bytes).unwrap();
        let file = serialize([("conv1.weight", view)], None).unwrap();
        let reason = refused(read(&file));
        assert!(
            reason.contains(&format!("conv1.weight: the tensor has {word} values")),
            "{reason}"
        );
    }
}

/// Under whole numbers, deep in dicts, in an object's attributes, and in what an object was made of, as `torch.compile` has
/// its network. Beside weights in the usual places these are not looked at.
#[test]
fn weights_in_odd_places_are_found() {
    let _alone = crate::alone();
    let state = || dict(&[("a.x", vector("0", 2)), ("b.x", vector("1", 2))]);
    let under = |key: Vec<u8>, value: Vec<u8>| [&b"}("[..], &key, &value, b"u"].concat();
    let object = |state: Vec<u8>| [&global("ema", "Average")[..], b")\x81", &state, b"b"].concat();
    let deep = (0..8).fold(state(), |inner, _| dict(&[("in", inner)]));
    let module = object(dict(&[
        ("_parameters", dict(&[])),
        (
            "_modules",
            dict(&[("c", object(dict(&[("_parameters", state()), ("_modules", dict(&[]))])))]),
        ),
    ]));
    let made =
        [&global("torch._dynamo.eval_frame", "OptimizedModule")[..], &tuple(&[module]), b"R"]
            .concat();
    let storages = [("0", floats(&[1.0, 2.0])), ("1", floats(&[3.0, 4.0]))];
    for (opcodes, names) in [
        (under(int(3), state()), ["a.x", "b.x"]),
        (deep, ["a.x", "b.x"]),
        (object(dict(&[("shadow", state())])), ["a.x", "b.x"]),
        (dict(&[("average", object(dict(&[("shadow", state())])))]), ["a.x", "b.x"]),
        (made, ["a.x", "b.x"]),
    ] {
        let read = read_within(&archive(&opcodes, &storages), 1 << 18).unwrap();
        let found: Vec<_> = read.weights.iter().map(|(name, _)| name).collect();
        assert_eq!(found, names);
    }
    let optimiser = under(int(0), dict(&[("momentum_buffer", vector("1", 2))]));
    let usual = dict(&[
        ("net", dict(&[("a", vector("0", 2))])),
        ("optimizer", dict(&[("state", optimiser)])),
    ]);
    assert_eq!(read_within(&archive(&usual, &storages), 1 << 18).unwrap().weights.len(), 1);
    // Whole numbers alone name no tensors.
    let numbered = under(int(0), vector("0", 2));
    assert!(
        refused(read_within(&archive(&numbered, &storages), 1 << 18))
            .contains("no dict with tensors")
    );
}
