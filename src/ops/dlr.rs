//! The difference of logits ratio (Croce and Hein 2020, arXiv 2003.01690, equations 6 and 7), which does not vanish where
//! the cross-entropy's gradient does, and its derivative.

use crate::gpu::{Access::*, BufferId, Kernel, Recording, uniform};
use crate::graph::{Derivatives, Graph, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { images: u32, classes: u32 }
}

macro_rules! kernel {
    ($name:literal, $bindings:expr) => {
        Kernel {
            name: $name,
            source: &[
                include_str!(concat!("../../shaders/", $name, ".wgsl")),
                include_str!("../../shaders/shared/dlr_row.wgsl"),
                include_str!("../../shaders/shared/index.wgsl"),
            ],
            params: Params::LAYOUT,
            bindings: $bindings,
            subgroup: 0,
        }
    };
}

/// y from logits, labels and targets.
pub static FORWARD: Kernel =
    kernel!("dlr", &[("logits", Read), ("labels", Read), ("targets", Read), ("y", Write)]);

/// dlogits from dy and the same.
pub static BACKWARD: Kernel = kernel!(
    "dlr_backward",
    &[("dy", Read), ("logits", Read), ("labels", Read), ("targets", Read), ("dlogits", Write)]
);

/// Inputs logits \[N, K\], labels \[N\] (u32) and, if `targeted`, target classes below K \[N\] (u32); output \[N\], with
/// an image's logits sorted downwards as z_1, z_2, ...:
///
/// -(z_label - largest other) / (z_1 - z_3 + 1e-12), or -(z_label - z_target) / (z_1 - (z_3 + z_4) / 2 + 1e-12)
///
/// It needs 3 classes, or 4. A label of K or more gives 0, and derivative 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dlr {
    /// Whether there are target classes.
    pub targeted: bool,
}

impl Dlr {
    fn least(self) -> u32 {
        if self.targeted { 4 } else { 3 }
    }

    /// Launches a kernel over `logits`; without targets the labels stand in.
    fn launch(
        self,
        kernel: &'static Kernel,
        logits: Shape,
        launch: &mut Launch,
        buffers: &[BufferId],
    ) -> Result<()> {
        let params = Params { images: logits.images(), classes: logits.channels() };
        let constants = [("TARGETED", f64::from(self.targeted))];
        let grid = Recording::grid(logits.images(), 64);
        launch.to.dispatch(kernel, &constants, params, buffers, grid).map(drop)
    }
}

impl Op for Dlr {
    fn name(&self) -> &'static str {
        FORWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [logits, labels @ ..] = inputs else {
            return Err(Error::mismatch(self.name(), "no inputs", "logits and labels"));
        };
        let count = 1 + usize::from(self.targeted);
        if labels.len() != count {
            let given = format_args!("{} inputs", inputs.len());
            return Err(Error::mismatch(self.name(), given, 1 + count));
        }
        logits.expect(self.name(), Shape::matrix(logits.images(), logits.channels())?)?;
        let per_image = Shape::per_image(logits.images())?;
        labels.iter().try_for_each(|labels| labels.expect(self.name(), per_image))?;
        if logits.channels() < self.least() {
            let wanted = format_args!("at least {} classes", self.least());
            return Err(Error::mismatch(self.name(), logits, wanted));
        }
        Ok(vec![per_image])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let buffers = match *launch.buffers {
            [logits, labels, y] => [logits, labels, labels, y],
            _ => exactly(self.name(), "buffers", launch.buffers)?,
        };
        let logits = launch.inputs.first().copied();
        let logits = logits.ok_or_else(|| Error::mismatch(self.name(), "nothing", "logits"))?;
        self.launch(&FORWARD, logits, launch, &buffers)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _asked: &[bool]) -> Derivatives {
        let inputs: Vec<_> = std::iter::once(dy).chain(node.inputs.iter().copied()).collect();
        let mut derivatives = vec![None; node.inputs.len()];
        if let Some(of_logits) = derivatives.first_mut() {
            *of_logits = Some(graph.push(DlrBackward(*self), &inputs)?);
        }
        Ok(derivatives)
    }
}

/// Inputs dy and those of the forward pass; output dlogits.
#[derive(Clone, Copy, Debug)]
struct DlrBackward(Dlr);

impl Op for DlrBackward {
    fn name(&self) -> &'static str {
        BACKWARD.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        match inputs {
            [dy, forward @ ..] if !forward.is_empty() => {
                let [y] = exactly(self.name(), "outputs", &self.0.outputs(forward)?)?;
                dy.expect(self.name(), y)?;
                Ok(forward.iter().take(1).copied().collect())
            }
            _ => Err(Error::mismatch(self.name(), "too few inputs", "dy, logits and labels")),
        }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let buffers = match *launch.buffers {
            [dy, logits, labels, dlogits] => [dy, logits, labels, labels, dlogits],
            _ => exactly(self.name(), "buffers", launch.buffers)?,
        };
        let [logits] = exactly(self.name(), "outputs", launch.outputs)?;
        self.0.launch(&BACKWARD, logits, launch, &buffers)
    }
}
