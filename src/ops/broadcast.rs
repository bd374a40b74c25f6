//! Adds one value for each channel, image or plane to a feature map, or multiplies by it; the derivatives are sums over planes,
//! images or channels.

use super::walk::{WalkParams, Widths, widths};
use crate::gpu::uniform;
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

uniform! {
    struct Params { images: u32, channels: u32, units: u32, per_image: u32 }
}

/// The kernels that add one value b for each channel, image or plane to a map a; with the constant PRODUCT they multiply.
pub static BROADCAST: Widths = widths!("broadcast", [], Params, [a, b, mut y]);

/// The kernels that sum each channel of a map a over images and pixels; with the constant PRODUCT they sum a times b.
pub static REDUCE: Widths =
    widths!("channel_reduce", ["index", "workgroup_sum_vec2"], WalkParams, [a, b, mut y]);

/// Adds one value for each channel or image to a feature map, or multiplies by it. Inputs a \[N, C, H, W\] and b, \[1, C, 1, 1\],
/// \[N, 1, 1, 1\] or \[N, C, 1, 1\]: one value for each channel (the bias of a convolution, a layer scale), for each image, or
/// for each channel of each image (a gate); output of the shape of a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// Adds b, one value for each channel, image or plane, to the map a.
    Add,
    /// Multiplies the map a by b, one value for each channel, image or plane.
    Mul,
}

/// Returns whether b has one value for each channel, image or plane.
fn kind(op: &'static str, a: Shape, b: Shape) -> Result<Reduce> {
    let (channel, image) = (Shape::vector(a.channels())?, Shape::per_image(a.images())?);
    let plane = Shape::matrix(a.images(), a.channels())?;
    let kinds =
        [(channel, Reduce::PerChannel), (image, Reduce::PerImage), (plane, Reduce::PerPlane)];
    let found = kinds.into_iter().find(|(shape, _)| *shape == b);
    let wanted = format_args!("a value a channel, image or plane: {channel}, {image} or {plane}");
    found.map(|(_, kind)| kind).ok_or_else(|| Error::mismatch(op, b, wanted))
}

/// Returns the shape that has a map's planes as the channels of one image, so that values of planes are values of
/// channels.
fn planes(a: Shape) -> Result<Shape> {
    Shape::new(1, a.images() * a.channels(), a.height(), a.width())
}

/// Launches one pass over `a` that combines it with the values of b.
pub(super) fn record(
    product: bool,
    a: Shape,
    per_channel: bool,
    launch: &mut Launch,
) -> Result<()> {
    let walk = BROADCAST.over(a);
    let (images, channels, units) = (walk.images, walk.channels, walk.units);
    let params = Params { images, channels, units, per_image: u32::from(!per_channel) };
    walk.each(launch.to, &[("PRODUCT", f64::from(product))], params, launch.buffers)
}

impl Op for Broadcast {
    fn name(&self) -> &'static str {
        match self {
            Self::Add => "broadcast_add",
            Self::Mul => "broadcast_mul",
        }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, b] = exactly(self.name(), "inputs", inputs)?;
        kind(self.name(), a, b)?;
        Ok(vec![a])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [a, b] = exactly(self.name(), "inputs", launch.inputs)?;
        let kind = kind(self.name(), a, b)?;
        let walked = if kind == Reduce::PerPlane { planes(a)? } else { a };
        record(*self == Self::Mul, walked, kind != Reduce::PerImage, launch)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [a, b] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_a, for_b] = exactly(self.name(), "flags", asked)?;
        let sums = kind(self.name(), graph.shape(a)?, graph.shape(b)?)?;
        let da = match self {
            Self::Add => for_a.then_some(dy),
            Self::Mul => for_a.then(|| graph.push(*self, &[dy, b])).transpose()?,
        };
        let summed: &[Value] = if *self == Self::Add { &[dy] } else { &[dy, a] };
        Ok(vec![da, for_b.then(|| graph.push(sums, summed)).transpose()?])
    }
}

/// Sums over images, channels or pixels. Input a \[N, C, H, W\], or a and b of that shape; output the sums of a, or of a times b.
/// Only sums of a times b have derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Sums over images and pixels; output \[C\].
    PerChannel,
    /// Sums over channels and pixels; output \[N, 1, 1, 1\].
    PerImage,
    /// Sums over pixels; output \[N, C, 1, 1\].
    PerPlane,
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self {
            Self::PerChannel => "channel_sum",
            Self::PerImage => "image_sum",
            Self::PerPlane => "plane_sum",
        }
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let (&[a] | &[a, _]) = inputs else {
            let given = format_args!("{} inputs", inputs.len());
            return Err(Error::mismatch(self.name(), given, "1 or 2 inputs"));
        };
        inputs.iter().try_for_each(|each| each.expect(self.name(), a))?;
        Ok(vec![match self {
            Self::PerChannel => Shape::vector(a.channels())?,
            Self::PerImage => Shape::per_image(a.images())?,
            Self::PerPlane => Shape::matrix(a.images(), a.channels())?,
        }])
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0, 1], outputs: &[] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let mut buffers = launch.bindings();
        let (Some(&a), Some(&of_a)) = (launch.inputs.first(), buffers.first()) else {
            return Err(Error::mismatch(self.name(), "no inputs", "1 or 2 inputs"));
        };
        let product = launch.inputs.len() == 2;
        if !product {
            buffers.insert(1, of_a); // in the place of b, which nothing reads
        }
        // An image's values lie side by side, as a channel's do in a batch of one.
        let walk = REDUCE.over(match self {
            Self::PerChannel => a,
            Self::PerImage => Shape::new(1, a.images(), a.channels(), a.pixels())?,
            Self::PerPlane => planes(a)?,
        });
        walk.sums(launch.to, 1, &[("PRODUCT", f64::from(product))], walk.params(), &buffers)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let (&[a, b], &[for_a, for_b]) = (&node.inputs[..], asked) else {
            return Err(Error::NoDerivative {
                op: self.name(),
                why: "it is not implemented for the sum of one input, only for that of the products of two: an input of ones can be the second",
            });
        };
        // Each factor's is the other times dy.
        let mut product = |wanted: bool, other| {
            wanted.then(|| graph.push(Broadcast::Mul, &[other, dy])).transpose()
        };
        Ok(vec![product(for_a, b)?, product(for_b, a)?])
    }
}
