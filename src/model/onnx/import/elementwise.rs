//! Reads ONNX's sums, differences, products and quotients: of two feature maps, of a feature map and a constant for each channel,
//! and those that normalise the input images.

use super::build::{Builder, Images, Known, Layout, Map};
use super::tensors::{Constant, shown};
use crate::files::Checked;
use crate::model::imported::Kind;
use crate::ops::Unary;
use std::rc::Rc;

impl Builder {
    /// Reads `Add`, `Sub`, `Mul` or `Div` of two inputs.
    pub fn binary(&mut self, operator: &str, a: &Known, b: &Known) -> Checked<Known> {
        use Known::{Constant as Number, Images as Pictures, Part};
        match (operator, a, b) {
            (_, Number(..), Number(..)) => {
                Err("both inputs are constants, which is not supported".into())
            }
            (_, Pictures(images), Number(name, constant)) => {
                self.normalised(operator, images, name, constant)
            }
            ("Add" | "Mul", Number(name, constant), Pictures(images)) => {
                self.normalised(operator, images, name, constant)
            }
            ("Add", Part(part, of), Number(name, constant))
            | ("Add", Number(name, constant), Part(part, of)) => {
                self.part_plus(part, *of, name, constant)
            }
            ("Mul", Part(part, of), Number(name, constant))
            | ("Mul", Number(name, constant), Part(part, of)) => {
                self.part_times(part, *of, name, constant)
            }
            ("Mul", Part(part, of), map @ (Known::Map(_) | Pictures(_)))
            | ("Mul", map @ (Known::Map(_) | Pictures(_)), Part(part, of)) => {
                let map = self.map(map)?;
                self.part_times_map(part, *of, map)
            }
            (_, Part(..), _) | (_, _, Part(..)) => self.parts(operator, a, b),
            (_, x, Number(name, constant)) => {
                let x = self.map(x)?;
                self.by_constant(operator, x, name, constant).map(Known::Map)
            }
            ("Sub", Number(name, constant), x) => {
                let x = self.map(x)?;
                let minus = self.layer(Kind::Scale { factor: -1.0 }, &[x], vec![], x.layout)?;
                self.by_constant("Add", minus, name, constant).map(Known::Map)
            }
            ("Add" | "Mul", Number(name, constant), x) => {
                let x = self.map(x)?;
                self.by_constant(operator, x, name, constant).map(Known::Map)
            }
            ("Add" | "Mul", ..) => {
                let [a, b] = [self.map(a)?, self.map(b)?];
                self.by_value(operator, a, b).map(Known::Map)
            }
            _ => Err("the second input has to be a constant of floating-point numbers".into()),
        }
    }

    /// The images with one more step of their normalisation. What is no number for each channel, or divides by one that is
    /// not above 0, is a layer like any other.
    fn normalised(
        &mut self,
        operator: &str,
        images: &Images,
        name: &str,
        constant: &Rc<Constant>,
    ) -> Checked<Known> {
        let channels = images.mean.len();
        let mut next = images.clone();
        if let Some(numbers) = self.a_channel(constant, images.layout, channels)? {
            for ((mean, std), number) in next.mean.iter_mut().zip(&mut next.std).zip(numbers) {
                match operator {
                    "Sub" => *mean += number * *std,
                    "Add" => *mean -= number * *std,
                    "Div" => *std *= number,
                    _ => *std /= number,
                }
            }
            let sound = next.mean.iter().all(|mean| mean.is_finite())
                && next.std.iter().all(|std| *std > 0.0 && std.is_finite());
            if sound {
                return Ok(Known::Images(next));
            }
        }
        let x = self.map(&Known::Images(images.clone()))?;
        self.by_constant(operator, x, name, constant).map(Known::Map)
    }

    /// Returns a constant as one number for each channel. None where it differs from pixel to pixel.
    pub fn a_channel(
        &mut self,
        constant: &Constant,
        layout: Layout,
        channels: usize,
    ) -> Checked<Option<Vec<f32>>> {
        if constant.count() == 1 {
            return Ok(self.store.read(constant)?.first().map(|&number| vec![number; channels]));
        }
        // Sides of constants are those of values from the last on.
        let from_end = if layout == Layout::Nchw { 2 } else { 0 };
        let place = constant.sides.len().checked_sub(1 + from_end);
        let fits = place.is_some_and(|place| {
            constant.count() == channels && constant.sides.get(place) == Some(&channels)
        });
        if fits { self.store.read(constant).map(Some) } else { Ok(None) }
    }

    /// A value with one number, or one for each channel.
    fn by_constant(
        &mut self,
        operator: &str,
        x: Map,
        name: &str,
        constant: &Rc<Constant>,
    ) -> Checked<Map> {
        let layout = x.layout;
        if let ("Mul" | "Div", Some(number)) = (operator, self.scalar(constant)?) {
            let factor = if operator == "Mul" { number } else { 1.0 / number };
            if !factor.is_finite() {
                return Err(format!("the constant {number} makes a factor that is not finite"));
            }
            return self.layer(Kind::Scale { factor }, &[x], vec![], layout);
        }
        let channels = self.shape(x)?.channels() as usize;
        let other = || {
            format!(
                "{} has shape {:?}, but has to be one number, or one for each of {channels} channels",
                shown(name),
                constant.sides
            )
        };
        let numbers = self.a_channel(constant, layout, channels)?.ok_or_else(other)?;
        let (kind, how) = match operator {
            "Add" => (Kind::ChannelAdd, ""),
            "Sub" => (Kind::ChannelAdd, "minus"),
            "Mul" => (Kind::ChannelMul, ""),
            _ => (Kind::ChannelMul, "inverse"),
        };
        let changed = move || {
            numbers
                .iter()
                .map(|&number| match operator {
                    "Sub" => -number,
                    "Div" => 1.0 / number,
                    _ => number,
                })
                .collect()
        };
        let weights = vec![self.tensor(name, how, vec![channels], |_| Ok(changed()))?];
        self.layer(kind, &[x], weights, layout)
    }

    /// The value that a product with the tanh of its own softplus is made of.
    fn mish(&self, x: Map, gate: Map) -> Option<Map> {
        let tanh = self.maker(gate).filter(|layer| layer.kind == Kind::Unary(Unary::Tanh))?;
        let inner = Map { value: *tanh.inputs.first()?, ..gate };
        let softplus = self.maker(inner);
        let softplus = softplus.filter(|layer| layer.kind == Kind::Unary(Unary::Softplus))?;
        (softplus.inputs[..] == [x.value]).then_some(x)
    }

    /// Combines two maps; where the history of one forms a known pattern, the result is one layer.
    fn by_value(&mut self, operator: &str, a: Map, b: Map) -> Checked<Map> {
        if a.layout != b.layout {
            return Err("the inputs differ in the number or order of their dimensions".into());
        }
        if operator == "Mul" {
            for (x, gate) in [(a, b), (b, a)] {
                let maker = self.maker(gate).filter(|layer| layer.inputs[..] == [x.value]);
                let whole = match maker.map(|layer| layer.kind) {
                    Some(Kind::Unary(Unary::Sigmoid)) => Unary::Silu,
                    Some(Kind::Unary(Unary::HardSigmoid)) => Unary::HardSwish,
                    _ => continue,
                };
                return self.layer(Kind::Unary(whole), &[x], vec![], x.layout);
            }
        }
        if let Some(x) = [(a, b), (b, a)]
            .into_iter()
            .find_map(|(x, gate)| self.mish(x, gate))
            .filter(|_| operator == "Mul")
        {
            return self.layer(Kind::Unary(Unary::Mish), &[x], vec![], x.layout);
        }
        let kind = if operator == "Add" { Kind::Add } else { Kind::Mul };
        // The one with a pixel an image and channel is the second.
        let first = self.shape(a)?.pixels() >= self.shape(b)?.pixels();
        let inputs = if first { [a, b] } else { [b, a] };
        self.layer(kind, &inputs, vec![], a.layout)
    }
}
