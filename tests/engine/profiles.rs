//! Tests that a profile has a time for each launch, however many there are, and names the layer of each.

use crate::gpu;
use crate::net::weights;
use lapidary::attack::{Attack, Pgd, PgdAttack};
use lapidary::graph::{Graph, Shape};
use lapidary::lower::Program;
use lapidary::model::{Activation, BatchSize, DeviceWeights, Network, WideResNet};
use lapidary::ops::Scale;
use pollster::block_on;

/// More launches than one query set takes, which is 2,048.
#[test]
fn a_profile_has_every_launch() {
    const LAUNCHES: usize = 2_500;
    if !gpu().adapter().timestamps {
        return eprintln!("SKIPPED: no timestamps on {}", gpu().adapter());
    }
    let mut graph = Graph::default();
    let x = graph.input(Shape::vector(64).unwrap());
    let mut y = x;
    for _ in 0..LAUNCHES {
        y = graph.push(Scale { factor: 1.0 }, &[y]).unwrap();
    }
    block_on(async {
        let mut program = Program::new(gpu(), &graph, &[y], &[x], &[]).await.unwrap();
        program.write(x, &[3.0f32; 64]).await.unwrap();
        let timings = program.profile(2).await.unwrap();
        assert_eq!(timings.len(), LAUNCHES);
        for (at, timing) in timings.iter().enumerate() {
            assert_eq!(timing.kernel, "scale");
            assert!((0.0..1e3).contains(&timing.milliseconds), "{timing:?}");
            assert_eq!(timing.part.as_ref().unwrap().node, at);
        }
        assert!(timings.iter().any(|timing| timing.milliseconds > 0.0));
        assert_eq!(program.read(y).await.unwrap(), [3.0; 64]);
    });
}

/// A step of an attack has the layers of its network, each forward and backward, and its memory adds up.
#[test]
fn launches_know_their_layers() {
    if !gpu().adapter().timestamps {
        return eprintln!("SKIPPED: no timestamps on {}", gpu().adapter());
    }
    let model = WideResNet::new(10, 1, 3, 10, Activation::Relu, None).unwrap();
    let model = Network::from(model);
    block_on(async {
        let parameters = model.parameters();
        let weights = weights(&model, 1);
        let weights = DeviceWeights::upload(gpu(), &parameters, &weights).await.unwrap();
        let (size, settings) = (BatchSize { images: 2, side: 16 }, Pgd::default());
        let mut attack = PgdAttack::new(&model, &weights, size, settings).await.unwrap();
        let timings = attack.profile(1).await.unwrap();
        let nodes = |layer: &str| {
            let parts = timings.iter().filter_map(|timing| timing.part.as_ref());
            let mut nodes: Vec<_> =
                parts.filter(|part| part.layer == layer).map(|part| part.node).collect();
            nodes.dedup();
            nodes.len()
        };
        for parameter in parameters.iter().filter(|parameter| parameter.shape.len() > 1) {
            let layer = parameter.name.strip_suffix(".weight").unwrap();
            assert!(nodes(layer) >= 2, "{layer}: {} nodes", nodes(layer));
        }
        assert_eq!(timings.last().unwrap().part.as_ref().unwrap().layer, "");
        let summary = attack.summary();
        let count: usize = parameters.iter().map(|parameter| parameter.count()).sum();
        assert_eq!(summary.weight_bytes, 4 * count as u64);
        assert!(summary.kept_bytes > 0 && summary.work_bytes() > 0, "{summary}");
    });
}
