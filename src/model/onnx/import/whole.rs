//! Computes with the whole numbers in an ONNX file, such as shapes of a `view` and paddings, because exporters write each
//! step of their computation as a node.

use super::build::Known;
use super::nodes::Arguments;
use crate::files::Checked;

/// Most numbers of a list: more than any shape has.
const MOST: usize = 64;

/// An array of whole numbers and its dimensions: none for one number, two for a table. An element is None where it is the
/// number of images in a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    pub numbers: Vec<Option<i64>>,
    pub sides: Vec<usize>,
}

impl Whole {
    pub fn list(numbers: Vec<Option<i64>>) -> Self {
        Self { sides: vec![numbers.len()], numbers }
    }

    pub fn scalar(number: Option<i64>) -> Self {
        Self { sides: vec![], numbers: vec![number] }
    }

    /// Returns all numbers, if all are known.
    pub fn known(&self) -> Option<Vec<i64>> {
        self.numbers.iter().copied().collect()
    }

    /// Returns the numbers with other sides, one of which may be open.
    fn reshaped(&self, sides: &[i64]) -> Option<Self> {
        let count = self.numbers.len();
        let known = sides.iter().filter(|&&side| side != -1);
        let known = known.map(|&side| usize::try_from(side).ok());
        let known = known.reduce(|all, side| all?.checked_mul(side?)).unwrap_or(Some(1))?;
        let side = |&side: &i64| {
            if side == -1 { count.checked_div(known) } else { usize::try_from(side).ok() }
        };
        let sides: Vec<usize> = sides.iter().map(side).collect::<Option<_>>()?;
        let product = sides.iter().try_fold(1usize, |all, &side| all.checked_mul(side))?;
        (product == count && sides.len() < 3).then(|| Self { numbers: self.numbers.clone(), sides })
    }

    /// Slices rows, as ONNX's `Slice` does.
    fn sliced(&self, start: i64, end: i64, step: i64) -> Option<Self> {
        let [rows, ref rest @ ..] = self.sides[..] else { return None };
        let width: usize = rest.iter().product();
        let length = i64::try_from(rows).ok()?;
        let place = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
        let all: Vec<&[Option<i64>]> = self.numbers.chunks(width.max(1)).collect();
        let kept: Vec<&[Option<i64>]> = match step {
            1 => {
                let [start, end] = [start, end].map(|at| place(at).clamp(0, length) as usize);
                all.get(start..end).unwrap_or_default().to_vec()
            }
            -1 if place(start) == length - 1 && place(end) < 0 => all.into_iter().rev().collect(),
            _ => return None,
        };
        let sides = [kept.len()].into_iter().chain(rest.iter().copied()).collect();
        Some(Self { numbers: kept.concat(), sides })
    }

    fn transposed(&self) -> Option<Self> {
        let [rows, columns] = self.sides[..] else { return None };
        let column = |column: usize| (0..rows).map(move |row| row * columns + column);
        let places = (0..columns).flat_map(column);
        let numbers = places.map(|place| self.numbers.get(place).copied());
        Some(Self { numbers: numbers.collect::<Option<_>>()?, sides: vec![columns, rows] })
    }
}

/// Evaluates an operator on whole numbers. None where the operator belongs to another reader.
pub fn computed(node: &Arguments) -> Option<Checked<Known>> {
    let Some(Known::Whole(first)) = node.input(0) else { return None };
    let made = match node.operator() {
        "Identity" | "Cast" => Some(first.clone()),
        "Unsqueeze" if first.numbers.len() == 1 => first.reshaped(&[1]),
        "Squeeze" if first.numbers.len() == 1 => first.reshaped(&[]),
        "Reshape" => reshaped(node, first),
        "Transpose" => first.transposed(),
        "ConstantOfShape" => filled(node, first),
        "Concat" => joined(node),
        "Gather" => gathered(node, first),
        "Slice" => sliced(node, first),
        "Mul" | "Add" | "Sub" => arithmetic(node, first),
        _ => return None,
    };
    let sensible = made.filter(|made| made.numbers.len() <= MOST);
    Some(sensible.map(Known::Whole).ok_or_else(|| {
        "computing with whole numbers is supported only for shapes of tensors".into()
    }))
}

fn reshaped(node: &Arguments, from: &Whole) -> Option<Whole> {
    from.reshaped(&node.wholes("shape", 1).ok()??)
}

fn sliced(node: &Arguments, from: &Whole) -> Option<Whole> {
    let numbers = |name: &str, place: usize| node.wholes(name, place).ok();
    let (starts, ends) = (numbers("starts", 1)??, numbers("ends", 2)??);
    let steps = numbers("steps", 4)?.unwrap_or(vec![1]);
    let (&[start], &[end], &[step]) = (&starts[..], &ends[..], &steps[..]) else { return None };
    from.sliced(start, end, step)
}

fn filled(node: &Arguments, sides: &Whole) -> Option<Whole> {
    let [count] = sides.known()?[..] else { return None };
    let count = usize::try_from(count).ok().filter(|&count| count <= MOST)?;
    Some(Whole::list(vec![Some(node.filling()?); count]))
}

fn joined(node: &Arguments) -> Option<Whole> {
    let mut all = Vec::new();
    for place in 0..node.count() {
        let Some(Known::Whole(next)) = node.input(place) else { return None };
        all.extend(next.numbers.iter().take(MOST + 1).copied());
    }
    Some(Whole::list(all))
}

fn gathered(node: &Arguments, from: &Whole) -> Option<Whole> {
    let Some(Known::Whole(places)) = node.input(1) else { return None };
    let length = i64::try_from(from.numbers.len()).ok()?;
    let at = |place: &Option<i64>| {
        let place = (*place)?;
        let place = if place < 0 { place.checked_add(length)? } else { place };
        from.numbers.get(usize::try_from(place).ok()?).copied()
    };
    let numbers = places.numbers.iter().map(at).collect::<Option<_>>()?;
    Some(Whole { numbers, sides: places.sides.clone() })
}

fn arithmetic(node: &Arguments, first: &Whole) -> Option<Whole> {
    let Some(Known::Whole(second)) = node.input(1) else { return None };
    let (&[Some(a)], &[Some(b)]) = (&first.numbers[..], &second.numbers[..]) else { return None };
    let result = match node.operator() {
        "Mul" => a.checked_mul(b)?,
        "Add" => a.checked_add(b)?,
        _ => a.checked_sub(b)?,
    };
    let sides = if first.sides.is_empty() { &second.sides } else { &first.sides };
    Some(Whole { numbers: vec![Some(result)], sides: sides.clone() })
}
