//! Tests that published wide residual networks at full size (WRN-28-10 to 94-16) are recognised by the tensor names and shapes of
//! their authors' checkpoints, and that their graphs can be built. Nothing is computed, since the weights would be gigabytes;
//! `tests/model/lookalikes.rs` runs small networks with the same names.

use lapidary::graph::{Graph, Shape};
use lapidary::model::{Checkpoint, Metadata, Mode, Network, Role, StateDict, Tensor, Weights};

type Named = Vec<(String, Vec<usize>)>;

/// Weights and statistics of batch normalisation.
fn normalisation(all: &mut Named, name: &str, width: usize) {
    for part in ["weight", "bias", "running_mean", "running_var"] {
        all.push((format!("{name}.{part}"), vec![width]));
    }
}

/// The three stages' blocks: `block` is told the stage, the place and the channels that come in and go out.
fn stages(
    depth: usize,
    width: usize,
    mut block: impl FnMut(usize, usize, usize, usize),
) -> [usize; 2] {
    let (blocks, mut last) = ((depth - 4) / 6, 16);
    for stage in 0..3 {
        let wide = (16 << stage) * width;
        for place in 0..blocks {
            block(stage, place, last, wide);
            last = wide;
        }
    }
    [last, blocks]
}

/// Zhang's TRADES; where told as RobustBench has it for Carmon and others 2019, with a block that is never run.
fn trades(depth: usize, width: usize, again: bool) -> Named {
    let mut all = vec![("conv1.weight".to_owned(), vec![16, 3, 3, 3])];
    let mut copies = Vec::new();
    let [last, _] = stages(depth, width, |stage, place, inputs, outputs| {
        let mut own = Vec::new();
        normalisation(&mut own, "bn1", inputs);
        own.push(("conv1.weight".into(), vec![outputs, inputs, 3, 3]));
        normalisation(&mut own, "bn2", outputs);
        own.push(("conv2.weight".into(), vec![outputs, outputs, 3, 3]));
        if inputs != outputs {
            own.push(("convShortcut.weight".into(), vec![outputs, inputs, 1, 1]));
        }
        let at = |start: &str, stage: usize| format!("{start}block{stage}.layer.{place}.");
        if again && stage == 0 {
            copies.extend(own.iter().map(|(name, shape)| (at("sub_", 1) + name, shape.clone())));
        }
        all.extend(own.into_iter().map(|(name, shape)| (at("", stage + 1) + &name, shape)));
    });
    all.extend(copies);
    normalisation(&mut all, "bn1", last);
    all.extend([("fc.weight".into(), vec![10, last]), ("fc.bias".into(), vec![10])]);
    all
}

/// Gowal and others 2020, and what follows them.
fn deepmind(depth: usize, width: usize, classes: usize) -> Named {
    let mut all = vec![("init_conv.weight".to_owned(), vec![16, 3, 3, 3])];
    let [last, _] = stages(depth, width, |stage, place, inputs, outputs| {
        let at = format!("layer.{stage}.block.{place}");
        normalisation(&mut all, &format!("{at}.batchnorm_0"), inputs);
        all.push((format!("{at}.conv_0.weight"), vec![outputs, inputs, 3, 3]));
        normalisation(&mut all, &format!("{at}.batchnorm_1"), outputs);
        all.push((format!("{at}.conv_1.weight"), vec![outputs, outputs, 3, 3]));
        if inputs != outputs {
            all.push((format!("{at}.shortcut.weight"), vec![outputs, inputs, 1, 1]));
        }
    });
    normalisation(&mut all, "batchnorm", last);
    all.extend([
        ("logits.weight".into(), vec![classes, last]),
        ("logits.bias".into(), vec![classes]),
    ]);
    all
}

/// Grathwohl and others 2020.
fn jem(depth: usize, width: usize) -> Named {
    let mut all = Vec::new();
    let mut conv = |name: String, shape: [usize; 4]| {
        all.push((format!("f.{name}.weight"), shape.to_vec()));
        all.push((format!("f.{name}.bias"), vec![shape[0]]));
    };
    conv("conv1".into(), [16, 3, 3, 3]);
    let [last, _] = stages(depth, width, |stage, place, inputs, outputs| {
        let at = format!("layer{}.{place}", stage + 1);
        conv(format!("{at}.conv1"), [outputs, inputs, 3, 3]);
        conv(format!("{at}.conv2"), [outputs, outputs, 3, 3]);
        if inputs != outputs {
            conv(format!("{at}.shortcut.0"), [outputs, inputs, 1, 1]);
        }
    });
    for (name, classes) in [("f.linear", 10), ("energy_output", 1), ("class_output", 10)] {
        all.push((format!("{name}.weight"), vec![classes, last]));
        all.push((format!("{name}.bias"), vec![classes]));
    }
    all
}

#[test]
fn networks_of_full_width_are_recognised_and_built() {
    let _alone = crate::alone();
    // What is shown of each, and its trained numbers in millions.
    let cases = [
        (trades(34, 10, false), "WRN-34-10", 46.16),
        (trades(28, 10, true), "WRN-28-10", 36.48),
        (trades(70, 16, false), "WRN-70-16", 266.80),
        (deepmind(28, 10, 10), "WRN-28-10 of DeepMind's", 36.48),
        (deepmind(34, 20, 10), "WRN-34-20 of DeepMind's", 184.53),
        (deepmind(70, 16, 100), "WRN-70-16 of DeepMind's", 266.89),
        (deepmind(94, 16, 10), "WRN-94-16 of DeepMind's", 365.92),
        (jem(28, 10), "WRN-28-10 without normalisation layers", 36.47),
    ];
    for (named, shown, millions) in cases {
        let mut weights = StateDict::default();
        for (name, shape) in named {
            // The numbers play no part in what network it is.
            weights.insert(name, Tensor { shape, data: Vec::new() });
        }
        let read = Checkpoint::from_state_dict("made", weights, Metadata::default()).unwrap();
        let network =
            Network::from_checkpoint(&read).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(network.to_string(), shown);
        let count = network.count() as f64 / 1e6;
        assert!((count - millions).abs() < 0.005, "{shown}: {count} million");
        // Each tensor that is left is one of the network's.
        assert_eq!(network.parameters().len(), read.weights.len(), "{shown}");
        assert!(network.parameters().iter().any(|parameter| parameter.role == Role::Weight));
        let mut graph = Graph::default();
        let images = graph.input(Shape::new(2, 3, 32, 32).unwrap());
        let inputs = Weights::inputs(&mut graph, &network.parameters()).unwrap();
        let logits = network.logits(&mut graph, images, &inputs, Mode::Frozen).unwrap();
        let wanted = Shape::matrix(2, network.classes()).unwrap();
        assert_eq!(graph.shape(logits).unwrap(), wanted, "{shown}");
    }
}
