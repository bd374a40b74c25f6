//! Tests how tensor names of checkpoints are read: prefixes such as `module.` are taken off, one of several networks in a file is
//! chosen, an input mean and standard deviation stored as tensors are recognised, and users can rename and drop tensors.

use crate::build::{archive, dict, floats, vector};
use lapidary::model::checkpoint::{Renames, StateDictChoice};
use lapidary::model::{Checkpoint, Network, Tensor};

#[test]
fn prefixes_that_most_have_come_off_several_in_turn() {
    let _alone = crate::alone();
    let names = |all: &[&str]| {
        let storages: Vec<_> = (0..all.len()).map(|i| i.to_string()).collect();
        let items: Vec<_> =
            all.iter().zip(&storages).map(|(name, key)| (*name, vector(key, 2))).collect();
        let storages: Vec<_> =
            storages.iter().map(|key| (key.as_str(), floats(&[0.0, 0.5]))).collect();
        let read = crate::read_within(&archive(&dict(&items), &storages), 1 << 20).unwrap();
        let names: Vec<_> = read.weights.iter().map(|(name, _)| name.to_owned()).collect();
        (names.join(" "), read)
    };
    for (given, wanted) in [
        (&["_orig_mod.a", "_orig_mod.b"][..], "a b"),
        (&["module._orig_mod.a", "module._orig_mod.b"], "a b"),
        (&["net.a", "net.b", "net.c", "head.d"], "a b c head.d"),
        (&["backbone.a", "backbone.b"], "a b"),
        (
            &[
                "module.model.a",
                "module.model.b",
                "module.attacker.model.a",
                "module.attacker.model.b",
            ],
            "a b",
        ),
        (&["module.attacker.model.a", "module.attacker.model.b"], "a b"),
        (&["model.a", "model.b", "a"], "a b"),
        (&["a.model.b", "b", "c"], "a.model.b b c"),
        // A first part that all have comes off, whatever it is; the name of the only layer stays.
        (&["trunk.a.x", "trunk.b.x"], "a.x b.x"),
        (&["_forward_module.trunk.a.x", "_forward_module.trunk.b.x"], "a.x b.x"),
        (&["a.x", "a.y"], "a.x a.y"),
        (&["trunk.a.x", "trunk.b.x", "c"], "c trunk.a.x trunk.b.x"),
    ] {
        assert_eq!(names(given).0, wanted, "{given:?}");
    }
    for [mean, std] in [
        ["mu", "sigma"],
        ["normalize.mean", "normalize.std"],
        ["normalizer.new_mean", "normalizer.new_std"],
    ] {
        let (left, read) = names(&[
            "module.a",
            "module.b",
            "module.c",
            &format!("module.{mean}"),
            &format!("module.{std}"),
        ]);
        // The deviation of the second channel is what the vectors have, the first's is 0: it is the network that refuses it.
        assert_eq!(left, "a b c", "{mean}");
        assert_eq!(read.metadata.normalisation.unwrap().mean, [0.0, 0.5]);
        assert!(read.notes.iter().any(|note| note.contains(mean)), "{:?}", read.notes);
    }
    // As many constants as weights.
    let (left, read) = names(&["model.a", "model.b", "normalize.mean", "normalize.std"]);
    assert_eq!((left.as_str(), read.metadata.normalisation.is_some()), ("a b", true));
    let (left, read) = names(&["1.a", "1.b", "1.c", "0.mean", "0.std"]);
    assert_eq!((left.as_str(), read.metadata.normalisation.is_some()), ("a b c", true));
    let (left, read) = names(&["a", "bn.running_mean", "bn.running_var"]);
    assert_eq!(
        (left.as_str(), read.metadata.normalisation),
        ("a bn.running_mean bn.running_var", None)
    );
}

/// As a module of Lightning's has them that keeps an average of its network.
#[test]
fn of_a_network_and_its_average_side_by_side_one_is_taken() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("epoch=3.ckpt");
    let opcodes = dict(&[(
        "state_dict",
        dict(&[
            ("model.a", vector("0", 2)),
            ("model.b", vector("1", 2)),
            ("ema_model.module.a", vector("2", 2)),
            ("ema_model.module.b", vector("3", 2)),
        ]),
    )]);
    let storages: Vec<_> =
        ["0", "1", "2", "3"].map(|key| (key, floats(&[key.parse().unwrap(); 2]))).into();
    std::fs::write(&path, archive(&opcodes, &storages)).unwrap();
    for (part, wanted) in [
        (StateDictChoice::Best, [2.0, 3.0]),
        (StateDictChoice::Trained, [0.0, 1.0]),
        (StateDictChoice::Named("state_dict".into()), [2.0, 3.0]),
    ] {
        let read = Checkpoint::read_part(&path, &part).unwrap();
        let found: Vec<_> =
            read.weights.iter().map(|(name, tensor)| (name, tensor.data[0])).collect();
        assert_eq!(found, [("a", wanted[0]), ("b", wanted[1])], "{part}");
        assert!(read.notes.iter().any(|note| note.contains("--weights ema or model")), "{part}");
    }
}

/// The same of a safetensors file, of which `--weights` can ask for nothing else.
#[test]
fn of_a_safetensors_file_with_an_average_one_is_taken() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let write = |names: &[&str]| {
        let mut checkpoint = Checkpoint::default();
        for (value, name) in (0..).zip(names) {
            let tensor = Tensor::new(vec![2], vec![value as f32; 2]).unwrap();
            checkpoint.weights.insert(*name, tensor);
        }
        checkpoint.write(&path).unwrap();
    };
    write(&["model.a", "model.b", "ema_model.module.a", "ema_model.module.b"]);
    for (part, wanted) in [
        (StateDictChoice::Best, [2.0, 3.0]),
        (StateDictChoice::Averaged, [2.0, 3.0]),
        (StateDictChoice::Trained, [0.0, 1.0]),
    ] {
        let read = Checkpoint::read_part(&path, &part).unwrap();
        let found: Vec<_> =
            read.weights.iter().map(|(name, tensor)| (name, tensor.data[0])).collect();
        assert_eq!(found, [("a", wanted[0]), ("b", wanted[1])], "{part}");
    }
    let refused = |part| Checkpoint::read_part(&path, &part).unwrap_err().to_string();
    assert!(
        refused(StateDictChoice::Named("model".into())).contains("only a network and its average")
    );
    write(&["model.a", "model.b"]);
    assert!(refused(StateDictChoice::Averaged).contains("only one set"));
}

/// Two networks in one module, of which no name says which is meant: the message says how one is left.
#[test]
fn prefixes_of_networks_that_are_not_recognised_are_named() {
    let _alone = crate::alone();
    let marks = ["block1.layer.0.conv1.weight", "conv1.weight"];
    let refused = |prefixes: &[&str]| {
        let names = prefixes.iter().flat_map(|of| marks.map(|mark| format!("{of}{mark}")));
        let names: Vec<String> = names.chain(["head.x".into()]).collect();
        let items: Vec<_> = names.iter().map(|name| (name.as_str(), vector("0", 2))).collect();
        let file = archive(&dict(&items), &[("0", floats(&[0.0; 2]))]);
        let read = crate::read_within(&file, 1 << 20).unwrap();
        Network::meant_by(&read).unwrap_err().to_string()
    };
    let one = refused(&["trunk."]);
    assert!(one.contains("under trunk. fit: --rename trunk.= removes"), "{one}");
    let two = refused(&["student.", "teacher."]);
    assert!(two.contains("student. and teacher. fit: --drop teacher. leaves"), "{two}");
}

#[test]
fn names_are_changed_as_asked() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.pth");
    let opcodes = dict(&[
        ("trunk.a", vector("0", 6)),
        ("trunk.b", vector("1", 2)),
        ("aux.c", vector("2", 2)),
    ]);
    let storages = [("0", floats(&[0.5; 6])), ("1", floats(&[1.0; 2])), ("2", floats(&[2.0; 2]))];
    std::fs::write(&path, archive(&opcodes, &storages)).unwrap();
    let read = |rename: &[(&str, &str)], drop: &[&str]| {
        let rename = rename.iter().map(|&(old, new)| (old.into(), new.into())).collect();
        let drop = drop.iter().map(|&prefix| prefix.into()).collect();
        Checkpoint::read_renamed(&path, &StateDictChoice::Best, &Renames { rename, drop })
    };
    let found = read(&[("trunk.a", "x"), ("trunk.", "")], &["aux."]).unwrap().weights;
    assert_eq!(found.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "x"]);
    for (rename, drop, word) in [
        (&[("branch.", "")][..], &[][..], "begins with branch."),
        (&[], &["branch."], "begins with branch."),
        (&[("trunk.a", "b"), ("trunk.b", "b")], &[], "two tensors would be called b"),
    ] {
        let error = read(rename, drop).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
