//! Tests commands on networks that are not from a training run of lapidary: PyTorch's checkpoint files, the networks built into
//! the program (`zoo:NAME`), and ResNet and ConvNeXt.

use std::path::Path;

use lapidary::model::{Checkpoint, Metadata, Tensor};

use super::{failing, golden, lapidary, refused, working};

/// Other architectures are inspected, classify and are named where a configuration does not know them.
#[test]
fn networks_of_other_kinds_are_known() {
    use lapidary::model::{ConvNext, Network, ResNet, Stem};
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    image::GrayImage::from_fn(40, 32, |x, y| image::Luma([(x * y % 256) as u8]))
        .save(folder.join("x.png"))
        .unwrap();
    let stem = Stem::Convs { channels: vec![4, 8], strides: vec![2, 2] };
    let resnet = ResNet::new([1; 4], [4, 8, 8, 8], 64, 3, 7, None).unwrap();
    let convnext = ConvNext::new([1; 4], [8, 8, 16, 16], stem, 3, 7, None).unwrap();
    for (network, name) in [
        (Network::from(resnet), "ResNet-14, relu, 3 channels in, 7 classes"),
        (
            Network::from(convnext),
            "ConvNeXt of depths [1, 1, 1, 1] and widths [8, 8, 16, 16] + ConvStem",
        ),
    ] {
        let whole = Metadata { side: Some(32), ..network.metadata() };
        // All but the side from the shapes, then all from the header, normalisation too.
        for metadata in [Metadata { side: Some(32), ..Metadata::default() }, whole] {
            let checkpoint =
                Checkpoint { metadata, weights: network.initial(1), ..Checkpoint::default() };
            checkpoint.write(folder.join("x.safetensors")).unwrap();
            assert_eq!(Network::from_checkpoint(&checkpoint).unwrap(), network);
            assert!(working(folder, &["inspect", "x.safetensors"]).contains(name), "{name}");
        }
        let said = working(folder, &["classify", "x.png", "--checkpoint", "x.safetensors"]);
        assert_eq!(said.lines().filter(|line| line.contains('%')).count(), 5, "{said}");
    }
    let said = failing(&["train", "fashion-tiny", "--set", "model.architecture=vgg"], 2);
    assert!(said.contains("vgg") && said.contains("resnet50, resnet101"), "{said}");
    let small =
        ["--set", "stage1.batch=1", "--set", "stage2.batch=1", "--set", "stage1.iterations=0"];
    let plan = [
        "train",
        "fashion-tiny",
        "--show-plan",
        "--set",
        "model.architecture=convnext-tiny",
        "--set",
        "data.side=32",
    ];
    assert!(working(folder, &[&plan[..], &small].concat()).contains("stage 2: contrastive step"));
}

#[test]
fn a_pytorch_checkpoint_becomes_one_that_commands_take() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = lapidary(folder.path(), arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let file = golden("strided_shared.pth");
    let (code, _, said) = run(&["convert", &file, "net.safetensors"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--mean") && said.contains("--no-normalisation"), "{said}");
    let (code, _, said) = run(&["sample", &file, "--side", "32"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("lapidary convert"), "{said}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());

    let (mean, std) = ("0.5,0.25,0.125", "0.25,0.5,1");
    let given = ["--mean", mean, "--std", std, "--side", "32", "--activation", "swish"];
    let (code, told, said) = run(&[&["convert", &file, "net.safetensors"][..], &given].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(told.contains("WRN-10-1, silu, 3 channels in, 10 classes"), "{told}");
    let written = Checkpoint::read(folder.path().join("net.safetensors")).unwrap();
    let original = Checkpoint::read(&file).unwrap();
    assert_eq!(written.weights, original.weights);
    let normalisation = written.metadata.normalisation.unwrap();
    assert_eq!(
        (normalisation.mean, normalisation.std),
        (vec![0.5, 0.25, 0.125], vec![0.25, 0.5, 1.0])
    );
    assert_eq!(written.metadata.side, Some(32));

    let (code, _, said) = run(&["convert", "net.safetensors", "net.onnx", "--f16"]);
    assert_eq!(code, Some(0), "{said}");
    let bytes = std::fs::metadata(folder.path().join("net.onnx")).unwrap().len();
    assert!((150_000..200_000).contains(&bytes), "{bytes}");
}

#[test]
fn networks_of_the_zoo_are_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = lapidary(folder.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let list = run(&["models"]);
    assert!(list.lines().any(|line| line.starts_with("zoo:fashion-demo ")), "{list}");
    let about = run(&["models", "fashion-demo"]);
    assert!(
        about.contains("sha256") && about.contains("lapidary eval zoo:fashion-demo"),
        "{about}"
    );
    let inspected = run(&["inspect", "zoo:fashion-plain"]);
    assert!(
        inspected.contains("zoo:fashion-plain") && inspected.contains("WRN-10-1"),
        "{inspected}"
    );
    // What the file says beside its network goes along.
    let names: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
    let given = ["convert", "zoo:fashion-demo", "named.safetensors", "--class-names"];
    run(&[&given[..], &[&names.join(",")]].concat());
    run(&["convert", "named.safetensors", "half.safetensors", "--f16"]);
    let renamed = [&given[..3], &["--drop", "fc."]].concat();
    assert!(refused(folder.path(), &renamed, 2).contains("--drop"), "of one set of weights");
    let half = Checkpoint::read(folder.path().join("half.safetensors")).unwrap();
    assert_eq!(half.metadata.class_names, Some(names));
    let drawn =
        run(&["sample", "half.safetensors", "--class", "class 8", "--count", "2", "--steps", "1"]);
    assert!(drawn.contains("2 samples of class 8"), "{drawn}");
}

#[test]
fn what_is_not_the_networks_is_left_out_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::read(golden("strided_shared.pth")).unwrap();
    let original = checkpoint.weights.clone();
    checkpoint.weights.insert("aux.weight", Tensor::new(vec![1], vec![0.0]).unwrap());
    let bias = checkpoint.weights.remove("bn1.bias");
    checkpoint.metadata = Metadata::default();
    checkpoint.write(folder.path().join("in.safetensors")).unwrap();
    let convert = |more: &[&str]| {
        let arguments = [
            "convert",
            "in.safetensors",
            "out.safetensors",
            "--no-normalisation",
            "--activation",
            "relu",
        ];
        lapidary(folder.path(), &[&arguments[..], more].concat())
    };
    // A tensor that the network needs is missing: no option makes up for it.
    for more in [&[][..], &["--no-strict"]] {
        let output = convert(more);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("missing     bn1.bias"), "{said}");
        assert!(!folder.path().join("out.safetensors").exists());
    }
    checkpoint.weights.insert("bn1.bias", bias.unwrap());
    checkpoint.write(folder.path().join("in.safetensors")).unwrap();
    let strict = convert(&[]);
    let said = String::from_utf8(strict.stderr).unwrap();
    assert_eq!(strict.status.code(), Some(3), "{said}");
    assert!(said.contains("unexpected  aux.weight"), "{said}");
    let told = String::from_utf8(convert(&["--no-strict"]).stdout).unwrap();
    assert!(told.contains("unexpected  aux.weight"), "{told}");
    let written = Checkpoint::read(folder.path().join("out.safetensors")).unwrap().weights;
    assert_eq!(written, original);
}

#[test]
fn inspect_lists_a_pytorch_file_that_is_no_network() {
    let output = lapidary(Path::new("."), &["inspect", &golden("small.pth")]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for line in [
        "architecture  not recognised",
        "tensors       4, 1146 values",
        "conv1.weight  [16, 3, 3, 3]",
    ] {
        assert!(told.contains(line), "{told}");
    }
}
