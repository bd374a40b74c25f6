//! Compares wide residual networks with PyTorch's: names and number of parameters, logits, losses and gradients.

use crate::case::Case;
use crate::{gpu, gpu_for};
use lapidary::gpu::{Gpu, Lowering};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::model::{
    Activation, Block, DeviceWeights, Mode, Network, Normalisation, Parameter, Role, Weights,
    WideResNet, initial,
};
use lapidary::ops::{self, CrossEntropy, LogSumExp, PickLogit};
use pollster::block_on;

fn wrn(depth: u32, width: u32, classes: u32) -> Network {
    WideResNet::new(depth, width, 3, classes, Activation::Relu, None).unwrap().into()
}

#[test]
fn counts_are_the_published_ones() {
    assert_eq!(wrn(34, 10, 10).count(), 46_160_474);
    assert_eq!(wrn(34, 10, 100).count(), 46_218_164);
}

#[test]
fn names_are_in_pytorchs_order() {
    let parameters = wrn(10, 1, 10).parameters();
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(
        names[..3],
        ["conv1.weight", "block1.layer.0.bn1.weight", "block1.layer.0.bn1.bias"]
    );
    assert_eq!(names[names.len() - 3..], ["bn1.running_var", "fc.weight", "fc.bias"]);
    // Stage 1 of width 1 keeps its 16 channels, so its first block has an identity shortcut.
    let shortcuts: Vec<_> = names.iter().filter(|name| name.contains("Shortcut")).collect();
    assert_eq!(
        shortcuts,
        [&"block2.layer.0.convShortcut.weight", &"block3.layer.0.convShortcut.weight"]
    );
}

#[test]
fn settings_that_make_no_network_are_refused() {
    let new = |depth, width, channels, classes, mean: &[f32]| {
        let normalisation = Normalisation { mean: mean.to_vec(), std: vec![1.0; mean.len()] };
        WideResNet::new(depth, width, channels, classes, Activation::Relu, Some(normalisation))
    };
    assert!(new(10, 1, 1, 10, &[0.5]).is_ok());
    for (depth, width, channels, classes, mean) in [
        (11, 1, 1, 10, &[0.5][..]),
        (4, 1, 1, 10, &[0.5]),
        (u32::MAX - 1, 1, 1, 10, &[0.5]),
        (10, 0, 1, 10, &[0.5]),
        (10, 1, 0, 10, &[]),
        (10, 1, 1, 0, &[0.5]),
        (10, 1, 1, 10, &[0.5, 0.5]),
        (10, 1, 1, 10, &[f32::NAN]),
    ] {
        let error = new(depth, width, channels, classes, mean).unwrap_err().to_string();
        assert!(error.starts_with("wrn: ") && error.contains("expected"), "{error}");
    }
}

#[test]
fn initial_weights_depend_on_the_seed_alone() {
    let parameters = wrn(10, 1, 10).parameters();
    let [a, b, c] = [1, 1, 2].map(|seed| initial::initial(&parameters, seed));
    a.check(&parameters).unwrap();
    assert_eq!(a, b);
    assert_ne!(a, c);
    // Committed bits: another machine must draw the same.
    let first = &a.get("conv1.weight").unwrap().data[..3];
    assert_eq!(first.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), FIRST);
    assert!(a.get("fc.bias").unwrap().data.iter().all(|&x| x == 0.0));
    assert!(a.get("bn1.weight").unwrap().data.iter().all(|&x| x == 1.0));
}

const FIRST: [u32; 3] = [3_172_272_620, 1_016_640_443, 1_012_759_730];

#[test]
fn weights_come_back_from_the_device() {
    let parameters = wrn(10, 1, 10).parameters();
    let weights = initial::initial(&parameters, 3);
    let on_device = block_on(DeviceWeights::upload(gpu(), &parameters, &weights)).unwrap();
    assert_eq!(block_on(on_device.download()).unwrap(), weights);
}

/// A graph's program with weights given, run once, with these inputs written.
fn run(
    gpu: &Gpu,
    graph: &Graph,
    wanted: &[Value],
    given: &[(Value, lapidary::gpu::Buffer)],
    inputs: &[(Value, &[f32])],
) -> Vec<Vec<f32>> {
    block_on(async {
        let changing: Vec<_> = inputs.iter().map(|(value, _)| *value).collect();
        let mut program = Program::new(gpu, graph, wanted, &changing, given).await.unwrap();
        for (value, data) in inputs {
            program.write(*value, data).await.unwrap();
        }
        program.submit().await.unwrap();
        program.read_all(wanted).await.unwrap()
    })
}

/// u32 labels as the f32 of the same bits.
fn bits(labels: &[u32]) -> Vec<f32> {
    labels.iter().map(|&label| f32::from_bits(label)).collect()
}

fn model(name: &str, lowering: Lowering) {
    let Some(case) = Case::open(&format!("models/{name}")) else { return };
    let gpu = gpu_for(lowering);
    let (model, checkpoint) = case.model();
    let parameters = model.parameters();
    let training = name.ends_with("_train");
    let on_device =
        block_on(DeviceWeights::upload(&gpu, &parameters, &checkpoint.weights)).unwrap();

    let mut graph = Graph::default();
    let [n, c, h, w] = case.shape("in.x").iter().map(|&n| n as u32).collect::<Vec<_>>()[..] else {
        panic!()
    };
    let x = graph.input(Shape::new(n, c, h, w).unwrap());
    let per_image = Shape::per_image(n).unwrap();
    let (labels, ones, inverse) =
        (graph.input(per_image), graph.input(per_image), graph.input(per_image));
    let weights = Weights::inputs(&mut graph, &parameters).unwrap();
    let mut updates = Vec::new();
    let mode = if training { Mode::Training(&mut updates) } else { Mode::Frozen };
    let logits = model.logits(&mut graph, x, &weights, mode).unwrap();
    let loss = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[logits, labels]).unwrap();
    let trained: Vec<_> = parameters.iter().filter(|p| p.role == Role::Weight).collect();
    let mut asked: Vec<_> = trained.iter().map(|p| weights.get(&p.name).unwrap()).collect();
    asked.push(x);
    let mut wanted = vec![logits, loss];
    wanted.extend(ops::gradient(&mut graph, loss, inverse, &asked).unwrap());
    if !training {
        let lse = graph.push(LogSumExp, &[logits]).unwrap();
        let joint = graph.push(PickLogit, &[logits, labels]).unwrap();
        wanted.push(lse);
        wanted.extend(ops::gradient(&mut graph, lse, ones, &[x]).unwrap());
        wanted.extend(ops::gradient(&mut graph, joint, ones, &[x]).unwrap());
    }
    for update in updates {
        update.push(&mut graph).unwrap();
    }
    let inputs = [
        (x, case.get("in.x")),
        (labels, &bits(&case.labels())),
        (ones, &vec![1.0; n as usize]),
        (inverse, &vec![1.0 / n as f32; n as usize]),
    ];
    let used = if training { &[inputs[0], inputs[1], inputs[3]][..] } else { &inputs[..] };
    let given = on_device.bindings(&weights).unwrap();
    let results = run(&gpu, &graph, &wanted, &given, used);

    case.check("out.logits", &results[0]);
    case.check("out.ce_loss", &[results[1].iter().sum::<f32>() / n as f32]);
    let gradients = &results[2..];
    for (parameter, gradient) in trained.iter().zip(gradients) {
        case.check(&format!("grad.param.{}", parameter.name), gradient);
    }
    case.check("grad.x.ce", &gradients[trained.len()]);
    if let [lse, of_lse, of_joint] = &gradients[trained.len() + 1..] {
        case.check("out.logsumexp", lse);
        case.check("grad.x.logsumexp", of_lse);
        case.check("grad.x.joint", of_joint);
    }
    let after = block_on(on_device.download()).unwrap();
    for name in case.names("out.buffer.") {
        case.check(&format!("out.buffer.{name}"), &after.get(&name).unwrap().data);
    }
    if !training {
        assert_eq!(after, checkpoint.weights);
    }
}

#[test]
fn frozen_networks_are_pytorchs() {
    for name in ["wrn10_1_eval", "wrn10_1_swish_eval", "wrn10_2_eval", "wrn16_2_eval"] {
        model(name, Lowering::Full);
    }
    model("wrn10_1_eval", Lowering::Plain);
}

#[test]
fn training_networks_are_pytorchs() {
    for name in ["wrn10_1_train", "wrn10_1_swish_train"] {
        model(name, Lowering::Full);
    }
}

fn block(name: &str, lowering: Lowering) {
    let Some(case) = Case::open(&format!("blocks/{name}")) else { return };
    let side = |tensor: &str| case.shape(tensor).iter().map(|&n| n as u32).collect::<Vec<_>>();
    let ([n, c, h, w], [_, out, v, u]) =
        (side("in.x")[..].try_into().unwrap(), side("in.dy")[..].try_into().unwrap());
    let block = Block {
        prefix: String::new(),
        inputs: c,
        outputs: out,
        stride: case.number("stride") as u32,
        activation: case.activation(),
        variant: None,
    };
    let role = Role::Weight;
    let parameters: Vec<_> = case
        .names("in.w.")
        .into_iter()
        .map(|name| Parameter { shape: case.shape(&format!("in.w.{name}")).to_vec(), name, role })
        .collect();
    let gpu = gpu_for(lowering);
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(n, c, h, w).unwrap());
    let dy = graph.input(Shape::new(n, out, v, u).unwrap());
    let weights = Weights::inputs(&mut graph, &parameters).unwrap();
    let mut updates = Vec::new();
    let training = case.params["train"].as_bool().unwrap();
    let mut mode = if training { Mode::Training(&mut updates) } else { Mode::Frozen };
    let y = block.push(&mut graph, x, &weights, &mut mode).unwrap();
    let trained = case.names("grad.w.");
    let mut asked: Vec<_> = trained.iter().map(|name| weights.get(name).unwrap()).collect();
    asked.push(x);
    let mut wanted = ops::gradient(&mut graph, y, dy, &asked).unwrap();
    wanted.push(y);
    for update in updates {
        update.push(&mut graph).unwrap();
    }
    let tensors = parameters.iter().map(|parameter| {
        let data = case.get(&format!("in.w.{}", parameter.name)).to_vec();
        (
            parameter.name.clone(),
            lapidary::model::Tensor::new(parameter.shape.clone(), data).unwrap(),
        )
    });
    let on_device = block_on(DeviceWeights::upload(&gpu, &parameters, &tensors.collect())).unwrap();
    let given = on_device.bindings(&weights).unwrap();
    let results =
        run(&gpu, &graph, &wanted, &given, &[(x, case.get("in.x")), (dy, case.get("in.dy"))]);
    for (name, gradient) in trained.iter().zip(&results) {
        case.check(&format!("grad.w.{name}"), gradient);
    }
    case.check("grad.x", &results[trained.len()]);
    case.check("out.y", &results[trained.len() + 1]);
    let after = block_on(on_device.download()).unwrap();
    for name in case.names("out.buffer.") {
        case.check(&format!("out.buffer.{name}"), &after.get(&name).unwrap().data);
    }
}

#[test]
fn blocks_are_pytorchs() {
    for shape in ["c16o16s1", "c16o32s2", "c5o7s1"] {
        for activation in ["relu", "swish"] {
            for mode in ["eval", "train"] {
                let lowering = if mode == "eval" { Lowering::Full } else { Lowering::Plain };
                block(&format!("wrn_{shape}_{activation}_{mode}"), lowering);
            }
        }
    }
}
