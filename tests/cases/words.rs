//! Tests that messages say in words what was given: they once had Rust's notation of its structures in them.

use crate::{lapidary, working};
use lapidary::data::BatchSource;
use lapidary::graph::{Graph, Shape};
use lapidary::model::{ConvNext, Metadata, Network, ResNet, Stem};
use lapidary::ops::{Conv2d, MaxPool, Pad};
use tempfile::tempdir;

#[test]
fn what_was_given_is_said_in_words() {
    let mut graph = Graph::default();
    let x = graph.input(Shape::square(1, 3, 4).unwrap());
    let w = graph.input(Shape::square(8, 3, 7).unwrap());
    let conv = graph.push(Conv2d { stride: [2; 2], padding: [1; 2] }, &[x, w]).unwrap_err();
    let pool = MaxPool { kernel: 7, stride: 2, padding: 1 }.push(&mut graph, x).unwrap_err();
    let pad = Pad { top: u32::MAX, bottom: 1, left: 0, right: 2 };
    let pad = graph.push(pad, &[x]).unwrap_err();
    let stem = || Stem::Convs { channels: vec![8, 16], strides: vec![2] };
    let convnext = ConvNext::new([1; 4], [16; 4], stem(), 3, 10, None).unwrap_err();
    let metadata = Metadata {
        depths: Some(vec![2; 4]),
        dims: Some(vec![64; 4]),
        channels: Some(3),
        classes: Some(10),
        stem: Some(stem()),
        ..Metadata::default()
    };
    let resnet = ResNet::from_metadata(&metadata).map(Network::from).unwrap_err();
    // It must not become the usual stem without a word.
    let none = Stem::Convs { channels: vec![0], strides: vec![1] };
    let empty = Metadata { stem: Some(none), ..metadata };
    let empty = ResNet::from_metadata(&empty).map(Network::from).unwrap_err();
    let noise = |name, batch| BatchSource::noise(name, 0, batch, [3, 8]).unwrap();
    let parts = vec![(1.0, noise("a", 4)), (0.5, noise("b", 2))];
    let mixture = BatchSource::mixture("both", 0, parts).unwrap_err();
    for (error, words) in [
        (conv, "got stride [2, 2] and padding [1, 1] of x 1x3x4x4 and weights 8x3x7x7;"),
        (pool, "got kernel 7, stride 2, padding 1, x 1x3x4x4;"),
        (pad, "got 4294967295, 1, 0 and 2 zeros around 1x3x4x4;"),
        (convnext, "got a stem of channels [8, 16] and strides [2];"),
        (resnet, r#"got stem {"channels":[8,16],"strides":[2]};"#),
        (empty, r#"got stem {"channels":[0],"strides":[1]};"#),
        (mixture, r#"got the source "b" of weight 0.5, shape [3, 8] and batch 2;"#),
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn other_settings_of_a_kept_state_are_said_in_words() {
    let folder = tempdir().unwrap();
    let attack = ["attack", "--count", "2", "--attacks", "pgd", "--state", "state.json"];
    working(folder.path(), &[&attack[..], &["--pgd-steps", "8"]].concat());
    let output = lapidary(folder.path(), &[&attack[..], &["--pgd-steps", "9"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let words = r#"got an evaluation with pgd "steps: 8, step_size: 0.0625,"#;
    assert!(said.contains(words) && !said.contains(['{', '}']), "{said}");
}
