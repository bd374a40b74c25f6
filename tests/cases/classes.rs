//! Tests that the classes of a data set are matched to a network's classes by name: a folder of each class, sorted, gives the
//! labels 0, 1, ..., which need not be the numbers of the network's logits.

use crate::{answer, lapidary, working};
use lapidary::data::{ClassMap, Classes, Part, fashion};
use lapidary::model::{Checkpoint, Network, Tensor};
use std::path::Path;

const NET: &str = "coloured.safetensors";
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-demo/model.safetensors");

/// The built-in network for coloured pictures, which are what class folders have: it sees the mean of the channels.
fn coloured(folder: &Path) {
    let mut checkpoint = Checkpoint::read(DEMO).unwrap();
    let first = checkpoint.weights.remove("conv1.weight").unwrap();
    let thirds =
        |kernel: &[f32]| kernel.repeat(3).iter().map(|weight| weight / 3.0).collect::<Vec<_>>();
    let data = first.data.chunks(9).flat_map(thirds).collect();
    checkpoint.weights.insert("conv1.weight", Tensor::new(vec![16, 3, 3, 3], data).unwrap());
    let normalisation = checkpoint.metadata.normalisation.as_mut().unwrap();
    (normalisation.mean, normalisation.std) =
        (normalisation.mean.repeat(3), normalisation.std.repeat(3));
    checkpoint.metadata.channels = Some(3);
    checkpoint.write(folder.join(NET)).unwrap();
}

/// Twenty test images of each of these classes of clothes, in folders of the names given.
fn folders(at: &Path, classes: &[(&str, u32)]) {
    let all = fashion::load(Part::Test).unwrap();
    for part in ["train", "test"] {
        for (name, class) in classes {
            let folder = at.join(part).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            let mine = (0..all.len()).filter(|&i| all.labels()[i] == *class).take(20);
            for i in mine {
                let pixels = all.image(i).unwrap().to_vec();
                let image = image::GrayImage::from_raw(28, 28, pixels).unwrap();
                image.save(folder.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

fn accuracy(folder: &Path, more: &[&str]) -> f64 {
    let arguments = ["eval", NET, "--data", "clothes", "--steps", "1", "--json"];
    answer(folder, &[&arguments[..], more].concat())["clean_accuracy"].as_f64().unwrap()
}

#[test]
fn a_subset_of_the_classes_is_evaluated_by_name() {
    let folder = tempfile::tempdir().unwrap();
    coloured(folder.path());
    folders(&folder.path().join("clothes"), &[("Ankle_Boot", 9), ("bag", 8), ("trouser", 1)]);
    let by_name = accuracy(folder.path(), &[]);
    assert!(by_name > 0.7, "{by_name}");
    // What the folders' order would say: T-shirts, trousers and pullovers.
    let as_given = accuracy(folder.path(), &["--labels-as-given"]);
    assert!(as_given < 0.1, "{as_given}");
}

#[test]
fn other_classes_are_refused_with_both_lists_unless_a_map_is_given() {
    let folder = tempfile::tempdir().unwrap();
    coloured(folder.path());
    folders(&folder.path().join("clothes"), &[("boots", 9), ("handbags", 8)]);
    for command in [&["eval", NET][..], &["attack", NET], &["eval", "counterfactuals", NET]] {
        let output = lapidary(folder.path(), &[command, &["--data", "clothes"]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{said}");
        for word in [
            "boots, handbags",
            "trouser, pullover",
            "by a line of --class-map",
            "--labels-as-given",
        ] {
            assert!(said.contains(word), "{said}");
        }
    }
    std::fs::write(folder.path().join("map"), "# mine\nboots = ankle boot\n\nhandbags = 8\n")
        .unwrap();
    let mapped = accuracy(folder.path(), &["--class-map", "map"]);
    assert!(mapped > 0.7, "{mapped}");
}

#[test]
fn names_on_one_side_alone_are_told() {
    let folder = tempfile::tempdir().unwrap();
    coloured(folder.path());
    let mut checkpoint = Checkpoint::read(folder.path().join(NET)).unwrap();
    (checkpoint.metadata.class_names, checkpoint.metadata.preset) = (None, None);
    checkpoint.write(folder.path().join("nameless.safetensors")).unwrap();
    folders(&folder.path().join("clothes"), &[("t", 0), ("u", 1)]);
    let arguments = ["eval", "nameless.safetensors", "--data", "clothes", "--steps", "1"];
    let output = lapidary(folder.path(), &arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("the network has no class names"), "{said}");
}

#[test]
fn each_way_of_matching_gives_its_labels() {
    let [images, network] = [["dog", "Cat"].as_slice(), &["cat", "cow", "dog", "cow"]]
        .map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    let of = |names| Classes { names, count: 4 };
    let two = Classes { names: &images, count: 2 };
    let by_name = ClassMap::ByName.relabelling(two, of(&network)).unwrap();
    assert_eq!((by_name.labels, by_name.note), (vec![2, 0], None));
    let as_given = ClassMap::AsGiven.relabelling(two, of(&network)).unwrap();
    assert_eq!(as_given.labels, [0, 1]);
    let nameless = ClassMap::ByName.relabelling(two, of(&[])).unwrap();
    assert_eq!((nameless.labels, nameless.note.is_some()), (vec![0, 1], true));
    let pairs = |pairs: &[(&str, &str)]| {
        ClassMap::Listed(pairs.iter().map(|&(a, b)| (a.into(), b.into())).collect())
    };
    let listed = pairs(&[("0", "1"), ("Cat", "3")]).relabelling(two, of(&network)).unwrap();
    assert_eq!(listed.labels, [1, 3]);
    for (map, word) in [
        (pairs(&[("dog", "dog")]), "no line for \"Cat\""),
        (pairs(&[("dog", "cow"), ("Cat", "cat")]), "the name of classes 1 and 3"),
        (pairs(&[("dog", "horse"), ("Cat", "cat")]), "\"horse\""),
        (pairs(&[("cow", "cow")]), "\"cow\""),
        (pairs(&[("dog", "0"), ("dog", "1"), ("Cat", "2")]), "two lines"),
    ] {
        let error = map.relabelling(two, of(&network)).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    // A name that is two of the network's classes says nothing.
    let cow = ["cow".to_owned()];
    let error = ClassMap::ByName.relabelling(Classes { names: &cow, count: 1 }, of(&network));
    assert!(error.unwrap_err().to_string().contains("several"));
    // Folders called 0, 1, 2 are labels; 3 and 7 are none of this network's classes, and might be anything.
    let numbers = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let counted = numbers(&["0", "1", "2"]);
    let found = ClassMap::ByName.relabelling(Classes { names: &counted, count: 3 }, of(&network));
    let found = found.unwrap();
    assert_eq!((found.labels, found.note.is_some()), (vec![0, 1, 2], true));
    let some = numbers(&["3", "7"]);
    let some = Classes { names: &some, count: 2 };
    assert!(ClassMap::ByName.relabelling(some, of(&network)).is_err());
    // A network whose own classes are called by numbers has them by name.
    let own = numbers(&["1", "3", "5", "7"]);
    assert_eq!(ClassMap::ByName.relabelling(some, of(&own)).unwrap().labels, [1, 3]);
    let many = Classes { names: &[], count: 5 };
    assert!(ClassMap::AsGiven.relabelling(many, of(&network)).is_err());
}

/// `model.weights` begins with logits in the order of the images' classes.
#[test]
fn training_on_from_a_checkpoint_keeps_each_logit_with_its_class() {
    let checkpoint = Checkpoint::read(DEMO).unwrap();
    let network = Network::from_checkpoint(&checkpoint).unwrap();
    let order = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let old = checkpoint.weights.clone();
    let new = network.with_classes(checkpoint.weights, &order).unwrap();
    let bias = |weights: &lapidary::model::StateDict| weights.get("fc.bias").unwrap().data.clone();
    assert_eq!(bias(&new)[0], bias(&old)[9]);
    assert_eq!(bias(&new)[1..], bias(&old)[..9]);
    assert_eq!(
        new.get("fc.weight").unwrap().data[..64],
        old.get("fc.weight").unwrap().data[9 * 64..]
    );
    assert!(network.with_classes(old, &[0; 10]).is_err());

    let folder = tempfile::tempdir().unwrap();
    coloured(folder.path());
    let names: Vec<_> = (0..10).map(|class| format!("kind {class}")).collect();
    let classes: Vec<_> = names.iter().map(String::as_str).zip(0..).collect();
    folders(&folder.path().join("clothes"), &classes);
    let set = |text: String| ["--set".to_owned(), text];
    let settings = [set("data.train=clothes".into()), set(format!("model.weights={NET}"))];
    let arguments =
        [vec!["plan".to_owned(), "fashion-demo".into(), "--time".into()], settings.concat()]
            .concat();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = lapidary(folder.path(), &arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("kind 0") && said.contains("pullover"),
        "{said}"
    );
    working(folder.path(), &[&arguments[..], &["--set", "model.classes=as-given"]].concat());
}

/// A class that is listed twice would have its pictures twice; accents may be written in two ways, and lists begin with a mark.
#[test]
fn lists_of_classes_are_read_as_they_are_meant() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    for class in ["ant", "caf\u{e9}"] {
        std::fs::create_dir(at(class)).unwrap();
        image::RgbImage::new(8, 8).save(at(class).join("a.png")).unwrap();
    }
    let names = || {
        let source = lapidary::data::Source::parse(folder.path().to_str().unwrap()).unwrap();
        source.evaluation([3, 8, 10], None, 0.0).map(|found| found.class_names)
    };
    std::fs::write(at("classes.txt"), "\u{feff}caf\u{e9}\nant\n").unwrap();
    assert_eq!(names().unwrap(), ["caf\u{e9}", "ant"]);
    std::fs::write(at("classes.txt"), "ant\nant\ncaf\u{e9}\n").unwrap();
    assert!(names().unwrap_err().to_string().contains("\"ant\" twice"));
    let [images, network] = [["caf\u{e9}".to_owned()], ["cafe\u{301}".to_owned()]];
    let of = |names| Classes { names, count: 1 };
    let found = ClassMap::ByName.relabelling(of(&images), of(&network)).unwrap();
    assert_eq!(found.labels, [0]);
}
