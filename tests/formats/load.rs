//! What sound files say: types of numbers, strides, parameters, wrappers, training states.

use crate::build::{Tensor, archive, dict, floats, global, stream, text, tuple, vector};
use crate::{read, refused};
use lapidary::model::Checkpoint;
use lapidary::model::checkpoint::{Part, Precision};

const NUMBERS: [f32; 6] = [0.5, -1.5, 2.0, 0.25, -8.0, 16.0];

#[test]
fn both_containers_say_the_same() {
    let _alone = crate::alone();
    let (shape, strides) = (&[2, 3][..], &[1, 2][..]);
    let tensor = Tensor { storage: "0", kind: "FloatStorage", count: 6, offset: 0, shape, strides };
    let opcodes = dict(&[("a", tensor.opcodes()), ("b", vector("1", 2))]);
    let storages = [("0", floats(&NUMBERS)), ("1", floats(&NUMBERS[..2]))];
    let files = [archive(&opcodes, &storages), stream(&opcodes, &storages, 4)];
    for file in files {
        let weights = read(&file).unwrap().weights;
        assert_eq!(weights.get("a").unwrap().shape, [2, 3]);
        assert_eq!(weights.get("a").unwrap().data, [0.5, 2.0, -8.0, -1.5, 0.25, 16.0]);
        assert_eq!(weights.get("b").unwrap().data, NUMBERS[..2]);
    }
}

#[test]
fn floating_point_types_become_f32() {
    let _alone = crate::alone();
    let bytes = |each: &dyn Fn(f32) -> Vec<u8>| NUMBERS.iter().flat_map(|&x| each(x)).collect();
    let cases: [(&str, Vec<u8>); 3] = [
        ("DoubleStorage", bytes(&|x| f64::from(x).to_le_bytes().into())),
        ("HalfStorage", bytes(&|x| half::f16::from_f32(x).to_le_bytes().into())),
        ("BFloat16Storage", bytes(&|x| half::bf16::from_f32(x).to_le_bytes().into())),
    ];
    for (kind, bytes) in cases {
        let (shape, strides) = (&[6][..], &[1][..]);
        let tensor = Tensor { storage: "0", kind, count: 6, offset: 0, shape, strides }.opcodes();
        let file = archive(&dict(&[("a", tensor)]), &[("0", bytes)]);
        assert_eq!(read(&file).unwrap().weights.get("a").unwrap().data, NUMBERS, "{kind}");
    }
    let (shape, strides) = (&[3][..], &[1][..]);
    let tensor = |kind, count| Tensor { storage: "0", kind, count, offset: 0, shape, strides };
    let opcodes = dict(&[("a", tensor("LongStorage", 3).opcodes())]);
    let reason = refused(read(&archive(&opcodes, &[("0", floats(&NUMBERS))])));
    assert!(reason.contains("a: int64 values"), "{reason}");
    // The same counts beside the weights are left out.
    let opcodes = dict(&[
        ("bn.num_batches_tracked", tensor("LongStorage", 3).opcodes()),
        ("bn.weight", vector("1", 6)),
    ]);
    let storages = [("0", floats(&NUMBERS)), ("1", floats(&NUMBERS))];
    assert_eq!(read(&archive(&opcodes, &storages)).unwrap().weights.len(), 1);
}

#[test]
fn parameters_ordered_dicts_and_their_attributes_are_read() {
    let _alone = crate::alone();
    let parameter = [
        global("torch._utils", "_rebuild_parameter"),
        tuple(&[vector("0", 6), vec![0x88], b"N".into()]),
        b"R".into(),
    ];
    let opcodes = [
        global("collections", "OrderedDict"),
        b")R(".into(),
        text("module.a"),
        parameter.concat(),
        b"u".into(),
        // What `state_dict()` leaves in the attributes.
        dict(&[("_metadata", dict(&[("", dict(&[("version", b"K\x01".into())]))]))]),
        b"b".into(),
    ];
    let file = archive(&opcodes.concat(), &[("0", floats(&NUMBERS))]);
    assert_eq!(read(&file).unwrap().weights.get("a").unwrap().data, NUMBERS);
}

#[test]
fn of_several_state_dicts_the_averaged_is_taken_unless_another_is_asked_for() {
    let _alone = crate::alone();
    let state = |storage| dict(&[("model.fc.bias", vector(storage, 2))]);
    let opcodes = dict(&[
        ("epoch", b"K\x07".into()),
        ("model_state_dict", state("0")),
        ("nested", dict(&[("student", state("2"))])),
        ("ema_state_dict", state("1")),
        ("losses", [&b"](G"[..], &1.5f64.to_be_bytes(), b"e"].concat()),
    ]);
    let storages = [("0", floats(&[0.0; 2])), ("1", floats(&[1.0; 2])), ("2", floats(&[2.0; 2]))];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.pth");
    std::fs::write(&path, archive(&opcodes, &storages)).unwrap();
    let part = |part: &str| Checkpoint::read_part(&path, &Part::from(part));
    for (name, number, key) in [
        ("ema", 1.0, "ema_state_dict"),
        ("model", 0.0, "model_state_dict"),
        ("nested.student", 2.0, "nested.student"),
    ] {
        let read = part(name).unwrap();
        assert_eq!(read.weights.get("fc.bias").unwrap().data, [number; 2]);
        assert_eq!(read.metadata.other["part"], key);
    }
    assert_eq!(Checkpoint::read(&path).unwrap().metadata.other["part"], "ema_state_dict");
    let error = part("teacher").unwrap_err().to_string();
    for word in ["state.pth", "teacher", "model_state_dict, ema_state_dict, nested.student"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn half_precision_is_written_and_has_an_end() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let file = |numbers: &[f32]| {
        archive(&dict(&[("a", vector("0", numbers.len() as i32))]), &[("0", floats(numbers))])
    };
    let checkpoint = read(&file(&NUMBERS)).unwrap();
    checkpoint.write_as(&path, Precision::F16).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap().weights, checkpoint.weights);
    let error = read(&file(&[1e6])).unwrap().write_as(&path, Precision::F16).unwrap_err();
    assert!(error.to_string().contains("a: 1000000 is beyond half precision"), "{error}");
    assert_eq!(
        Checkpoint::read(&path).unwrap().weights,
        checkpoint.weights,
        "the older file is gone"
    );
}

#[test]
fn a_large_file_is_held_once() {
    let _alone = crate::alone();
    let count = 2 << 20;
    let numbers: Vec<f32> = (0..count).map(|number| number as f32).collect();
    let half = count / 2;
    let tensor = |offset, strides| {
        let shape = &[1024, 1024][..];
        Tensor { storage: "0", kind: "FloatStorage", count: 2 * half, offset, shape, strides }
            .opcodes()
    };
    let opcodes = dict(&[("a", tensor(0, &[1024, 1])), ("b", tensor(half, &[1, 1024]))]);
    let file = archive(&opcodes, &[("0", floats(&numbers))]);
    let limit = file.len() + (256 << 10);
    let read = crate::read_within(&file, limit).unwrap();
    assert_eq!(read.weights.get("a").unwrap().data, numbers[..1 << 20]);
    assert_eq!(read.weights.get("b").unwrap().data[1], numbers[(1 << 20) + 1024]);
    let file = read.to_bytes().unwrap();
    assert_eq!(crate::read_within(&file, limit).unwrap().weights, read.weights);
}
