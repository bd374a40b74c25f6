//! The formulas of ops beyond those of wide residual networks, in f64.

use crate::grouped::products;
use lapidary::graph::Shape;
use lapidary::ops::{Conv2d, Filter, MaxPool, Pad, Resize};

/// The standard normal distribution, by Simpson's rule.
pub fn normal_cdf(x: f64) -> f64 {
    let (steps, density) =
        (200, |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt());
    let step = x / f64::from(steps);
    let inner = (1..steps).map(|i| f64::from(2 + 2 * (i % 2)) * density(f64::from(i) * step));
    0.5 + step / 3.0 * (density(0.0) + density(x) + inner.sum::<f64>())
}

pub fn softplus(x: f64) -> f64 {
    x.exp().ln_1p()
}

/// (v - mean) / sqrt(variance + eps) over the values of each key.
pub fn standardised(keys: &[usize], values: &[f64], eps: f64) -> Vec<f64> {
    let count = keys.iter().max().unwrap() + 1;
    let [mut n, mut mean, mut variance] = [(); 3].map(|()| vec![0.0; count]);
    keys.iter().for_each(|&key| n[key] += 1.0);
    keys.iter().zip(values).for_each(|(&key, v)| mean[key] += v / n[key]);
    keys.iter().zip(values).for_each(|(&key, v)| variance[key] += (v - mean[key]).powi(2) / n[key]);
    let each = |(&key, v): (&usize, &f64)| (v - mean[key]) / (variance[key] + eps).sqrt();
    keys.iter().zip(values).map(each).collect()
}

pub fn softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    let row = |row: &[f64]| {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(|v| v.exp() / sum).collect::<Vec<_>>()
    };
    logits.chunks(classes).flat_map(row).collect()
}

/// Sums of products over what has one key.
pub fn dots(keys: impl Iterator<Item = usize>, a: &[f64], b: &[f64], count: u32) -> Vec<f64> {
    let mut sums = vec![0.0; count as usize];
    keys.zip(a.iter().zip(b)).for_each(|(key, (a, b))| sums[key] += a * b);
    sums
}

pub fn grouped(conv: Conv2d, groups: u32, x: Shape, w: Shape, v: &[Vec<f64>]) -> Vec<f64> {
    let mut y: Vec<f64> = Vec::new();
    let sides = [x.height(), x.width()].map(|side| side as usize);
    let sizes = [groups, x.images()].map(|size| size as usize);
    let count = products(conv, sizes, sides, w, |at, x, w| {
        y.resize(y.len().max(at + 1), 0.0);
        y[at] += v[0][x] * v[1][w];
    });
    y.resize(count, 0.0);
    y
}

pub fn padded(pad: Pad, x: Shape, values: &[f64]) -> Vec<f64> {
    let (height, width) = (x.height() as usize, x.width() as usize);
    let Pad { top, bottom, left, right } = pad;
    let mut y = Vec::new();
    for plane in values.chunks(height * width) {
        let across = left as usize + width + right as usize;
        y.extend(vec![0.0; top as usize * across]);
        for row in plane.chunks(width) {
            y.extend(vec![0.0; left as usize]);
            y.extend(row);
            y.extend(vec![0.0; right as usize]);
        }
        y.extend(vec![0.0; bottom as usize * across]);
    }
    y
}

pub fn local_mean(reach: usize, x: Shape, values: &[f64]) -> Vec<f64> {
    let (height, width) = (x.height() as usize, x.width() as usize);
    let near = |at: usize, side: usize| at.saturating_sub(reach)..(at + reach + 1).min(side);
    let mut y = Vec::new();
    for plane in values.chunks(height * width) {
        for (v, u) in (0..height).flat_map(|v| (0..width).map(move |u| (v, u))) {
            let window: Vec<f64> = near(v, height)
                .flat_map(|row| near(u, width).map(move |column| plane[row * width + column]))
                .collect();
            y.push(window.iter().sum::<f64>() / window.len() as f64);
        }
    }
    y
}

/// The parts of each image one behind the other.
pub fn joined<T: Clone>(images: usize, parts: &[Vec<T>]) -> Vec<T> {
    let of = |image: usize| {
        parts.iter().flat_map(move |part| part.chunks(part.len() / images).nth(image).unwrap())
    };
    (0..images).flat_map(of).cloned().collect()
}

pub fn max_pool(pool: MaxPool, x: Shape, values: &[f64]) -> Vec<f64> {
    let [n, c, height, width] = x.sides();
    let MaxPool { kernel, stride, padding } = pool;
    let side = |side: u32| (side + 2 * padding - kernel) / stride + 1;
    let mut y = Vec::new();
    for plane in 0..n * c {
        for (v, u) in (0..side(height)).flat_map(|v| (0..side(width)).map(move |u| (v, u))) {
            let inside = |at: u32, limit: u32| at.checked_sub(padding).filter(|&at| at < limit);
            let window = (0..kernel * kernel).filter_map(|k| {
                let row = inside(v * stride + k / kernel, height)?;
                let column = inside(u * stride + k % kernel, width)?;
                Some(values[((plane * height + row) * width + column) as usize])
            });
            y.push(window.fold(f64::NEG_INFINITY, f64::max));
        }
    }
    y
}

/// Weights of each value of one axis in those of its resampled self.
pub fn resampling(from: usize, to: usize, filter: Filter, antialias: bool) -> Vec<Vec<f64>> {
    let scale = from as f64 / to as f64;
    let stretch = if antialias { scale.max(1.0) } else { 1.0 };
    let a = if antialias { -0.5 } else { -0.75 };
    let weight = |d: f64| match filter {
        Filter::Bilinear => (1.0 - d).max(0.0),
        Filter::Bicubic if d < 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        Filter::Bicubic if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * a,
        Filter::Bicubic => 0.0,
    };
    let row = |t: usize| {
        let mut row = vec![0.0; from];
        for j in -8 * from as i64..9 * from as i64 {
            let inside = (0..from as i64).contains(&j);
            let d = (j as f64 + 0.5 - (t as f64 + 0.5) * scale).abs() / stretch;
            if inside || !antialias {
                row[j.clamp(0, from as i64 - 1) as usize] += weight(d);
            }
        }
        let sum: f64 = row.iter().sum();
        row.iter().map(|weight| weight / sum).collect()
    };
    (0..to).map(row).collect()
}

pub fn resized(to: Resize, x: Shape, values: &[f64]) -> Vec<f64> {
    let Resize { height, width, filter, antialias } = to;
    let [h, w] = [x.height(), x.width()].map(|side| side as usize);
    let rows = resampling(h, height as usize, filter, antialias);
    let columns = resampling(w, width as usize, filter, antialias);
    let mut y = Vec::new();
    for plane in values.chunks(h * w) {
        for (row, column) in rows.iter().flat_map(|row| columns.iter().map(move |c| (row, c))) {
            let each = |i: usize| plane[i] * row[i / w] * column[i % w];
            y.push((0..h * w).map(each).sum());
        }
    }
    y
}
