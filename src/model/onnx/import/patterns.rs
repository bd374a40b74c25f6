//! Recognises functions that ONNX exporters write as several operators and that are one layer here: GELU by the error function,
//! PyTorch's softplus, and layer normalisation as operator sets before 17 have to write it. The layer is made when the last of the
//! operators is read.

use super::build::{Builder, Known, Layout, Map};
use super::tensors::{Constant, shown};
use crate::files::Checked;
use crate::model::imported::{Kind, Layer};
use crate::ops::Unary;
use std::f32::consts::FRAC_1_SQRT_2;
use std::fmt;
use std::rc::Rc;

/// A part of a function that an exporter wrote as several operators, such as a step of GELU.
#[derive(Clone, Debug)]
pub enum Part {
    /// The step erf(x / sqrt 2) of a GELU.
    Erf,
    /// The step 1 + erf(x / √2) of a GELU.
    ErfPlusOne,
    /// The step x · (1 + erf(x / √2)) of a GELU, which is twice its result.
    TwiceGelu,
    /// The step (1 + erf(x / sqrt 2)) / 2 of a GELU.
    Cdf,
    /// The mean over the channels of a pixel, a step of a layer normalisation.
    Mean,
    /// The step x − mean of a layer normalisation.
    Centred,
    /// The square of x − mean, a step of a layer normalisation.
    Squared,
    /// The variance, which is the mean over the channels of the square of x − mean.
    Variance,
    /// The variance with an epsilon added, a step of a layer normalisation.
    Widened(f32),
    /// The standard deviation, the root of the variance with an epsilon.
    Deviation(f32),
    /// One over the standard deviation, a step of a layer normalisation.
    Inverse,
    /// The step (x − mean) / deviation of a layer normalisation, its result without gamma and beta.
    Normed(f32),
    /// A map whose channels are divided into this many groups, as \[N, groups, numbers\].
    Grouped(u32),
    /// A map's groups of channels, each normalised with an epsilon.
    GroupNormed(u32, f32),
    /// The condition that x is above a number from which on softplus is x itself.
    Above,
    /// The step gamma (x − mean) / deviation of a layer normalisation.
    Scaled(f32, String, Rc<Constant>),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Erf | Self::ErfPlusOne | Self::TwiceGelu | Self::Cdf => "an error function",
            Self::Above => "a comparison",
            Self::Grouped(_) | Self::GroupNormed(..) => "a step of a group normalisation",
            _ => "a step of a layer normalisation",
        })
    }
}

/// Whether a constant equals a formula's, as a 32-bit number or rounded to a few digits.
fn is(constant: f32, wanted: f32) -> bool {
    (constant - wanted).abs() <= 1e-5 * wanted.abs()
}

impl Builder {
    /// The factor by which the layer that made a value scales another value, and that.
    fn scaled(&self, map: Map) -> Option<(f32, Map)> {
        let layer = self.maker(map)?;
        let Kind::Scale { factor } = layer.kind else { return None };
        Some((factor, Map { value: *layer.inputs.first()?, ..map }))
    }

    pub fn erf(&mut self, x: &Known) -> Checked<Known> {
        let map = self.map(x)?;
        match self.scaled(map) {
            Some((factor, of)) if is(factor, FRAC_1_SQRT_2) => Ok(Known::Part(Part::Erf, of)),
            _ => Err("an error function is supported only as a part of a GELU".into()),
        }
    }

    fn gelu(&mut self, of: Map) -> Checked<Known> {
        self.layer(Kind::Unary(Unary::Gelu), &[of], vec![], of.layout).map(Known::Map)
    }

    /// Reads the sum of a step of a function and a constant.
    pub fn part_plus(
        &mut self,
        part: &Part,
        of: Map,
        name: &str,
        constant: &Rc<Constant>,
    ) -> Checked<Known> {
        let one = self.scalar(constant)?;
        match (part, one) {
            (Part::Erf, Some(one)) if is(one, 1.0) => Ok(Known::Part(Part::ErfPlusOne, of)),
            (Part::Variance, Some(eps)) if eps > 0.0 && eps < 1.0 => {
                Ok(Known::Part(Part::Widened(eps), of))
            }
            (Part::Scaled(eps, gamma_name, gamma), _) => {
                let channels = self.shape(of)?.channels() as usize;
                let mut vector = |name: &str, constant: &Rc<Constant>| {
                    if constant.count() != channels {
                        return Err(format!(
                            "{} has the shape {:?}, but has to have {channels} numbers, one a channel",
                            shown(name),
                            constant.sides
                        ));
                    }
                    self.constant(name, constant, vec![channels])
                };
                let weights = vec![vector(gamma_name, gamma)?, vector(name, constant)?];
                self.layer(Kind::LayerNorm { eps: *eps }, &[of], weights, of.layout).map(Known::Map)
            }
            _ => Err(format!(
                "the constant {} that is added to {part} is neither the 1 of GELU nor the epsilon (above 0, below 1) or beta of a layer normalisation",
                shown(name)
            )),
        }
    }

    /// Reads the product of a step of a function and a constant.
    pub fn part_times(
        &mut self,
        part: &Part,
        of: Map,
        name: &str,
        constant: &Rc<Constant>,
    ) -> Checked<Known> {
        let half = self.scalar(constant)?.filter(|&half| is(half, 0.5));
        match (part, half) {
            (Part::ErfPlusOne, Some(_)) => Ok(Known::Part(Part::Cdf, of)),
            (Part::TwiceGelu, Some(_)) => self.gelu(of),
            (Part::Normed(eps), _) => {
                Ok(Known::Part(Part::Scaled(*eps, name.into(), constant.clone()), of))
            }
            _ => Err(format!(
                "the constant {} that multiplies {part} is neither the 0.5 of GELU nor the gamma of a layer normalisation",
                shown(name)
            )),
        }
    }

    /// Reads the product of a step of a function and a value.
    pub fn part_times_map(&mut self, part: &Part, of: Map, map: Map) -> Checked<Known> {
        let halved = self.scaled(map).filter(|&(factor, half)| half == of && is(factor, 0.5));
        match part {
            Part::ErfPlusOne if map == of => Ok(Known::Part(Part::TwiceGelu, of)),
            Part::Cdf if map == of => self.gelu(of),
            Part::ErfPlusOne if halved.is_some() => self.gelu(of),
            _ => Err(format!(
                "a computed value that is not the x of GELU, x (1 + erf(x / sqrt 2)) / 2, multiplies {part}"
            )),
        }
    }

    /// Combines two steps of a pattern, or a value and a step made from it.
    pub fn parts(&mut self, operator: &str, a: &Known, b: &Known) -> Checked<Known> {
        let unknown = || {
            Err(format!(
                "{operator} joins steps of GELU or layer normalisation in a way that neither formula has"
            ))
        };
        match (operator, a, b) {
            ("Sub", x, Known::Part(Part::Mean, of)) => {
                let x = self.map(x)?;
                if x == *of { Ok(Known::Part(Part::Centred, x)) } else { unknown() }
            }
            ("Mul", Known::Part(Part::Centred, x), Known::Part(Part::Centred, y)) if x == y => {
                Ok(Known::Part(Part::Squared, *x))
            }
            ("Div", Known::Part(Part::Centred, x), Known::Part(Part::Deviation(eps), y))
                if x == y =>
            {
                Ok(Known::Part(Part::Normed(*eps), *x))
            }
            _ => unknown(),
        }
    }

    /// Reads a step of a function, raised to a constant power.
    pub fn power(&mut self, x: &Known, exponent: &Constant) -> Checked<Known> {
        let exponent = self.scalar(exponent)?;
        match (x, exponent) {
            (Known::Part(Part::Centred, of), Some(2.0)) => Ok(Known::Part(Part::Squared, *of)),
            (Known::Part(Part::Widened(eps), of), Some(0.5)) => {
                Ok(Known::Part(Part::Deviation(*eps), *of))
            }
            _ => Err("a power is supported only as a part of a layer normalisation".into()),
        }
    }

    pub fn root(&mut self, x: &Known) -> Checked<Known> {
        match x {
            Known::Part(Part::Widened(eps), of) => Ok(Known::Part(Part::Deviation(*eps), *of)),
            _ => Err("a root is supported only as a part of a layer normalisation".into()),
        }
    }

    /// Reads a comparison of a value with a number so large that softplus is the value itself in 32 bits: PyTorch's is 20.
    pub fn above(&mut self, x: &Known, number: &Known) -> Checked<Known> {
        let map = self.map(x)?;
        let Known::Constant(_, constant) = number else {
            return Err("comparing two computed values is not supported".into());
        };
        match self.scalar(constant)? {
            Some(threshold) if threshold >= 17.0 => Ok(Known::Part(Part::Above, map)),
            _ => Err("comparing values with a number is supported only in a softplus, whose threshold is 17 or more".into()),
        }
    }

    /// PyTorch's softplus: x where that is above a threshold, else the softplus of x.
    pub fn softplus(&mut self, above: &Known, x: &Known, soft: &Known) -> Checked<Known> {
        let Known::Part(Part::Above, of) = above else {
            return Err("choosing between values is supported only in a softplus".into());
        };
        let [x, soft] = [self.map(x)?, self.map(soft)?];
        let is = |layer: &Layer| {
            layer.kind == Kind::Unary(Unary::Softplus) && layer.inputs[..] == [of.value]
        };
        if x == *of && self.maker(soft).is_some_and(is) {
            return Ok(Known::Map(soft));
        }
        Err("choosing between values is supported only in a softplus".into())
    }

    /// Reads the mean over the last dimension, where that is the channels.
    pub fn mean_of_channels(&mut self, x: &Known) -> Checked<Known> {
        match x {
            Known::Part(Part::Squared, of) => Ok(Known::Part(Part::Variance, *of)),
            x => {
                let map = self.map(x)?;
                if map.layout == Layout::Nchw {
                    return Err("a mean over columns alone is not supported".into());
                }
                Ok(Known::Part(Part::Mean, map))
            }
        }
    }

    /// Returns the one number of a constant, where the constant has only one.
    pub fn scalar(&mut self, constant: &Constant) -> Checked<Option<f32>> {
        if constant.count() != 1 {
            return Ok(None);
        }
        Ok(self.store.read(constant)?.first().copied())
    }
}
