//! Tests what is read from intact checkpoint files: floating-point tensors of every type and stride become f32, and weights are
//! found in parameters, whole pickled modules and training states.

use crate::build::{Tensor, archive, dict, floats, global, int, stream, text, tuple, vector, zip};
use crate::{read, refused};
use lapidary::model::Checkpoint;
use lapidary::model::checkpoint::{FilePrecision, StateDictChoice};

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
    assert!(reason.contains("a: the tensor has int64 values"), "{reason}");
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
    let part = |part: &str| Checkpoint::read_part(&path, &StateDictChoice::from(part));
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
    checkpoint.write_as(&path, FilePrecision::F16).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap().weights, checkpoint.weights);
    let error = read(&file(&[1e6])).unwrap().write_as(&path, FilePrecision::F16).unwrap_err();
    assert!(
        error.to_string().contains("a has the value 1000000, but half precision ends"),
        "{error}"
    );
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

/// An object of a class: made without a call, then given attributes.
fn object(module: &str, name: &str, state: Vec<u8>) -> Vec<u8> {
    [global(module, name), b")\x81".into(), state, b"b".into()].concat()
}

fn called(module: &str, name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [global(module, name), tuple(arguments), b"R".into()].concat()
}

/// Training programs leave objects beside weights; their classes are never looked up.
#[test]
fn unknown_objects_beside_the_weights_do_no_harm_and_are_listed() {
    let _alone = crate::alone();
    let bytes = |bytes: &[u8]| [b"C", &[bytes.len() as u8][..], bytes].concat();
    let empty = || dict(&[]);
    let beside: [(&str, Vec<u8>, &str); 18] = [
        (
            "numpy scalar",
            called(
                "numpy._core.multiarray",
                "scalar",
                &[called("numpy", "dtype", &[text("f8")]), bytes(b"12345678")],
            ),
            "numpy.dtype",
        ),
        (
            "codecs",
            called("_codecs", "encode", &[text("\u{e9}"), text("latin1")]),
            "_codecs.encode",
        ),
        (
            "namespace",
            object("argparse", "Namespace", dict(&[("lr", int(1))])),
            "argparse.Namespace",
        ),
        (
            "defaultdict",
            [
                called("collections", "defaultdict", &[global("builtins", "list")]),
                text("loss"),
                int(1),
                b"s".into(),
            ]
            .concat(),
            "collections.defaultdict",
        ),
        (
            "counter",
            called("collections", "Counter", &[dict(&[("a", int(1))])]),
            "collections.Counter",
        ),
        ("device", called("torch", "device", &[text("cuda"), int(0)]), "torch.device"),
        ("dtype", global("torch", "float32"), "torch.float32"),
        ("size", called("torch", "Size", &[tuple(&[int(1), int(2)])]), ""),
        ("set", b"\x8f(K\x01K\x02\x90".to_vec(), ""),
        ("frozenset", b"(K\x01K\x02\x91".to_vec(), ""),
        ("path", called("pathlib", "PosixPath", &[text("a"), text("b")]), "pathlib.PosixPath"),
        ("datetime", called("datetime", "datetime", &[bytes(b"0123456789")]), "datetime.datetime"),
        (
            "random",
            called("numpy.random._pickle", "__randomstate_ctor", &[text("MT19937")]),
            "__randomstate_ctor",
        ),
        (
            "lightning",
            object("lightning_fabric.utilities.data", "AttributeDict", dict(&[("lr", int(1))])),
            "AttributeDict",
        ),
        (
            "named",
            [global("mine", "Settings"), b")".into(), empty(), vec![0x92]].concat(),
            "mine.Settings",
        ),
        (
            "partial",
            [called("functools", "partial", &[global("torch.optim", "SGD")]), b")R".into()]
                .concat(),
            "functools.partial",
        ),
        (
            "deque",
            [called("collections", "deque", &[]), b"(K\x01K\x02e".into()].concat(),
            "collections.deque",
        ),
        ("bytearray", [&[0x96][..], &3u64.to_le_bytes(), b"abc"].concat(), ""),
    ];
    for (name, value, listed) in beside {
        let state = dict(&[("a", vector("0", 6))]);
        let opcodes = dict(&[("state_dict", state), (name, value)]);
        let storages = [("0", floats(&NUMBERS))];
        for file in [archive(&opcodes, &storages), stream(&opcodes, &storages, 4)] {
            let read = crate::read_within(&file, 2 * file.len() + (1300 << 10));
            let read = read.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(read.weights.get("a").unwrap().data, NUMBERS, "{name}");
            let notes = read.notes.join("; ");
            assert!(notes.contains(listed), "{name}: {notes}");
            assert!(!listed.is_empty() || read.notes.is_empty(), "{name}: {notes}");
        }
    }
}

/// A tensor that is asked for and of another kind is refused by it.
#[test]
fn tensors_of_other_kinds_are_refused_by_kind() {
    let _alone = crate::alone();
    let of = |kind: &str, width: usize| {
        let (shape, strides) = (&[3][..], &[1][..]);
        let tensor = Tensor { storage: "0", kind, count: 3, offset: 0, shape, strides }.opcodes();
        archive(
            &dict(&[("a", tensor), ("b", vector("1", 6))]),
            &[("0", vec![0; 3 * width]), ("1", floats(&NUMBERS))],
        )
    };
    let made = |function: &str| {
        let tensor = called("torch._utils", function, &[int(1)]);
        archive(&dict(&[("a", tensor), ("b", vector("1", 6))]), &[("1", floats(&NUMBERS))])
    };
    let scripted = [
        ("file/data.pkl".to_owned(), crate::build::pickle(b"N")),
        ("file/constants.pkl".to_owned(), crate::build::pickle(b"N")),
    ];
    let exported = [("file/models/model.json".to_owned(), b"{}".to_vec())];
    for (file, word) in [
        (of("CharStorage", 1), "a: the tensor has int8 values"),
        (of("ComplexFloatStorage", 8), "a: the tensor has complex64 values"),
        (of("QInt8Storage", 1), "a: the tensor has qint8 values"),
        (made("_rebuild_qtensor"), "a: a quantised tensor"),
        (made("_rebuild_sparse_tensor"), "a: a sparse tensor"),
        (made("_rebuild_tensor_v3"), "a: a tensor of a type beyond"),
        (zip(&scripted), "a TorchScript archive"),
        (zip(&exported), "torch.export"),
    ] {
        let reason = refused(crate::read_within(&file, 2 * file.len() + (1300 << 10)));
        assert!(reason.contains(word), "{reason} / {word}");
    }
    // Counters beside weights are no weights.
    let counted = crate::read_within(&of("LongStorage", 8), 1 << 20).unwrap();
    assert_eq!(counted.weights.len(), 1);
    assert!(
        counted.notes[0].contains("whole numbers, which are no weights: a"),
        "{:?}",
        counted.notes
    );
}

/// A module that was pickled with its class says what its state dict would; a scripted one, too.
#[test]
fn whole_modules_are_read_by_their_tensors() {
    let _alone = crate::alone();
    let module = |name: &str, tensors: Vec<u8>, buffers: Vec<u8>, modules: Vec<u8>| {
        let state = dict(&[
            ("training", vec![0x89]),
            ("_parameters", tensors),
            ("_buffers", buffers),
            ("_modules", modules),
            ("hook", called("mine", "hook", &[])),
        ]);
        object("mine", name, state)
    };
    let parameter = called(
        "torch._utils",
        "_rebuild_parameter_with_state",
        &[vector("0", 6), vec![0x88], b"N".into(), dict(&[])],
    );
    let inner =
        module("Conv", dict(&[("weight", parameter), ("bias", b"N".into())]), dict(&[]), dict(&[]));
    let norm = module("Norm", dict(&[]), dict(&[("running_mean", vector("1", 2))]), dict(&[]));
    let whole = module("Net", dict(&[]), dict(&[]), dict(&[("conv", inner), ("bn", norm)]));
    let storages = [("0", floats(&NUMBERS)), ("1", floats(&NUMBERS[..2]))];
    let scripted = object(
        "__torch__.mine",
        "Net",
        dict(&[
            ("conv", object("__torch__.mine", "Conv", dict(&[("weight", vector("0", 6))]))),
            ("bn", object("__torch__.mine", "Norm", dict(&[("running_mean", vector("1", 2))]))),
        ]),
    );
    let nested = dict(&[("epoch", int(3)), ("model", whole.clone())]);
    for opcodes in [whole, nested, scripted] {
        for file in [archive(&opcodes, &storages), stream(&opcodes, &storages, 4)] {
            let read = crate::read_within(&file, 2 * file.len() + (1300 << 10)).unwrap();
            let names: Vec<_> = read.weights.iter().map(|(name, _)| name.to_owned()).collect();
            assert_eq!(names, ["bn.running_mean", "conv.weight"]);
            assert_eq!(read.weights.get("conv.weight").unwrap().data, NUMBERS);
        }
    }
    // As old files have it: the class in a persistent id beside its source.
    let id =
        tuple(&[text("module"), global("mine", "Net"), text("net.py"), text("class Net: ...")]);
    let old = [
        id,
        b"Q)\x81".into(),
        dict(&[("_parameters", dict(&[("w", vector("0", 6))])), ("_modules", dict(&[]))]),
        b"b".into(),
    ]
    .concat();
    let file = stream(&old, &storages[..1], 4);
    assert_eq!(crate::read_within(&file, 1 << 20).unwrap().weights.get("w").unwrap().data, NUMBERS);
}

#[test]
fn other_places_of_weights_are_found_or_asked_for() {
    let _alone = crate::alone();
    let state = |storage| dict(&[("fc.bias", vector(storage, 2))]);
    let storages = [("0", floats(&[0.0; 2])), ("1", floats(&[1.0; 2]))];
    let shadow =
        dict(&[("model", state("0")), ("ema", dict(&[("decay", int(1)), ("shadow", state("1"))]))]);
    let swa =
        dict(&[("model", state("0")), ("swa_model", state("1")), ("best_acc", vector("0", 2))]);
    for opcodes in [shadow, swa] {
        let file = archive(&opcodes, &[("0", floats(&[0.0; 2])), ("1", floats(&[1.0; 2]))]);
        let read = crate::read_within(&file, 1 << 20).unwrap();
        assert_eq!(read.weights.get("fc.bias").unwrap().data, [1.0; 2]);
        assert!(read.notes.iter().any(|note| note.contains("--weights")), "{:?}", read.notes);
    }
    let (list, pair) = (
        [b"](".to_vec(), state("0"), state("1"), b"e".into()].concat(),
        tuple(&[state("0"), state("1")]),
    );
    for opcodes in [list, pair] {
        let file = archive(&opcodes, &storages);
        let reason = refused(crate::read_within(&file, 1 << 20));
        assert!(reason.contains("0, 1") && reason.contains("--weights 0"), "{reason}");
    }
    let single = tuple(&[state("0"), int(7)]);
    assert_eq!(
        crate::read_within(&archive(&single, &storages[..1]), 1 << 20).unwrap().weights.len(),
        1
    );
    // Python 2's ordered dicts, and strings that are no UTF-8.
    let pairs = [b"](](".to_vec(), text("a"), vector("0", 2), b"ee".into()].concat();
    let old = dict(&[
        ("state_dict", called("collections", "OrderedDict", &[pairs])),
        ("s", b"U\x01\xff".to_vec()),
    ]);
    assert_eq!(
        crate::read_within(&archive(&old, &storages[..1]), 1 << 20).unwrap().weights.len(),
        1
    );
}

/// Other programs write other values into `__metadata__` under keys that this program uses.
#[test]
fn metadata_of_others_never_makes_a_file_unreadable() {
    let _alone = crate::alone();
    let with = |metadata: &str| {
        let header = format!(
            r#"{{"__metadata__":{metadata},"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#
        );
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat();
        crate::read_within(&bytes, 1 << 20)
    };
    for (metadata, kept) in [
        (r#"{"format":"pt","step":"1.5e5"}"#, "step"),
        (r#"{"classes":"ant,bee,cat"}"#, "classes"),
        (r#"{"mean":"imagenet"}"#, "mean"),
        (r#"{"side":"0"}"#, "side"),
        (r#"{"architecture":"resnet","depth":"deep"}"#, "depth"),
    ] {
        let read = with(metadata).unwrap_or_else(|error| panic!("{metadata}: {error}"));
        assert!(read.metadata.other.contains_key(kept), "{:?}", read.metadata);
        assert!(!read.metadata.tells_normalisation(), "{metadata}");
    }
    let read = with(r#"{"mean":"[0.5]","std":"[0.25]","side":"24"}"#).unwrap().metadata;
    assert_eq!((read.normalisation.unwrap().std, read.side), (vec![0.25], Some(24)));
    // Ours have to be right.
    for (metadata, word) in [
        (r#"{"lapidary.side":"0"}"#, "side is 0"),
        (r#"{"lapidary.step":"1.5e5"}"#, "step"),
        (r#"{"lapidary":"0.1.0","side":"0"}"#, "side is 0"),
    ] {
        let reason = refused(with(metadata));
        assert!(reason.contains(word), "{reason}");
    }
    // A file of an older version, and the same written anew.
    let old = with(r#"{"lapidary":"0.1.0","architecture":"wrn","depth":"10","note":"x","lapidary.fit":"crop"}"#).unwrap();
    assert_eq!((old.metadata.depth, old.metadata.other["note"].as_str()), (Some(10), "x"));
    let new = read_again(&old);
    assert_eq!(new.metadata.depth, Some(10));
    assert_eq!((&new.metadata.other, new.metadata.fit), (&old.metadata.other, Some("crop".into())));
}

fn read_again(checkpoint: &Checkpoint) -> Checkpoint {
    Checkpoint::from_bytes("again", &checkpoint.to_bytes().unwrap()).unwrap()
}
