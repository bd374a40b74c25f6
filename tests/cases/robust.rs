//! Tests what robust accuracy means: which settings count as an attack, which images are attacked, and what the number is
//! called.

use crate::made::{demo, gpu, images};
use crate::{answer, lapidary, working};
use lapidary::attack::{
    Attack, Boundary, Fab, FabAttack, Pgd, PgdAttack, Square, SquareAttack, Start,
};
use lapidary::eval::{AttackName, AutoAttack, State, UnderPgd, Version, pgd_accuracy};
use lapidary::model::{Activation, BatchSize, DeviceWeights, Network, WideResNet};
use lapidary::ops::Norm;
use pollster::block_on;
use tempfile::tempdir;

const SIZE: BatchSize = BatchSize { images: 32, side: 16 };

/// An image that is wrong before the attack and right after it is wrong: `eval`, `attack` and training say the same. Steps
/// down the cross-entropy make nearly all images right, and robust accuracy that of the images as they are.
#[test]
fn two_definitions_of_robust_accuracy() {
    let (model, weights) = demo();
    let (x, labels) = images(64);
    let mut down = Pgd::attack(Norm::L2, 1.0, 10);
    down.step_size = -0.1;
    block_on(async {
        let mut attack = PgdAttack::new(&model, &weights, SIZE, down).await.unwrap();
        let first = attack.attack(&x[..32 * 256], &labels[..32]).await.unwrap();
        let mut under = UnderPgd::new(&model, &weights, SIZE, down).await.unwrap();
        let before = under.measure(&x[..32 * 256], &labels[..32], |_| Ok(())).await.unwrap();
        let after = under.measure(&first, &labels[..32], |_| Ok(())).await.unwrap();
        assert!(after.clean > before.clean + 0.05, "the attack mends: {before:?} {after:?}");
        assert_eq!(before.robust, before.clean);

        let up = Pgd::attack(Norm::L2, 0.5, 5);
        let one = pgd_accuracy(&model, &weights, (&x, &labels), SIZE, up, |_| Ok(())).await;
        let mut auto = AutoAttack::new(Version::Custom, Norm::L2, 0.5);
        (auto.attacks, auto.pgd.steps) = (vec![AttackName::Pgd], 5);
        let other = auto.run(&model, &weights, (&x, &labels), 16, None, |_| Ok(())).await.unwrap();
        assert_eq!(one.unwrap(), other.robust_accuracy);
        assert!(other.robust_accuracy < other.clean_accuracy);
    });
}

/// No steps, steps of no length and a ball of no radius are no attack.
#[test]
fn attacks_without_steps() {
    let folder = tempdir().unwrap();
    for arguments in [
        &["eval", "--steps", "0"][..],
        &["eval", "--step-size", "0"],
        &["eval", "--eps", "0"],
        &["eval", "all", "--out", "x", "--eps", "0,1"],
        &["attack", "--version", "custom", "--attacks", "pgd", "--pgd-steps", "0"],
        &["attack", "--version", "custom", "--attacks", "pgd", "--pgd-step-size", "0"],
        &["plan", "fashion-tiny", "--set", "evaluate.steps=0"],
        &["plan", "fashion-tiny", "--set", "evaluate.step_size=0"],
        &["plan", "fashion-tiny", "--set", "stage1.step_size=0"],
    ] {
        let output = lapidary(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let (model, weights) = demo();
    let (x, labels) = images(2);
    let of = |settings| {
        block_on(pgd_accuracy(&model, &weights, (&x, &labels), SIZE, settings, |_| Ok(())))
    };
    let good = Pgd::default();
    for settings in [
        Pgd { steps: 0, ..good },
        Pgd { step_size: 0.0, ..good },
        Pgd { step_size: f32::NAN, ..good },
        Pgd { eps: 0.0, ..good },
        Pgd { eps: -1.0, ..good },
    ] {
        assert!(of(settings).is_err(), "{settings:?}");
    }
}

/// Images lie in [0, 1]: a radius that is meant for [0, 255] is refused, with what is likely meant.
#[test]
fn balls_that_hold_all_images() {
    let folder = tempdir().unwrap();
    for (arguments, meant) in [
        (&["attack", "--norm", "linf", "--eps", "8"][..], "8/255"),
        (&["eval", "--norm", "linf", "--eps", "1"], "1/255"),
        (&["eval", "--eps", "128"], "128/255"),
        (&["eval", "all", "--out", "x", "--norm", "linf", "--eps", "0.1,4"], "4/255"),
        (&["plan", "fashion-tiny", "--set", "stage1.norm=linf", "--set", "stage1.eps=8"], "8/255"),
    ] {
        let output = lapidary(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(meant), "{arguments:?}: {said}");
    }
    let (model, weights) = demo();
    let fits = |norm, eps| {
        let fab = FabAttack::new(&model, &weights, SIZE, Fab::new(norm, eps));
        let square = Square { norm, eps, ..Square::default() };
        let square = SquareAttack::new(&model, &weights, SIZE, square);
        let pgd = PgdAttack::new(&model, &weights, SIZE, Pgd::attack(norm, eps, 1));
        [block_on(fab).is_ok(), block_on(square).is_ok(), block_on(pgd).is_ok()]
    };
    // The diagonal of 256 values is 16.
    for (norm, eps, good) in [
        (Norm::Linf, 8.0 / 255.0, true),
        (Norm::Linf, 1.0, false),
        (Norm::L2, 12.0, true),
        (Norm::L2, 16.5, false),
    ] {
        assert_eq!(fits(norm, eps), [good; 3], "{norm:?} {eps}");
    }
}

/// Networks of 2 and 3 classes are attacked by what is defined for them, under a name of its own.
#[test]
fn few_classes() {
    for classes in [2, 3] {
        let model =
            Network::from(WideResNet::new(10, 1, 1, classes, Activation::Relu, None).unwrap());
        let parameters = model.parameters();
        let initial = model.initial(1);
        let weights = block_on(DeviceWeights::upload(gpu(), &parameters, &initial)).unwrap();
        let (x, labels) = images(8);
        let labels: Vec<u32> = labels.iter().map(|label| label % classes).collect();
        let version = Version::for_classes(classes);
        assert_eq!(version, Version::FewClasses);
        let settings = AutoAttack::new(version, Norm::L2, 0.5);
        assert_eq!(settings.version(), Version::FewClasses);
        let settings = AutoAttack { queries: 50, steps: 10, batch: 8, ..settings };
        assert_eq!(settings.version(), Version::Custom, "fewer steps are another list");
        let run = settings.run(&model, &weights, (&x, &labels), 16, None, |_| Ok(()));
        let result = block_on(run).unwrap();
        assert_eq!(result.version, Version::Custom);
        let standard = AutoAttack::standard(Norm::L2, 0.5);
        let run = standard.run(&model, &weights, (&x, &labels), 16, None, |_| Ok(()));
        let said = block_on(run).unwrap_err().to_string();
        assert!(said.contains("few-classes (apgd-ce, fab-t, square)"), "{said}");
    }
    assert_eq!(Version::for_classes(4), Version::Standard);
    let list =
        |version: Version| version.attacks().iter().map(|name| name.name()).collect::<Vec<_>>();
    assert_eq!(list(Version::Rand), ["apgd-ce", "apgd-dlr"]);
    assert_eq!(list(Version::Plus), ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"]);
    assert_eq!(AutoAttack::new(Version::Plus, Norm::L2, 0.5).restarts, 5);

    let folder = tempdir().unwrap();
    let few = ["attack", "--version", "few-classes", "--count", "4", "--json"];
    let said = answer(folder.path(), &[&few[..], &["--eps", "2"]].concat());
    assert_eq!(said["version"], "few-classes", "{said}");
}

/// With two classes there is one boundary, so FAB goes the same way whether it is told the class or looks for the nearest one;
/// with ten it finds images that are as near as those of most targets.
#[test]
fn the_nearest_boundary() {
    let (x, labels) = images(8);
    let size = BatchSize { images: 8, side: 16 };
    let distances = |model: &Network, weights: &DeviceWeights, labels: &[u32], boundary, other| {
        let targets: Vec<u32> =
            labels.iter().map(|label| (label + other) % model.classes()).collect();
        block_on(async {
            let settings = Fab { steps: 8, boundary, ..Fab::default() };
            let mut attack = FabAttack::new(model, weights, size, settings).await.unwrap();
            let start = Start { targets: Some(&targets), ..Start::new(&x, labels) };
            attack.start(&start).await.unwrap();
            attack.run(8, |_| Ok(())).await.unwrap();
            attack.distances().await.unwrap()
        })
    };
    let two = Network::from(WideResNet::new(10, 1, 1, 2, Activation::Relu, None).unwrap());
    let (parameters, initial) = (two.parameters(), two.initial(1));
    let weights = block_on(DeviceWeights::upload(gpu(), &parameters, &initial)).unwrap();
    let halves: Vec<u32> = labels.iter().map(|label| label % 2).collect();
    let [told, sought] = [Boundary::Target, Boundary::Nearest]
        .map(|boundary| distances(&two, &weights, &halves, boundary, 1));
    for (told, sought) in told.iter().zip(&sought) {
        assert!((told - sought).abs() <= 1e-3 * told.abs(), "{told} {sought}");
    }

    let (ten, weights) = demo();
    let sought = distances(&ten, &weights, &labels, Boundary::Nearest, 1);
    let told = [1, 4, 7].map(|other| distances(&ten, &weights, &labels, Boundary::Target, other));
    for image in 0..8 {
        let mut told = told.clone().map(|distances| distances[image]);
        told.sort_by(f32::total_cmp);
        assert!(sought[image] <= 1.1 * told[1], "image {image}: {} {told:?}", sought[image]);
    }
}

/// A part of the images is drawn evenly by class, is the same in `attack` and `eval all`, and is said to be a part, in `eval` behind the images' name.
#[test]
fn parts_of_the_images() {
    let folder = tempdir().unwrap();
    let pgd = ["--version", "custom", "--attacks", "pgd", "--pgd-steps", "1", "--count", "20"];
    let text = working(folder.path(), &[&["attack"], &pgd[..]].concat());
    assert!(text.contains("images: 20 of 1000, drawn evenly by class"), "{text}");
    assert!(text.contains("%  broken: "), "{text}");
    let quick = working(folder.path(), &["eval", "--count", "20", "--steps", "1"]);
    assert!(quick.contains("builtin:fashion: 20 of 1000, drawn evenly by class"), "{quick}");
    let told = answer(folder.path(), &[&["attack", "--json"], &pgd[..]].concat());
    let places: Vec<usize> =
        told["places"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect();
    let (_, labels) = images(1000);
    assert_eq!(places, lapidary::eval::drawn(&labels, 20));
    for class in 0..10 {
        assert_eq!(places.iter().filter(|&&at| labels[at] == class).count(), 2, "class {class}");
    }
}

/// A state that was edited is refused, and what helps is said.
#[test]
fn edited_states() {
    let (model, weights) = demo();
    let (x, labels) = images(16);
    let mut settings = AutoAttack::new(Version::Custom, Norm::L2, 1.0);
    (settings.attacks, settings.pgd.steps, settings.batch) = (vec![AttackName::Pgd], 5, 8);
    let mut kept = String::new();
    let run = settings.run(&model, &weights, (&x, &labels), 16, None, |at| {
        kept = at.state.map_or(std::mem::take(&mut kept), State::to_json);
        Ok(())
    });
    block_on(run).unwrap();
    assert!(kept.contains("\"pgd\"") && State::from_json(&kept).is_ok());
    for edited in [
        kept.replace("\"wrong\"", "\"robust\""),
        kept.replacen("\"pgd\"", "\"robust\"", 2),
        kept[..kept.len() - 8].to_owned(),
    ] {
        assert_ne!(edited, kept);
        let said = State::from_json(&edited).unwrap_err().to_string();
        assert!(said.contains("remove the file to start again"), "{said}");
    }

    let folder = tempdir().unwrap();
    let small = ["--version", "custom", "--attacks", "pgd", "--pgd-steps", "1", "--count", "8"];
    let command = [&["attack", "--state", "state.json"], &small[..]].concat();
    working(folder.path(), &command);
    let file = folder.path().join("state.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"wrong\"", "\"robust\"").replace("0x", "")).unwrap();
    if std::fs::read_to_string(&file).unwrap() != text {
        let output = lapidary(folder.path(), &command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("remove the file"), "{said}");
    }
}

/// Progress counts images, and where nothing was broken there is no largest perturbation.
#[test]
fn what_is_counted_and_what_is_not_there() {
    let folder = tempdir().unwrap();
    let small = ["attack", "--version", "custom", "--attacks", "pgd", "--count", "30"];
    let weak = [&small[..], &["--pgd-steps", "1", "--eps", "0.001"]].concat();
    let output = lapidary(folder.path(), &weak);
    let (said, text) = (
        String::from_utf8_lossy(&output.stderr).into_owned(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    assert!(output.status.success(), "{said}");
    assert!(text.contains("max L2 perturbation: none"), "{text}");
    let short = "--pgd-steps 1, length 0.000125) move it by at most 0.000125, less";
    assert!(said.contains(short), "{said}");
    let points = said.split("pgd on ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(said.contains(&format!("evaluate {points} images")), "{said}");
    assert!(said.contains(&format!("{points}/{points} 100 % of the work")), "{said}");
}

/// A batch is no larger than all images: of 65,535 images of this side no tensor can be made. Steps that come to less than the
/// radius are told, and others are not.
#[test]
fn few_images_and_few_steps() {
    let folder = tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = lapidary(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    let few = ["eval", "--data", "builtin:fashion", "--ood", "builtin:noise", "--count", "2"];
    let large = ["--side", "64", "--batch", "65535", "--steps", "3"];
    let told = said(&[&few[..], &large].concat());
    let short = "--steps 3, length 0.0625) move it by at most 0.1875, less than the radius";
    assert!(told.contains(short), "{told}");
    let told = said(&[&few[..], &["--steps", "1", "--step-size", "0.5"]].concat());
    assert!(!told.contains("at most"), "{told}");

    image::GrayImage::new(16, 16).save(folder.path().join("x.png")).unwrap();
    let explain = ["explain", "x.png", "--to", "bag", "--steps", "2", "--step-size", "0.5"];
    let told = said(&explain);
    assert!(told.contains("at most 1, less than the radius --eps 4: more --steps"), "{told}");
    assert!(!said(&[&explain[..], &["--eps", "inf"]].concat()).contains("at most"));
}

/// Options that would change nothing are refused, and so are balls in which nothing else lies.
#[test]
fn options_without_their_attack() {
    let folder = tempdir().unwrap();
    for option in [["--pgd-steps", "7"], ["--pgd-loss", "dlr"]] {
        let output = lapidary(folder.path(), &[&["attack", "--count", "4"][..], &option].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--attacks pgd"), "{said}");
    }
    image::GrayImage::new(16, 16).save(folder.path().join("x.png")).unwrap();
    let output = lapidary(folder.path(), &["explain", "x.png", "--to", "bag", "--eps", "0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("radius 0"), "{said}");
    let told = crate::answer(folder.path(), &["eval", "--count", "20", "--steps", "2", "--json"]);
    assert_eq!((&told["images"], &told["attack"]["steps"]), (&20.into(), &2.into()));
}

/// `attack` once took a picture for a checkpoint alone, where `classify` and `explain` take pictures.
#[test]
fn pictures_are_attacked() {
    let folder = tempdir().unwrap();
    let here = folder.path();
    // A trouser, and nothing that the network knows.
    let leg = |x: u32, y: u32| x > 3 && x < 13 && !(x.abs_diff(8) < 2 && y > 5);
    let trouser =
        image::GrayImage::from_fn(16, 16, |x, y| image::Luma([if leg(x, y) { 220 } else { 0 }]));
    trouser.save(here.join("x.png")).unwrap();
    image::GrayImage::from_pixel(16, 16, image::Luma([128])).save(here.join("y.jpg")).unwrap();
    let named = answer(here, &["classify", "x.png", "y.jpg", "--top", "1", "--json"]);
    let pgd = ["--eps", "3", "--attacks", "pgd", "--pgd-steps", "10"];

    let network = ["attack", "x.png", "y.jpg", "--checkpoint", "zoo:fashion-demo", "--json"];
    let told = answer(here, &[&network[..], &pgd, &["--out", "moved.safetensors"]].concat());
    assert_eq!(told["clean_accuracy"], 1.0, "the labels are what the network sees: {told}");
    let moved = answer(here, &["eval", "--data", "moved.safetensors", "--steps", "1", "--json"]);
    assert_eq!(moved["clean_accuracy"], told["robust_accuracy"], "{told}");
    for (at, file) in ["x.png", "y.jpg"].into_iter().enumerate() {
        let picture = &told["pictures"][at];
        assert_eq!(picture["file"], file);
        assert_eq!(picture["before"]["name"], named[at]["top"][0]["name"]);
        let broken = picture["before"] != picture["after"];
        assert_eq!(broken, told["points"][at] == "pgd", "{told}");
    }
    assert_eq!(told["points"][1], "pgd", "{told}");

    // Without a network the program's own is taken, and a network may also stand before pictures.
    let [before, after] = ["before", "after"].map(|when| &told["pictures"][1][when]["name"]);
    let line = format!("y.jpg: {} -> {}", before.as_str().unwrap(), after.as_str().unwrap());
    for given in [&["attack", "y.jpg"][..], &["attack", "zoo:fashion-demo", "y.jpg"]] {
        let said = working(here, &[given, &pgd].concat());
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }

    for (arguments, code, words) in [
        (&["attack", "x.png", "--count", "1"][..], 2, "leave out --data, --count"),
        (&["attack", "x.png", "z.png"], 3, "z.png"),
        (
            &["eval", "x.png"],
            3,
            "it is a picture, where a network is expected: `lapidary classify`",
        ),
    ] {
        let output = lapidary(here, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

/// Settings are told as they were given, and not as the nearest numbers of 32 bits.
#[test]
fn settings_keep_their_digits() {
    let folder = tempdir().unwrap();
    let few = ["--count", "4", "--eps", "0.3", "--json"];
    let told = answer(folder.path(), &[&["eval", "--step-size", "0.1"], &few[..]].concat());
    assert_eq!((&told["attack"]["eps"], &told["attack"]["step_size"]), (&0.3.into(), &0.1.into()));
    let pgd = ["attack", "--attacks", "pgd", "--pgd-steps", "8"];
    let told = answer(folder.path(), &[&pgd[..], &few].concat());
    assert_eq!(told["eps"], 0.3);

    image::GrayImage::new(16, 16).save(folder.path().join("x.png")).unwrap();
    let steps = ["--to", "bag", "--steps", "2", "--step-size", "0.1"];
    working(folder.path(), &[&["explain", "x.png"], &steps[..]].concat());
    let told = std::fs::read(folder.path().join("explanation/confidences.json")).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["step_size"], 0.1);
}
