//! The logit of each image's label, f(x)\[y\]: minus the joint energy (Grathwohl et al. 2020,
//! arXiv 1912.03263, equation 4), and its derivative.

use super::walk::kernel;
use crate::Result;
use crate::gpu::{Access::*, Kernel, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};

uniform! {
    struct Params { images: u32, classes: u32 }
}

/// y from logits and labels.
pub static FORWARD: Kernel =
    kernel!("pick_logit", ["index"], Params, &[("logits", Read), ("labels", Read), ("y", Write)]);

/// dlogits from dy and the labels.
pub static BACKWARD: Kernel = kernel!(
    "pick_logit_backward",
    ["index"],
    Params,
    &[("dy", Read), ("labels", Read), ("dlogits", Write)]
);

/// Inputs logits \[N, K\] and labels \[N\] (u32); output the label's logit of each image \[N\]. A label
/// of K or more picks nothing: 0, and derivative 0.
#[derive(Clone, Copy, Debug)]
pub struct PickLogit;

impl Op for PickLogit {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [logits, labels] = exactly(self.name(), "inputs", inputs)?;
        logits.expect(self.name(), Shape::matrix(logits.images(), logits.channels())?)?;
        labels.expect(self.name(), Shape::per_image(logits.images())?)?;
        Ok(vec![labels])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [logits, _labels] = exactly(self.name(), "inputs", launch.inputs)?;
        let params = Params { images: logits.images(), classes: logits.channels() };
        launch.each(&FORWARD, params, logits.images())
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [logits, labels] = exactly(self.name(), "inputs", &node.inputs)?;
        let classes = graph.shape(logits)?.channels();
        Ok(vec![Some(graph.push(PickLogitBackward { classes }, &[dy, labels])?), None])
    }
}

/// Inputs dy and labels; output dlogits.
#[derive(Clone, Copy, Debug)]
struct PickLogitBackward {
    classes: u32,
}

impl Op for PickLogitBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [dy, labels] = exactly(self.name(), "inputs", inputs)?;
        dy.expect(self.name(), labels)?;
        Ok(vec![Shape::matrix(labels.images(), self.classes)?])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [dlogits] = exactly(self.name(), "outputs", launch.outputs)?;
        let params = Params { images: dlogits.images(), classes: self.classes };
        launch.each(&BACKWARD, params, dlogits.elements())
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let [_dy, labels] = exactly(self.name(), "inputs", &node.inputs)?;
        Ok(vec![Some(graph.push(PickLogit, &[dy, labels])?), None])
    }
}
