//! Reads ONNX's operators on groups of channels: concatenation, group and instance normalisation, rectifiers with a slope for each
//! channel.

use super::build::{Builder, Known, Layout, Map};
use super::nodes::Arguments;
use super::patterns::Part;
use super::tensors::shown;
use super::whole::Whole;
use super::windows::expect_maps;
use crate::files::Checked;
use crate::model::imported::{Kind, MOST_JOINED};
use crate::ops::Unary;

impl Builder {
    /// Reads `Concat` of maps along their channels.
    pub fn joined(&mut self, node: &Arguments) -> Checked<Map> {
        if node.count() > MOST_JOINED {
            return Err(format!(
                "{} values are joined, but at most {MOST_JOINED} are supported",
                node.count()
            ));
        }
        let maps = (0..node.count()).map(|place| self.map(node.wanted(place)?));
        let maps: Vec<Map> = maps.collect::<Checked<_>>()?;
        let first = *maps.first().ok_or("no values are joined")?;
        if maps.iter().any(|map| map.layout != first.layout) {
            return Err("the joined values have their dimensions in different orders".into());
        }
        let (channels, sides) = match first.layout {
            Layout::Nchw => (1, 4),
            Layout::Nhwc => (3, 4),
            Layout::Matrix => (1, 2),
        };
        let axis = node.int("axis", 1);
        if axis != channels && axis != channels - sides {
            return Err(format!(
                "values are joined along dimension {axis}, but only channels, dimension {channels}, are supported"
            ));
        }
        self.layer(Kind::Concat, &maps, vec![], first.layout)
    }

    /// Gamma and beta of a normalisation, one number for each channel, of which each stands for `repeat` channels in the file.
    fn scales(
        &mut self,
        node: &Arguments,
        channels: usize,
        repeat: usize,
    ) -> Checked<Vec<(String, Vec<usize>)>> {
        let mut weights = Vec::new();
        for place in [1, 2] {
            let (name, constant) = node.constant(place)?;
            let repeat = if constant.count() == channels { 1 } else { repeat };
            if constant.count().checked_mul(repeat) != Some(channels) {
                return Err(format!(
                    "{} has shape {:?}, but has to have {channels} numbers, one for each channel; in GroupNormalization there may be one for each group instead",
                    shown(name),
                    constant.sides
                ));
            }
            let how = if repeat == 1 { String::new() } else { format!("repeated{repeat}") };
            let made = self.tensor(name, &how, vec![channels], |store| {
                let numbers = store.read(constant)?;
                let each = |number| std::iter::repeat_n(number, repeat);
                Ok(numbers.into_iter().flat_map(each).collect())
            });
            weights.push(made?);
        }
        Ok(weights)
    }

    /// Reads `GroupNormalization`, whose gamma and beta have a number for each group before operator set 21, and then for each
    /// channel.
    pub fn group_norm(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        expect_maps(x)?;
        let channels = self.shape(x)?.channels();
        let groups = u32::try_from(node.int("num_groups", 0)).unwrap_or(0);
        let each = channels.checked_div(groups).unwrap_or(0);
        let weights = self.scales(node, channels as usize, each as usize)?;
        let kind = Kind::GroupNorm { groups, eps: node.real("epsilon", 1e-5) };
        self.layer(kind, &[x], weights, x.layout)
    }

    /// Reads `InstanceNormalization`: of maps it is a group normalisation with a group for each channel; of channels that a
    /// `Reshape` put into groups it is a step of one.
    pub fn instance_norm(&mut self, node: &Arguments, known: &Known) -> Checked<Known> {
        let eps = node.real("epsilon", 1e-5);
        if let Known::Part(Part::Grouped(groups), of) = known {
            for (place, what, wanted, later) in
                [(1, "scale", 1.0, "a Mul"), (2, "bias", 0.0, "an Add")]
            {
                let (name, constant) = node.constant(place)?;
                if !self.store.read(constant)?.iter().all(|&number| number == wanted) {
                    return Err(format!(
                        "its {what} {} has to be {wanted} everywhere, because a Reshape put channels into groups: a {what} for each channel belongs in {later} after the next Reshape",
                        shown(name)
                    ));
                }
            }
            return Ok(Known::Part(Part::GroupNormed(*groups, eps), *of));
        }
        let x = self.map(known)?;
        expect_maps(x)?;
        let groups = self.shape(x)?.channels();
        let weights = self.scales(node, groups as usize, 1)?;
        self.layer(Kind::GroupNorm { groups, eps }, &[x], weights, x.layout).map(Known::Map)
    }

    /// Returns the number of groups into which the operator `Reshape` puts a map's channels: to [N, groups, all the rest].
    pub fn groups(&mut self, node: &Arguments, known: &Known) -> Option<u32> {
        let Known::Map(map) = known else { return None };
        let shape = self.shape(*map).ok().filter(|_| map.layout == Layout::Nchw)?;
        let Some(Known::Whole(Whole { numbers, .. })) = node.input(1) else { return None };
        let &[_, Some(groups), rest] = &numbers[..] else { return None };
        let groups = u32::try_from(groups).ok().filter(|&groups| groups > 0)?;
        let numbers = shape.elements() / shape.images();
        let fits = rest.is_none_or(|rest| {
            rest == -1 || Some(rest) == numbers.checked_div(groups).map(i64::from)
        });
        (fits && shape.channels() % groups == 0).then_some(groups)
    }

    /// Reads the `Reshape` that turns normalised groups of channels into a map again: now they are a layer, whose gamma is 1 and
    /// whose beta is 0.
    pub fn ungrouped(&mut self, node: &Arguments, known: &Known) -> Checked<Known> {
        let Known::Part(Part::GroupNormed(groups, eps), of) = known else {
            return Err("the input is not groups of channels that were normalised".into());
        };
        // Checks that the sides are the map's.
        let x = self.reshaped(node, *of)?;
        if x.layout != Layout::Nchw || x.value != of.value {
            return Err(
                "groups of channels are reshaped to another shape than they had before grouping"
                    .into(),
            );
        }
        let channels = self.shape(x)?.channels() as usize;
        let mut weights = Vec::new();
        for (name, value) in [("gamma", 1.0), ("beta", 0.0)] {
            let name = format!("group_norm.{}.{name}", x.value);
            weights.push(self.tensor(&name, "", vec![channels], |_| Ok(vec![value; channels]))?);
        }
        let kind = Kind::GroupNorm { groups: *groups, eps: *eps };
        self.layer(kind, &[x], weights, x.layout).map(Known::Map)
    }

    /// Reads `PRelu`. With a slope s for each channel it is s x + (1 - s) max(x, 0), whose derivative at 0 is s, as PyTorch's.
    pub fn prelu(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        let (name, constant) = node.constant(1)?;
        if let Some(slope) = self.scalar(constant)? {
            let kind = Kind::Unary(Unary::LeakyRelu { slope });
            return self.layer(kind, &[x], vec![], x.layout);
        }
        let channels = self.shape(x)?.channels() as usize;
        let slopes = self.a_channel(constant, x.layout, channels)?.ok_or_else(|| {
            format!(
                "{} has shape {:?}, but has to be one slope, or one for each of {channels} channels",
                shown(name),
                constant.sides
            )
        })?;
        let rest: Vec<f32> = slopes.iter().map(|slope| 1.0 - slope).collect();
        let slopes = self.tensor(name, "", vec![channels], |_| Ok(slopes))?;
        let rest = self.tensor(name, "rest", vec![channels], |_| Ok(rest))?;
        let below = self.layer(Kind::ChannelMul, &[x], vec![slopes], x.layout)?;
        let above = self.layer(Kind::Unary(Unary::Relu), &[x], vec![], x.layout)?;
        let above = self.layer(Kind::ChannelMul, &[above], vec![rest], x.layout)?;
        self.layer(Kind::Add, &[below, above], vec![], x.layout)
    }
}
