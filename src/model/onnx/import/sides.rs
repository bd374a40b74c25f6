//! Reads ONNX's operators that add, remove or permute dimensions of values and of constants.

use super::build::{Builder, Known, Layout, Map};
use super::nodes::Arguments;
use super::tensors::Constant;
use super::whole::Whole;
use crate::files::Checked;
use crate::model::imported::Kind;
use std::rc::Rc;

impl Builder {
    pub fn transposed(&mut self, node: &Arguments, known: &Known) -> Checked<Known> {
        let given = node.wholes("perm", 1)?.unwrap_or_default();
        if let Known::Constant(name, constant) = known {
            let ([rows, columns], [1, 0] | []) = (&constant.sides[..], &given[..]) else {
                return Err(format!(
                    "a constant of shape {:?} is permuted as {given:?}, but only matrices can be transposed",
                    constant.sides
                ));
            };
            let numbers = transpose(&self.store.read(constant)?, *rows, *columns);
            let made = Constant::made(vec![*columns, *rows], numbers);
            return Ok(Known::Constant(format!("{name}.transposed"), Rc::new(made)));
        }
        let turned = |layout: Layout| match (layout, &given[..]) {
            (_, [0, 1, 2, 3] | [0, 1]) => Ok(layout),
            (Layout::Nchw, [0, 2, 3, 1]) => Ok(Layout::Nhwc),
            (Layout::Nhwc, [0, 3, 1, 2]) => Ok(Layout::Nchw),
            _ => Err(format!(
                "dimensions are permuted as {given:?}, but only moving channels to the end and back is supported"
            )),
        };
        match known {
            Known::Images(images) => {
                let mut images = images.clone();
                images.layout = turned(images.layout)?;
                Ok(Known::Images(images))
            }
            known => {
                let map = self.map(known)?;
                Ok(Known::Map(Map { layout: turned(map.layout)?, ..map }))
            }
        }
    }

    pub fn sides(&mut self, known: &Known) -> Checked<Known> {
        let map = self.map(known)?;
        let [_, c, h, w] = self.shape(map)?.sides().map(|side| Some(i64::from(side)));
        let sides = match map.layout {
            Layout::Nchw => vec![None, c, h, w],
            Layout::Nhwc => vec![None, h, w, c],
            Layout::Matrix => vec![None, c],
        };
        Ok(Known::Whole(Whole::list(sides)))
    }

    pub fn flat(&mut self, x: Map) -> Checked<Map> {
        let pixels = self.shape(x)?.pixels();
        match x.layout {
            Layout::Matrix => Ok(x),
            _ if pixels == 1 => Ok(Map { layout: Layout::Matrix, ..x }),
            Layout::Nchw => self.layer(Kind::Flatten, &[x], vec![], Layout::Matrix),
            Layout::Nhwc => {
                Err("flattening feature maps whose channels come last (NHWC) is not supported, only those whose channels come before rows and columns (NCHW)".into())
            }
        }
    }

    /// Reads a `Reshape` to one row for each image, to the shape that the value has already, or of a matrix to maps of one pixel.
    pub fn reshaped(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        let Known::Whole(Whole { numbers: sides, .. }) = node.wanted(1)? else {
            return Err("the new shape is computed, but has to be a constant".into());
        };
        let shape = self.shape(x)?;
        let [images, c, h, w] = shape.sides().map(i64::from);
        let row = i64::from(shape.elements()) / images;
        let batch =
            |side: Option<i64>| side.is_none_or(|side| side == -1 || side == 0 || side == images);
        let is = |side: Option<i64>, wanted: i64| side == Some(wanted) || side == Some(-1);
        match sides[..] {
            [first, second] if batch(first) && (is(second, row) || second.is_none()) => {
                self.flat(x)
            }
            [first, a, b, d]
                if x.layout == Layout::Nchw && batch(first) && is(a, c) && is(b, h) && is(d, w) =>
            {
                Ok(x)
            }
            [first, a, b, d]
                if x.layout == Layout::Matrix
                    && batch(first)
                    && is(a, c)
                    && is(b, 1)
                    && is(d, 1) =>
            {
                Ok(Map { layout: Layout::Nchw, ..x })
            }
            _ => {
                let shown: Vec<String> = sides
                    .iter()
                    .map(|side| side.map_or("N".into(), |side| side.to_string()))
                    .collect();
                Err(format!(
                    "{shape} is reshaped to [{}], but only one row of all its values for each image, or the shape that it has already, is supported",
                    shown.join(", ")
                ))
            }
        }
    }

    /// Reads an operator that adds or removes dimensions of 1.
    pub fn pixel(&mut self, node: &Arguments, x: Map) -> Checked<Map> {
        let mut axes = node.wholes("axes", 1)?.unwrap_or(vec![2, 3]);
        axes.iter_mut().filter(|axis| **axis < 0).for_each(|axis| *axis = axis.saturating_add(4));
        axes.sort_unstable();
        match (node.operator(), x.layout, &axes[..]) {
            ("Squeeze", Layout::Nchw, [2, 3]) if self.shape(x)?.pixels() == 1 => {
                Ok(Map { layout: Layout::Matrix, ..x })
            }
            ("Unsqueeze", Layout::Matrix, [2, 3]) => Ok(Map { layout: Layout::Nchw, ..x }),
            _ => Err(format!(
                "adding or removing the dimensions {axes:?} is not supported, only rows and columns (dimensions 2 and 3) of a single pixel"
            )),
        }
    }
}

/// Returns a constant with dimensions of 1 added or removed, or with another shape.
pub fn other_sides(node: &Arguments, constant: &Constant) -> Checked<Constant> {
    let name = if node.operator() == "Reshape" { "shape" } else { "axes" };
    let given = node.wholes(name, 1)?.ok_or_else(|| format!("{name} is missing"))?;
    let wrong = || format!("a constant of shape {:?} cannot become {given:.60?}", constant.sides);
    let before = constant.sides.len() as i64;
    let sides = match node.operator() {
        "Reshape" => {
            let known = given
                .iter()
                .filter(|&&side| side > 0)
                .try_fold(1i64, |all, side| all.checked_mul(*side));
            let known = known.ok_or_else(wrong)?;
            let count = constant.count() as i64;
            let open =
                |side: i64| if side == -1 { count.checked_div(known).unwrap_or(0) } else { side };
            given.iter().map(|&side| usize::try_from(open(side)).unwrap_or(0)).collect::<Vec<_>>()
        }
        "Squeeze" => constant.sides.iter().copied().filter(|&side| side != 1).collect(),
        _ => {
            let after = before + given.len() as i64;
            let is_new =
                |place: i64| given.iter().any(|&axis| axis == place || axis == place - after);
            let mut old = constant.sides.iter().copied();
            (0..after.min(8))
                .filter_map(|place| if is_new(place) { Some(1) } else { old.next() })
                .collect()
        }
    };
    let count = sides.iter().try_fold(1usize, |all, &side| all.checked_mul(side));
    if sides.len() > 8 || count != Some(constant.count()) {
        return Err(wrong());
    }
    Ok(Constant { sides, numbers: constant.numbers.clone() })
}

/// Returns the transposed matrix, row by row.
pub fn transpose(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let column =
        |column: usize| (0..rows).filter_map(move |row| numbers.get(row * columns + column));
    (0..columns).flat_map(column).copied().collect()
}
