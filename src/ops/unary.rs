//! Element-wise functions of one value (ReLU, GELU, sigmoid, SiLU and others) with their derivatives. One shader has all
//! formulas, and the constant KIND chooses one.

use super::walk::kernel;
use crate::gpu::{Kernel, Recording, uniform};
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { vectors: u32 }
}

/// The kernel of the element-wise functions, which computes y from x.
pub static FORWARD: Kernel =
    kernel!("unary", ["map_one", "normal", "index", "overflow", "elem_vec4"], Params, [a, mut y]);

/// The kernel of the element-wise functions' derivatives, which computes dx from dy and x, or from dy and the result.
pub static BACKWARD: Kernel = kernel!(
    "unary_backward",
    "unary",
    ["map_two", "normal", "index", "overflow", "elem_vec4"],
    Params,
    [a, b, mut y]
);

/// The kernel of the element-wise functions' second derivatives, from two factors and x.
pub static SECOND: Kernel = kernel!(
    "unary_second",
    "unary",
    ["map_three", "normal", "index", "overflow", "elem_vec4"],
    Params,
    [a, b, c, mut y]
);

/// An element-wise function of one value, such as ReLU or GELU. Input x of any shape; output f(x) of each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// The rectifier max(x, 0), `torch.nn.functional.relu`; infinities and NaN stay, so that they show in the logits.
    Relu,
    /// ReLU6, which is min(max(x, 0), 6), `torch.nn.functional.relu6`; infinities and NaN stay, as for `Relu`.
    Relu6,
    /// GELU: x * P(X <= x) for a standard normal X (Hendrycks and Gimpel 2016, arXiv 1606.08415), `torch.nn.functional.gelu` in
    /// its exact form.
    Gelu,
    /// The logistic function 1 / (1 + exp(-x)), `torch.sigmoid`.
    Sigmoid,
    /// SiLU, also called swish: x / (1 + exp(-x)) (Elfwing and others 2017, arXiv 1702.03118), `torch.nn.functional.silu`.
    Silu,
    /// Leaky ReLU: x above 0, else `slope` * x, `torch.nn.functional.leaky_relu`.
    LeakyRelu {
        /// The slope of the function for x below 0: any finite number; PyTorch's is 0.01.
        slope: f32,
    },
    /// ELU: x above 0, else `alpha` * (exp(x) - 1) (Clevert and others 2015, arXiv 1511.07289), `torch.nn.functional.elu`.
    Elu {
        /// The factor of exp(x) - 1 for x below 0: any finite number; PyTorch's is 1.
        alpha: f32,
    },
    /// Hard sigmoid: min(max(x + 3, 0), 6) / 6 (Howard and others 2019, arXiv 1905.02244), `torch.nn.functional.hardsigmoid`.
    HardSigmoid,
    /// Hard swish: x times the hard sigmoid of x, `torch.nn.functional.hardswish`.
    HardSwish,
    /// The hyperbolic tangent of x, `torch.tanh`.
    Tanh,
    /// Softplus: ln(1 + exp(x)), `torch.nn.functional.softplus` with its default factor of 1.
    Softplus,
    /// Mish: x * tanh(ln(1 + exp(x))) (Misra 2019, arXiv 1908.08681), `torch.nn.functional.mish`.
    Mish,
}

impl Unary {
    /// All element-wise functions, in the order of their numbers in the shader; those with a parameter have PyTorch's default.
    pub const ALL: [Self; 12] = [
        Self::Relu,
        Self::Relu6,
        Self::Gelu,
        Self::Sigmoid,
        Self::Silu,
        Self::LeakyRelu { slope: 0.01 },
        Self::Elu { alpha: 1.0 },
        Self::HardSigmoid,
        Self::HardSwish,
        Self::Tanh,
        Self::Softplus,
        Self::Mish,
    ];

    /// The number of the function in the shader, and its own constant if it has one.
    fn constants(self) -> (u32, Option<f32>) {
        match self {
            Self::Relu => (0, None),
            Self::Relu6 => (1, None),
            Self::Gelu => (2, None),
            Self::Sigmoid => (3, None),
            Self::Silu => (4, None),
            Self::LeakyRelu { slope } => (5, Some(slope)),
            Self::Elu { alpha } => (6, Some(alpha)),
            Self::HardSigmoid => (7, None),
            Self::HardSwish => (8, None),
            Self::Tanh => (9, None),
            Self::Softplus => (10, None),
            Self::Mish => (11, None),
        }
    }

    /// Returns the names of the function and of its first two derivatives.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::Relu => ["relu", "relu_backward", "relu_second"],
            Self::Relu6 => ["relu6", "relu6_backward", "relu6_second"],
            Self::Gelu => ["gelu", "gelu_backward", "gelu_second"],
            Self::Sigmoid => ["sigmoid", "sigmoid_backward", "sigmoid_second"],
            Self::Silu => ["silu", "silu_backward", "silu_second"],
            Self::LeakyRelu { .. } => ["leaky_relu", "leaky_relu_backward", "leaky_relu_second"],
            Self::Elu { .. } => ["elu", "elu_backward", "elu_second"],
            Self::HardSigmoid => ["hard_sigmoid", "hard_sigmoid_backward", "hard_sigmoid_second"],
            Self::HardSwish => ["hard_swish", "hard_swish_backward", "hard_swish_second"],
            Self::Tanh => ["tanh", "tanh_backward", "tanh_second"],
            Self::Softplus => ["softplus", "softplus_backward", "softplus_second"],
            Self::Mish => ["mish", "mish_backward", "mish_second"],
        }
    }

    /// Whether the derivative can be computed from the result alone.
    fn sees_result(self) -> bool {
        matches!(self, Self::Relu | Self::Relu6)
    }

    /// Whether the function is piecewise linear, so that its second derivative is 0.
    fn is_straight(self) -> bool {
        self.sees_result() || matches!(self, Self::LeakyRelu { .. } | Self::HardSigmoid)
    }

    fn record(self, kernel: &'static Kernel, launch: &mut Launch) -> Result<()> {
        let [y] = exactly(kernel.name, "outputs", launch.outputs)?;
        let vectors = y.elements().div_ceil(4);
        let (number, alpha) = self.constants();
        let constants = [Some(("KIND", number.into())), alpha.map(|alpha| ("ALPHA", alpha.into()))];
        let constants: Vec<(&str, f64)> = constants.into_iter().flatten().collect();
        launch.with(kernel, &constants, Params { vectors }, Recording::grid(vectors, 64))
    }
}

/// Checks that N inputs have one shape, and returns it as the output's.
fn alike<const N: usize>(op: &'static str, inputs: &[Shape]) -> Result<Vec<Shape>> {
    let inputs = exactly::<_, N>(op, "inputs", inputs)?;
    let first = inputs.first().copied().unwrap_or(Shape::SCALAR);
    inputs.iter().try_for_each(|input| input.expect(op, first))?;
    Ok(vec![first])
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        let [name, _, _] = self.names();
        name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        match self.constants().1 {
            Some(alpha) if !alpha.is_finite() => {
                let what = if matches!(self, Self::LeakyRelu { .. }) { "slope" } else { "alpha" };
                Err(Error::mismatch(self.name(), format_args!("{what} {alpha}"), "a finite number"))
            }
            _ => alike::<1>(self.name(), inputs),
        }
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        Self::record(*self, &FORWARD, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, _: &[bool]) -> Derivatives {
        let seen = if self.sees_result() { &node.outputs } else { &node.inputs };
        let [seen] = exactly(self.name(), "values", seen)?;
        Ok(vec![Some(graph.push(UnaryBackward(*self), &[dy, seen])?)])
    }
}

/// Inputs dy and x, or the result where [that](Unary::sees_result) tells it; output dx.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct UnaryBackward(pub(crate) Unary);

impl Op for UnaryBackward {
    fn name(&self) -> &'static str {
        let [_, name, _] = self.0.names();
        name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        alike::<2>(self.name(), inputs)
    }

    fn flat(&self) -> &[usize] {
        if self.0.is_straight() { &[1] } else { &[] }
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        self.0.record(&BACKWARD, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [first, seen] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_first, for_seen] = exactly(self.name(), "flags", asked)?;
        let (mut of_first, mut of_seen) = (None, None);
        if for_first {
            of_first = Some(graph.push(*self, &[dy, seen])?);
        }
        if for_seen {
            of_seen = Some(graph.push(UnarySecond(self.0), &[dy, first, seen])?);
        }
        Ok(vec![of_first, of_seen])
    }
}

/// Inputs a, b and x; output a * b times the second derivative at x.
#[derive(Clone, Copy, Debug)]
struct UnarySecond(Unary);

impl Op for UnarySecond {
    fn name(&self) -> &'static str {
        let [_, _, name] = self.0.names();
        name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        alike::<3>(self.name(), inputs)
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1, 2], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        self.0.record(&SECOND, launch)
    }
}
