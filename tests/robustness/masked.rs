//! Makes a network whose gradient carries no information and checks that the evaluation warns of it.

use crate::{evaluate, hold, network};
use lapidary::Result;
use lapidary::eval::{AttackName, AutoAttack, Warning};
use lapidary::graph::{Graph, Launch, Node, Op, Shape, Value};
use lapidary::model::{Mode, Model, Network, Parameter, Weights};
use lapidary::ops::{Norm, Scale};

/// The same values, and a derivative of 0: as a rounding of the images in front of a network has it.
#[derive(Clone, Copy, Debug)]
struct Silent;

const SAME: Scale = Scale { factor: 1.0 };

impl Op for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        SAME.outputs(inputs)
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        SAME.record(launch)
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        _node: &Node,
        dy: Value,
        _asked: &[bool],
    ) -> Result<Vec<Option<Value>>> {
        Ok(vec![Some(graph.push(Scale { factor: 0.0 }, &[dy])?)])
    }
}

struct Masked(Network);

impl Model for Masked {
    fn channels(&self) -> u32 {
        self.0.channels()
    }

    fn classes(&self) -> u32 {
        self.0.classes()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.0.parameters()
    }

    fn logits(&self, graph: &mut Graph, x: Value, weights: &Weights, mode: Mode) -> Result<Value> {
        let x = graph.push(Silent, &[x])?;
        self.0.logits(graph, x, weights, mode)
    }
}

#[test]
fn masked_gradients_are_noticed() {
    let (model, weights) = network("plain");
    let model = Masked(model);
    let standard = AutoAttack::standard(Norm::L2, 1.0);
    let settings = AutoAttack { steps: 25, targets: 2, queries: 1000, batch: 32, ..standard };
    let result = evaluate(&settings, &model, &weights, 32);
    hold(&result, &model, &weights);
    let flat = |attack| result.warnings.contains(&Warning::ZeroGradient { attack, share: 1.0 });
    assert!(flat(AttackName::ApgdCe) && flat(AttackName::ApgdTargeted), "{:?}", result.warnings);
    let square = result.warnings.iter().find_map(|warning| match warning {
        Warning::SquareBeatsGradients { share } => Some(*share),
        _ => None,
    });
    assert!(square.is_some_and(|share| share > 0.2), "{:?}", result.attacks);
    assert_eq!(result.warnings.len(), 3);
}
