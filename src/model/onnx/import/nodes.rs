//! Turns each of an ONNX file's nodes into layers, operator by operator.

use super::build::{Builder, Known, Layout, Map};
use super::known_constant;
use super::messages::{self, Attribute, Node};
use super::patterns::Part;
use super::sides::{other_sides, transpose};
use super::tensors::{Constant, Numbers, shown};
use super::whole::{self, Whole};
use super::windows::expect_maps;
use crate::files::Checked;
use crate::model::imported::Kind;
use crate::ops::{Conv2d, Unary};
use std::collections::HashMap;
use std::rc::Rc;

/// The names of all ONNX operators that are read, in alphabetical order.
pub const KNOWN: [&str; 51] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "Greater",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "LogSoftmax",
    "MatMul",
    "MaxPool",
    "Mish",
    "Mul",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Swish",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// A node of an ONNX graph with the meanings of its inputs.
#[derive(Debug)]
pub struct Arguments {
    operator: String,
    inputs: Vec<Option<Known>>,
    attributes: Vec<Attribute>,
}

impl Arguments {
    fn new(node: &Node, known: &HashMap<String, Known>) -> Checked<Self> {
        let input = |name: &String| {
            let unknown = || format!("no earlier node computes its input {}", shown(name));
            if name.is_empty() {
                Ok(None)
            } else {
                known.get(name).cloned().map(Some).ok_or_else(unknown)
            }
        };
        let inputs: Checked<Vec<_>> = node.inputs.iter().take(64).map(input).collect();
        let attributes: Checked<Vec<_>> =
            node.attributes.iter().take(64).map(messages::attribute).collect();
        Ok(Self { operator: node.operator.clone(), inputs: inputs?, attributes: attributes? })
    }

    pub fn operator(&self) -> &str {
        &self.operator
    }

    pub fn count(&self) -> usize {
        self.inputs.len()
    }

    /// Returns an input of the node, if it is given.
    pub fn input(&self, place: usize) -> Option<&Known> {
        self.inputs.get(place)?.as_ref()
    }

    pub fn wanted(&self, place: usize) -> Checked<&Known> {
        self.input(place).ok_or_else(|| format!("input {place} (counted from 0) is missing"))
    }

    pub fn constant(&self, place: usize) -> Checked<(&str, &Rc<Constant>)> {
        match self.wanted(place)? {
            Known::Constant(name, constant) => Ok((name, constant)),
            _ => Err(format!(
                "input {place} (counted from 0) has to be a constant of floating-point numbers"
            )),
        }
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub fn real(&self, name: &str, otherwise: f32) -> f32 {
        self.attribute(name).map_or(otherwise, |attribute| attribute.real)
    }

    pub fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |attribute| attribute.whole)
    }

    pub fn text(&self, name: &str) -> String {
        let text = self.attribute(name).map(|attribute| attribute.text.clone());
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    }

    /// Returns the value that fills a list: 0 where none is given, None where it is not a whole number.
    pub fn filling(&self) -> Option<i64> {
        let Some(attribute) = self.attribute("value") else { return Some(0) };
        match Constant::new(attribute.tensor.as_ref()?).ok()?.1.numbers {
            Numbers::Whole(numbers) => numbers.first().copied(),
            _ => None,
        }
    }

    /// Returns whole numbers that are an attribute or, in later sets of operators, an input of the node; None where they are neither.
    /// Err where the input is no constant.
    pub fn wholes(&self, name: &str, place: usize) -> Checked<Option<Vec<i64>>> {
        let known = match (self.attribute(name), self.input(place)) {
            (Some(attribute), _) => Some(attribute.wholes.clone()),
            (None, None) => return Ok(None),
            (None, Some(Known::Whole(whole))) => whole.known(),
            (None, Some(_)) => None,
        };
        let computed = || format!("{name}: it is computed, but has to be a constant");
        known.map(Some).ok_or_else(computed)
    }

    /// Returns an attribute's numbers for two dimensions, or for their four ends. Err for another count, and for numbers outside
    /// 0 to 16,384.
    pub fn sides<const N: usize>(&self, name: &str, otherwise: u32) -> Checked<[u32; N]> {
        let Some(attribute) = self.attribute(name) else { return Ok([otherwise; N]) };
        let number = |&number: &i64| u32::try_from(number).ok().filter(|&number| number <= 16_384);
        let numbers: Option<Vec<u32>> = attribute.wholes.iter().map(number).collect();
        let sides = numbers.and_then(|numbers| numbers.try_into().ok());
        sides.ok_or_else(|| {
            format!(
                "attribute {name} is {:.60?}, but has to be {N} numbers from 0 to 16384",
                attribute.wholes
            )
        })
    }
}

impl Builder {
    /// Adds the layers of a node and notes the meanings of its outputs.
    pub fn node(&mut self, node: &Node, known: &mut HashMap<String, Known>) -> Checked<()> {
        let arguments = Arguments::new(node, known)?;
        let made = match whole::computed(&arguments) {
            Some(made) => made?,
            None => self.made(&arguments, node)?,
        };
        let output = node.outputs.first().ok_or("the operator has no output")?;
        known.insert(output.clone(), made);
        Ok(())
    }

    fn made(&mut self, node: &Arguments, whole: &Node) -> Checked<Known> {
        if node.operator == "Constant" {
            return constant(node, whole);
        }
        let x = node.wanted(0)?;
        if let (Known::Constant(name, constant), "Unsqueeze" | "Squeeze" | "Reshape") =
            (x, node.operator.as_str())
        {
            return Ok(Known::Constant(name.clone(), Rc::new(other_sides(node, constant)?)));
        }
        match node.operator.as_str() {
            "Identity" | "Cast" | "Dropout" => Ok(x.clone()),
            "Add" | "Sub" | "Mul" | "Div" => self.binary(&node.operator, x, node.wanted(1)?),
            "Erf" => self.erf(x),
            "Sqrt" => self.root(x),
            // PyTorch writes the inverse deviation beside a layer normalisation, where nobody reads it.
            "Reciprocal" => match x {
                Known::Part(Part::Deviation(_), of) => Ok(Known::Part(Part::Inverse, *of)),
                _ => Err("on a computed value the operator is supported only within a layer normalisation".into()),
            },
            "Pow" => match node.wanted(1)? {
                Known::Constant(_, exponent) => self.power(x, exponent),
                Known::Whole(whole) if whole.numbers[..] == [Some(2)] => {
                    self.power(x, &Constant::made(vec![], vec![2.0]))
                }
                _ => Err("the exponent has to be a constant, 2 or 0.5".into()),
            },
            "Softmax" | "LogSoftmax" => self.map(x).map(Known::Softmax),
            "ReduceMean" => self.mean(node, x),
            "Transpose" => self.transposed(node, x),
            "Shape" => self.sides(x),
            "Greater" => self.above(x, node.wanted(1)?),
            "Where" => self.softplus(x, node.wanted(1)?, node.wanted(2)?),
            "Concat" => self.joined(node).map(Known::Map),
            "InstanceNormalization" => self.instance_norm(node, x),
            "Reshape" if matches!(x, Known::Part(Part::GroupNormed(..), _)) => {
                self.ungrouped(node, x)
            }
            "Reshape" if self.groups(node, x).is_some() => {
                let map = self.map(x)?;
                let groups = self.groups(node, x).unwrap_or(1);
                Ok(Known::Part(Part::Grouped(groups), map))
            }
            _ => {
                let x = self.map(x)?;
                self.layer_of(node, x).map(Known::Map)
            }
        }
    }

    fn layer_of(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        let unary = match node.operator.as_str() {
            "Conv" => return self.conv(node, x),
            "Gemm" | "MatMul" => return self.linear(node, x),
            "BatchNormalization" => return self.batch_norm(node, x),
            "LayerNormalization" => return self.layer_norm(node, x),
            "GroupNormalization" => return self.group_norm(node, x),
            "PRelu" => return self.prelu(node, x),
            "MaxPool" | "AveragePool" => return self.pool(node, x),
            "GlobalAveragePool" => {
                expect_maps(x)?;
                return self.layer(Kind::GlobalAvgPool, &[x], vec![], x.layout);
            }
            "Pad" => return self.pad(node, x),
            "Flatten" => {
                let axis = node.int("axis", 1);
                return if axis == 1 {
                    self.flat(x)
                } else {
                    Err(format!(
                        "flattening from axis {axis} on is not supported, only from axis 1"
                    ))
                };
            }
            "Reshape" => return self.reshaped(node, x),
            "Squeeze" | "Unsqueeze" => return self.pixel(node, x),
            "Clip" => return self.clip(node, x),
            "Relu" => Unary::Relu,
            "Sigmoid" => Unary::Sigmoid,
            "LeakyRelu" => Unary::LeakyRelu { slope: node.real("alpha", 0.01) },
            "Elu" => Unary::Elu { alpha: node.real("alpha", 1.0) },
            "HardSwish" => Unary::HardSwish,
            "Tanh" => Unary::Tanh,
            "Softplus" => Unary::Softplus,
            "Mish" => Unary::Mish,
            "Swish" => match node.real("alpha", 1.0) {
                1.0 => Unary::Silu,
                alpha => return Err(format!("alpha {alpha} is not supported, only 1")),
            },
            "HardSigmoid" => {
                let [alpha, beta] = [node.real("alpha", 0.2), node.real("beta", 0.5)];
                if (6.0 * alpha - 1.0).abs() > 1e-5 || beta != 0.5 {
                    return Err(format!(
                        "alpha {alpha} and beta {beta} are not supported, only 1/6 and 0.5"
                    ));
                }
                Unary::HardSigmoid
            }
            "Gelu" => match node.text("approximate").as_str() {
                "" | "none" => Unary::Gelu,
                other => {
                    return Err(format!(
                        "the approximation {} of GELU is not supported, only the exact form",
                        shown(other)
                    ));
                }
            },
            other => {
                return Err(format!(
                    "applied to a computed value, {} is not supported",
                    shown(other)
                ));
            }
        };
        self.layer(Kind::Unary(unary), &[x], vec![], x.layout)
    }

    fn clip(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        let mut bound = |place, otherwise| match node.input(place) {
            None => Ok(otherwise),
            Some(Known::Constant(_, constant)) => self
                .scalar(constant)?
                .ok_or_else(|| "a bound has several numbers, but only one is supported".to_owned()),
            Some(_) => Err("the bounds have to be constants of floating-point numbers".into()),
        };
        let kind = match (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?) {
            (0.0, 6.0) => Unary::Relu6,
            (0.0, high) if high >= f32::MAX => Unary::Relu,
            (low, high) => {
                return Err(format!(
                    "clipping to {low} and {high} is not supported, only to 0 and 6, or to 0 and no bound"
                ));
            }
        };
        self.layer(Kind::Unary(kind), &[x], vec![], x.layout)
    }

    fn mean(&mut self, node: &Arguments, known: &Known) -> Checked<Known> {
        let axes = node.wholes("axes", 1)?.unwrap_or_default();
        let layout = match known {
            Known::Map(map) | Known::Part(_, map) => map.layout,
            Known::Images(images) => images.layout,
            _ => return Err("the input is a constant or a softmax, which is not supported".into()),
        };
        let sides = if layout == Layout::Matrix { 2 } else { 4 };
        let mut axes: Vec<i64> = axes
            .into_iter()
            .map(|axis| if axis < 0 { axis.saturating_add(sides) } else { axis })
            .collect();
        axes.sort_unstable();
        let keep = node.int("keepdims", 1) == 1;
        match (layout, &axes[..]) {
            (Layout::Nchw, [2, 3]) | (Layout::Nhwc, [1, 2]) => {
                let x = self.map(known)?;
                let layout = if keep { x.layout } else { Layout::Matrix };
                self.layer(Kind::GlobalAvgPool, &[x], vec![], layout).map(Known::Map)
            }
            (Layout::Nhwc, [3]) | (Layout::Matrix, [1]) if keep => self.mean_of_channels(known),
            _ => Err(format!(
                "a mean over the dimensions {axes:?} is not supported, only over rows and columns together, or, with keepdims 1, over channels that come last"
            )),
        }
    }

    fn linear(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        let (name, constant) = node.constant(1)?;
        let &[rows, columns] = &constant.sides[..] else {
            return Err(format!(
                "{} has the shape {:?}, but has to have two dimensions",
                shown(name),
                constant.sides
            ));
        };
        let gemm = node.operator == "Gemm";
        if gemm
            && (node.int("transA", 0) != 0
                || node.real("alpha", 1.0) != 1.0
                || node.real("beta", 1.0) != 1.0)
        {
            return Err(
                "alpha or beta other than 1, or transA other than 0, is not supported".into()
            );
        }
        let rows_first = gemm && node.int("transB", 0) == 1;
        let [outputs, inputs] = if rows_first { [rows, columns] } else { [columns, rows] };
        let shape = vec![outputs, inputs];
        let weights = if rows_first {
            self.constant(name, constant, shape)?
        } else {
            self.tensor(name, "transposed", shape, |store| {
                Ok(transpose(&store.read(constant)?, rows, columns))
            })?
        };
        let y = match x.layout {
            Layout::Matrix => self.layer(Kind::Linear, &[x], vec![weights], x.layout)?,
            // Of each pixel's channels.
            Layout::Nhwc => {
                let kind = Kind::Conv { conv: Conv2d::square(1, 0), groups: 1 };
                self.layer(kind, &[x], vec![weights], x.layout)?
            }
            Layout::Nchw => {
                return Err(
                    "it multiplies feature maps whose channels come before rows and columns (NCHW) by a matrix; only those whose channels come last (NHWC), behind a Transpose, are supported"
                        .into(),
                );
            }
        };
        match node.input(2).filter(|_| gemm) {
            None => Ok(y),
            Some(bias) => {
                let made = self.binary("Add", &Known::Map(y), bias)?;
                self.map(&made)
            }
        }
    }

    fn batch_norm(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        if node.int("training_mode", 0) != 0 {
            return Err(
                "the operator is in training mode: export the network in evaluation mode".into()
            );
        }
        if x.layout == Layout::Nhwc {
            return Err("feature maps whose channels are last are not supported".into());
        }
        let channels = self.shape(x)?.channels() as usize;
        let mut weights = Vec::new();
        for place in 1..5 {
            let (name, constant) = node.constant(place)?;
            weights.push(self.constant(name, constant, vec![channels])?);
        }
        self.layer(Kind::BatchNorm { eps: node.real("epsilon", 1e-5) }, &[x], weights, x.layout)
    }

    fn layer_norm(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        let axis = node.int("axis", -1);
        if !matches!((x.layout, axis), (Layout::Nhwc, -1 | 3) | (Layout::Matrix, -1 | 1)) {
            return Err(format!(
                "normalisation from dimension {axis} on is not supported, only of the channels alone, which have to come last"
            ));
        }
        let channels = self.shape(x)?.channels() as usize;
        let (name, gamma) = node.constant(1)?;
        let gamma = self.constant(name, gamma, vec![channels])?;
        let beta = match node.input(2) {
            Some(_) => {
                let (name, beta) = node.constant(2)?;
                self.constant(name, beta, vec![channels])?
            }
            None => self.tensor(&format!("{name}.beta"), "zeros", vec![channels], |_| {
                Ok(vec![0.0; channels])
            })?,
        };
        let kind = Kind::LayerNorm { eps: node.real("epsilon", 1e-5) };
        self.layer(kind, &[x], vec![gamma, beta], x.layout)
    }
}

/// Reads a constant from the attribute of its node.
fn constant(node: &Arguments, whole: &Node) -> Checked<Known> {
    let name = whole.outputs.first().cloned().unwrap_or_default();
    let [attribute] = &node.attributes[..] else {
        return Err(format!(
            "the constant has {} attributes, but has to have one",
            node.attributes.len()
        ));
    };
    Ok(match attribute.name.as_str() {
        "value" => {
            let tensor = attribute.tensor.as_ref().ok_or("attribute `value` has no tensor")?;
            known_constant(name, Constant::new(tensor)?.1)
        }
        "value_float" => known_constant(name, Constant::made(vec![], vec![attribute.real])),
        "value_floats" => {
            let numbers = attribute.reals.clone();
            known_constant(name, Constant::made(vec![numbers.len()], numbers))
        }
        "value_int" => Known::Whole(Whole::scalar(Some(attribute.whole))),
        "value_ints" => {
            Known::Whole(Whole::list(attribute.wholes.iter().copied().map(Some).collect()))
        }
        other => return Err(format!("the constant holds {}, which is not a number", shown(other))),
    })
}
